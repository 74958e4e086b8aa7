import { readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { prepareInstallation } from '../../../gateway/installation.ts'
import { checkPassword } from '../../../gateway/people/accounts.ts'
import { firstPassword } from '../../../gateway/people/first_password.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const file = () => join(gateway.folder, 'first-sign-in')
const start = (adminPassword?: string, dataDir = gateway.folder) =>
  prepareInstallation(gateway.services, { dataDir, adminPassword })
const passwordLeft = async () => (await readFile(file(), 'utf8')).trim()
const opens = async (password: string) =>
  (await checkPassword(gateway.store, 'admin', password))?.role === 'admin'

/** The next time the administrator is stored, `instead` happens. */
function whenAdminIsStored(instead: (store: () => Promise<number>) => Promise<number>): void {
  const { store } = gateway
  const create = store.create.bind(store)
  store.create = (kind, key, value) => {
    if (kind !== 'user') return create(kind, key, value)
    store.create = create
    return instead(() => create(kind, key, value))
  }
}

describe('the first password', () => {
  it('is left for its owner alone, opens the dashboard, and stays the same over starts', async () => {
    await start()
    const password = await passwordLeft()
    expect(password).toMatch(/^([a-z2-9]{5}-){3}[a-z2-9]{5}$/)
    expect((await stat(file())).mode & 0o777).toBe(0o600)
    expect(await opens(password)).toBe(true)
    await start()
    expect(await passwordLeft()).toBe(password)
    expect((await readdir(gateway.folder)).filter((name) => name.startsWith('first-sign-in'))).toEqual([
      'first-sign-in',
    ])
  })

  it('is not made again once it was taken', async () => {
    await start()
    await rm(file())
    await start()
    expect(await readdir(gateway.folder)).not.toContain('first-sign-in')
  })

  it.each([
    ['before the administrator was stored', () => Promise.reject(new Error('killed'))],
    [
      'after it',
      async (store: () => Promise<number>) => {
        await store()
        throw new Error('killed')
      },
    ],
  ])('is known though the first start was killed %s', async (_, end) => {
    whenAdminIsStored(end)
    await expect(start()).rejects.toThrow('killed')
    const password = await passwordLeft()
    await start()
    expect(await passwordLeft()).toBe(password)
    expect(await opens(password)).toBe(true)
  })

  it('is one for two gateways that start at once on the same folder', async () => {
    await Promise.all([start(), start()])
    expect(await opens(await passwordLeft())).toBe(true)
  })

  it('is taken back when a gateway with another folder has made the administrator meanwhile', async () => {
    const other = join(gateway.folder, 'other')
    whenAdminIsStored(async (store) => {
      await start(undefined, other)
      return store()
    })
    await start()
    expect(await readdir(gateway.folder)).not.toContain('first-sign-in')
    expect(await opens((await readFile(join(other, 'first-sign-in'), 'utf8')).trim())).toBe(true)
  })

  it('gives way to the one that the operator chooses, then or later', async () => {
    await start()
    const made = await passwordLeft()
    await start('chosen by the operator')
    expect(await readdir(gateway.folder)).not.toContain('first-sign-in')
    expect([await opens(made), await opens('chosen by the operator')]).toEqual([false, true])
  })
})

describe('firstPassword()', () => {
  it('keeps what is there, and says which file it cannot make', async () => {
    await writeFile(file(), 'left by a start before\n')
    expect(await firstPassword(file(), gateway.services.random)).toBe('left by a start before')
    const missing = join(gateway.folder, 'missing', 'first-sign-in')
    await expect(firstPassword(missing, gateway.services.random)).rejects.toThrow(/ENOENT.*missing/)
  })
})
