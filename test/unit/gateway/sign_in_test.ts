import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { safeNext } from '../../../gateway/session_guard.ts'
import { getPage, postForm } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const get = (path: string, cookie?: string) => getPage(gateway, path, cookie)
const post = (
  path: string,
  form: Record<string, string>,
  cookie?: string,
  headers?: Record<string, string>,
) => postForm(gateway, path, form, cookie, headers)

const firstSignIn = () => join(gateway.folder, 'first-sign-in')

async function addPassword(userName: string, password: string): Promise<void> {
  const { ensureAdmin } = await import('../../../gateway/people/accounts.ts')
  await ensureAdmin(gateway.store, firstSignIn(), { preset: password, ...gateway.services })
  expect((await gateway.store.get('user', { id: userName }))?.value.passwordHash).toMatch(/^\$argon2id\$/)
}

describe('signing in', () => {
  it('sends strangers to sign in, and back to where they wanted to go', async () => {
    const response = await get('/servers?view=archived')
    expect([response.status, response.headers.get('location')]).toEqual([
      303,
      '/sign-in?next=%2Fservers%3Fview%3Darchived',
    ])
    expect(await (await get('/sign-in?next=%2Fservers%3Fview%3Darchived')).text()).toContain(
      'value="/servers?view=archived"',
    )
  })

  it('gives a cookie that scripts and other sites do not get, and keeps its hash alone', async () => {
    await addPassword('admin', 'a good password')
    const response = await post('/sign-in', { userName: 'admin', password: 'a good password', next: '/jobs' })
    expect([response.status, response.headers.get('location')]).toEqual([303, '/jobs'])
    const cookie = response.headers.get('set-cookie') ?? ''
    expect(cookie).toMatch(/^rehost_session=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/)
    const secret = /rehost_session=([^;]+)/.exec(cookie)?.[1] ?? ''
    expect(JSON.stringify((await gateway.store.list('session')).items)).not.toContain(secret)
    expect((await get('/servers', `rehost_session=${secret}`)).status).toBe(200)
    expect((await get('/servers', 'rehost_session=another')).status).toBe(303)
    gateway.pass(12 * 3_600_000)
    expect((await get('/servers', `rehost_session=${secret}`)).status).toBe(303)
    expect((await gateway.store.list('session')).items).toEqual([])
  })

  it('uses a cookie bound to host and HTTPS over HTTPS', async () => {
    await addPassword('admin', 'a good password')
    const response = await gateway.app.request('https://localhost/sign-in', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: 'https://localhost' },
      body: 'userName=admin&password=a+good+password',
    })
    expect(response.headers.get('set-cookie')).toMatch(
      /^__Host-rehost_session=.*; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
  })

  it('does the same behind a proxy that speaks HTTPS, and over plain HTTP not', async () => {
    await addPassword('admin', 'a good password')
    const form = { userName: 'admin', password: 'a good password' }
    const viaProxy = {
      origin: 'https://rehost.example',
      'sec-fetch-site': 'same-origin',
      'x-forwarded-proto': 'https',
    }
    const response = await post('/sign-in', form, '', viaProxy)
    const cookie = response.headers.get('set-cookie') ?? ''
    expect(cookie).toMatch(/^__Host-rehost_session=.*; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
    const [value = ''] = cookie.split(';')
    const page = await getPage(gateway, '/servers', value, { 'x-forwarded-proto': 'https, http' })
    expect(page.status).toBe(200)
    expect((await get('/servers', value)).status).toBe(303)
  })

  it('ends the sign-in that the browser had before', async () => {
    await addPassword('admin', 'a good password')
    const before = await gateway.signIn()
    expect((await post('/sign-in', { userName: 'admin', password: 'a good password' }, before)).status).toBe(
      303,
    )
    expect((await get('/servers', before)).status).toBe(303)
  })

  it('refuses wrong names and passwords alike, and guessing altogether', async () => {
    await addPassword('admin', 'a good password')
    for (const form of [
      { userName: 'admin', password: 'wrong' },
      { userName: 'nobody', password: 'a good password' },
      { userName: 'admin', password: 'x'.repeat(5000) },
    ]) {
      const response = await post('/sign-in', form)
      expect(response.status).toBe(401)
      expect(await response.text()).toContain('User name or password is wrong.')
    }
    await post('/sign-in', { userName: 'admin', password: 'wrong' })
    await post('/sign-in', { userName: 'admin', password: 'wrong' })
    const refused = await post('/sign-in', { userName: 'admin', password: 'a good password' })
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '900'])
    gateway.pass(900_000)
    expect((await post('/sign-in', { userName: 'admin', password: 'a good password' })).status).toBe(303)
  })

  it('ends with signing out', async () => {
    const cookie = await gateway.signIn()
    expect((await post('/sign-out', {}, cookie)).status).toBe(303)
    expect((await get('/servers', cookie)).status).toBe(303)
  })

  it.each([
    ['//evil.example', '/servers'],
    ['/\\evil.example', '/servers'],
    ['https://evil.example', '/servers'],
    ['javascript:alert(1)', '/servers'],
    ['/a b', '/servers'],
    ['/a\u0000b', '/servers'],
    ['/a\r\nset-cookie: x', '/servers'],
    ['/seite-ж', '/servers'],
    ['', '/servers'],
    ['/jobs?x=1', '/jobs?x=1'],
  ])('never leads to another site: %j', (next, expected) => {
    expect(safeNext(next)).toBe(expected)
  })

  it('ends every sign-in of the administrator when a new password is given, and keeps them with the old one', async () => {
    const { ensureAdmin } = await import('../../../gateway/people/accounts.ts')
    const given = (preset: string) =>
      ensureAdmin(gateway.store, firstSignIn(), { preset, ...gateway.services })
    await given('the first password')
    const [cookie, viewer] = [await gateway.signIn(), await gateway.signIn('viewer')]
    await given('the first password')
    expect((await get('/servers', cookie)).status).toBe(200)
    await given('the second password')
    expect((await get('/servers', cookie)).status).toBe(303)
    expect((await get('/servers', viewer)).status).toBe(200)
  })
})
