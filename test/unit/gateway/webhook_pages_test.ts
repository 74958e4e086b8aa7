import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listAll } from '../../../store/listing.ts'
import { getPage, postForm } from './callers.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const form = { url: 'https://hooks.example/in', description: 'Chat', pattern: '{"source":["aws.mgn"]}' }

describe('the pages of webhooks', () => {
  it('make an endpoint, show its secret once, test, change, disable and delete it', async () => {
    const cookie = await gateway.signIn()
    const made = await (await postForm(gateway, '/settings/webhooks', form, cookie)).text()
    const secret = /whsec_[A-Za-z0-9+/=]+/.exec(made)?.[0]
    expect(secret).toHaveLength(50)
    const [endpoint] = await listAll(gateway.store, 'webhook')
    expect(endpoint).toMatchObject({ url: form.url, pattern: { source: ['aws.mgn'] }, createdBy: 'admin' })
    const path = `/settings/webhooks/${endpoint?.webhookId}`
    const shown = await (await getPage(gateway, path, cookie)).text()
    expect(shown).not.toContain(secret)
    expect(shown).toContain('Nothing has been sent yet')
    await postForm(gateway, `${path}/test`, {}, cookie)
    expect((await listAll(gateway.store, 'webhookDelivery', endpoint?.webhookId))[0]?.detailType).toBe(
      'Rehost Webhook Test',
    )
    await postForm(gateway, path, { ...form, description: '<b>Bold</b>' }, cookie)
    await postForm(gateway, `${path}/disable`, {}, cookie)
    const list = await (await getPage(gateway, '/settings/webhooks', cookie)).text()
    expect(list).toContain('&lt;b&gt;Bold&lt;/b&gt;')
    expect(list).toContain('Disabled')
    expect(await (await postForm(gateway, `${path}/rotate-secret`, {}, cookie)).text()).toMatch(/whsec_/)
    await postForm(gateway, `${path}/delete`, {}, cookie)
    expect(await listAll(gateway.store, 'webhook')).toEqual([])
    expect((await getPage(gateway, path, cookie)).status).toBe(404)
  })

  it.each([
    [{ ...form, url: 'ftp://x.example' }, 'begins with https://'],
    [{ ...form, pattern: '{' }, 'the pattern is not JSON'],
    [{ ...form, pattern: '{"source":"x"}' }, 'with an array at each leaf'],
  ])('refuse %j and keep what was written', async (wrong, words) => {
    const answer = await postForm(gateway, '/settings/webhooks', wrong, await gateway.signIn())
    const page = await answer.text()
    expect(answer.status).toBe(422)
    expect(page).toContain(words)
    expect(page).toContain('value="Chat"')
    expect(await listAll(gateway.store, 'webhook')).toEqual([])
  })

  it('are for administrators', async () => {
    const cookie = await gateway.signIn('operator')
    expect((await getPage(gateway, '/settings/webhooks', cookie)).status).toBe(403)
    expect((await postForm(gateway, '/settings/webhooks', form, cookie)).status).toBe(403)
    expect(await (await getPage(gateway, '/settings', cookie)).text()).not.toContain('/settings/webhooks')
  })
})
