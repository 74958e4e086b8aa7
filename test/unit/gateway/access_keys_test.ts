import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AccessKey } from '../../../domain/enrolment.ts'
import type { TestGateway } from './support.ts'
import { isAccessKeyId, isInScope, isScope, newAccessKeyId } from '../../../domain/access_key.ts'
import { platformRandomBytes } from '../../../domain/ids.ts'
import { readGatewayConfig } from '../../../gateway/config.ts'
import { prepareInstallation } from '../../../gateway/installation.ts'
import { setAccessKeyStatus } from '../../../gateway/people/access_keys.ts'
import { SecretBox } from '../../../store/secret_box.ts'
import { verifyRequest } from '../../../gateway/mgn/sigv4.ts'
import { newKey, sign } from './mgn/signer.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const stored = async (id: string): Promise<AccessKey | undefined> =>
  (await gateway.store.get('accessKey', { id }))?.value

describe('an access key', () => {
  it('has an id like those of AWS that scanners find, and is not stored as it is', async () => {
    const { accessKeyId, secretAccessKey } = await newKey(gateway, { name: 'ci', scopes: ['*', '*'] })
    expect(accessKeyId).toMatch(/^RHAK[A-Z2-7]{16}$/)
    expect(secretAccessKey).toMatch(/^rhsk_[\w-]{43}$/)
    const record = await stored(accessKeyId)
    expect(record).toEqual({
      accessKeyId,
      sealedSecret: expect.stringMatching(/^s1\.[\w-]+$/),
      name: 'ci',
      role: 'operator',
      scopes: ['*'],
      status: 'ACTIVE',
      createdAt: '2026-03-01T12:00:00.000Z',
      createdBy: 'admin',
    })
    expect(JSON.stringify(record)).not.toContain(secretAccessKey.slice(5))
    expect(gateway.services.secretBox.unseal(record?.sealedSecret ?? '', accessKeyId)).toBe(secretAccessKey)
  })

  it('has another id each time, made of all letters', () => {
    const ids = Array.from({ length: 200 }, () => newAccessKeyId(platformRandomBytes))
    expect(new Set(ids).size).toBe(200)
    expect(new Set(ids.flatMap((id) => id.slice(4).split(''))).size).toBe(32)
  })

  it('is written in letters, digits and underscores', () => {
    for (const id of ['AKIDEXAMPLE', 'RHAKAAAAAAAAAAAAAAAA', 'abc', 'test_1'])
      expect(isAccessKeyId(id)).toBe(true)
    for (const id of ['', 'ab', 'a/b/c', 'a b c', 'ä'.repeat(9), 'a'.repeat(129)])
      expect(isAccessKeyId(id)).toBe(false)
  })

  it('is for all, for operations, or for those that begin alike', () => {
    for (const scope of ['*', 'mgn:*', 'mgn:StartTest', 'mgn:Describe*']) expect(isScope(scope)).toBe(true)
    const wrong = ['', '**', 'mgn:', 'StartTest', 'ec2:*', 'mgn:*Test', 'mgn:a b', `mgn:${'a'.repeat(80)}`]
    for (const scope of wrong) expect(isScope(scope)).toBe(false)
    expect(isInScope(['mgn:*'], 'StartTest')).toBe(true)
    expect(isInScope(['mgn:Start'], 'StartTest')).toBe(false)
    expect(isInScope(['mgn:StartTest*'], 'StartTest')).toBe(true)
    expect(isInScope([], 'StartTest')).toBe(false)
  })
})

describe('the preset access key', () => {
  const preset = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
  const start = (accessKey: typeof preset | undefined = preset) =>
    prepareInstallation(gateway.services, { dataDir: gateway.folder, adminPassword: 'preset too', accessKey })
  const enter = async (credentials = preset) =>
    verifyRequest(gateway.services, await sign(credentials, {}, { at: gateway.now() }))

  it('opens everything from the first start on, and later starts leave it as it is', async () => {
    await start()
    expect(await enter()).toMatchObject({ actor: 'access key preset', role: 'admin' })
    const before = await stored(preset.accessKeyId)
    expect(before).toMatchObject({ scopes: ['*'], createdBy: 'REHOST_ACCESS_KEY_ID' })
    await start()
    await prepareInstallation(gateway.services, { dataDir: gateway.folder, adminPassword: 'preset too' })
    expect((await stored(preset.accessKeyId))?.sealedSecret).toBe(before?.sealedSecret)
    await enter()
  })

  it('stays disabled over starts, until it gets another secret', async () => {
    await start()
    await setAccessKeyStatus(gateway.store, preset.accessKeyId, 'INACTIVE')
    await start()
    await expect(enter()).rejects.toThrow('no active access key AKIDEXAMPLE')
    const other = { ...preset, secretAccessKey: 'another secret' }
    await start(other)
    expect((await enter(other)).role).toBe('admin')
    await expect(enter()).rejects.toThrow('does not match')
  })

  it('is sealed anew when the key that sealed it is gone', async () => {
    await start()
    const secretBox = new SecretBox(platformRandomBytes(32), platformRandomBytes)
    Object.assign(gateway.services, { secretBox })
    await start()
    expect((await enter()).role).toBe('admin')
  })

  it('is one key when two gateways start at the same moment', async () => {
    await Promise.all([start(), start()])
    expect((await gateway.store.list('accessKey')).items).toHaveLength(1)
  })

  it('is read from both variables or none', () => {
    const read = (values: Record<string, string>) =>
      readGatewayConfig({ REDIS_URL: 'redis://127.0.0.1', ...values }, '/')
    expect(read({}).accessKey).toBeUndefined()
    const both = { REHOST_ACCESS_KEY_ID: 'AKIDEXAMPLE', REHOST_SECRET_ACCESS_KEY: 'secret key' }
    expect(read(both).accessKey).toEqual({ accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret key' })
    const refused: [Record<string, string>, string][] = [
      [{ REHOST_ACCESS_KEY_ID: 'AKIDEXAMPLE' }, 'REHOST_SECRET_ACCESS_KEY: set it with the other of'],
      [{ REHOST_SECRET_ACCESS_KEY: 'secret key' }, 'REHOST_ACCESS_KEY_ID: set it with the other of'],
      [{ ...both, REHOST_ACCESS_KEY_ID: 'a/b' }, 'REHOST_ACCESS_KEY_ID: 3 to 128 letters'],
      [{ ...both, REHOST_SECRET_ACCESS_KEY: 'short' }, 'REHOST_SECRET_ACCESS_KEY: at least 8 characters'],
      [{ REHOST_SEALING_KEY: 'c2hvcnQ=' }, 'REHOST_SEALING_KEY: 32 random bytes in base64'],
    ]
    for (const [values, words] of refused) expect(() => read(values)).toThrow(words)
    expect(() => read({ ...both, REHOST_SECRET_ACCESS_KEY: 'short' })).not.toThrow('short')
  })
})

describe('SecretBox', () => {
  const file = () => join(gateway.folder, 'sealing-key')
  const open = (key?: string) => SecretBox.open({ folder: gateway.folder, key, random: platformRandomBytes })

  it('keeps its key in the data folder for the owner alone, and finds it again', async () => {
    const sealed = (await open()).seal('a secret', 'AKID')
    expect((await stat(file())).mode & 0o777).toBe(0o600)
    const key = await readFile(file(), 'utf8')
    expect((await open()).unseal(sealed, 'AKID')).toBe('a secret')
    expect(await readFile(file(), 'utf8')).toBe(key)
    expect((await readdir(gateway.folder)).filter((name) => name.startsWith('sealing-key'))).toEqual([
      'sealing-key',
    ])
    expect((await open(key.trim())).unseal(sealed, 'AKID')).toBe('a secret')
  })

  it('makes one key when two gateways start at the same moment', async () => {
    const [one, other] = await Promise.all([open(), open()])
    expect(other?.unseal(one?.seal('a secret', 'AKID') ?? '', 'AKID')).toBe('a secret')
  })

  it('leaves no file where the key is given', async () => {
    const key = Buffer.from(platformRandomBytes(32)).toString('base64')
    expect((await open(key)).unseal((await open(key)).seal('ü', 'AKID'), 'AKID')).toBe('ü')
    expect(await readdir(gateway.folder)).not.toContain('sealing-key')
  })

  it('seals the same secret in another way each time', async () => {
    const box = await open()
    expect(box.seal('a secret', 'AKID')).not.toBe(box.seal('a secret', 'AKID'))
  })

  it('opens nothing that was changed, moved to another name, or sealed by another', async () => {
    const box = await open()
    const sealed = box.seal('a secret', 'AKID')
    const other = await open(Buffer.from(platformRandomBytes(32)).toString('base64'))
    const bytes = Buffer.from(sealed.slice(3), 'base64url')
    const spoiled = Array.from({ length: bytes.length }, (_, index) => {
      const copy = Buffer.from(bytes)
      copy[index] = (copy[index] ?? 0) ^ 1
      return `s1.${copy.toString('base64url')}`
    })
    const cut = [sealed.slice(0, -2), 's1.', '', 's1', sealed.replace('s1', 's2'), 's1.AAAA']
    for (const text of [...spoiled, ...cut])
      expect(() => box.unseal(text, 'AKID')).toThrow('Cannot open the secret of AKID')
    expect(() => box.unseal(sealed, 'AKID2')).toThrow('Cannot open the secret of AKID2')
    expect(() => other.unseal(sealed, 'AKID')).toThrow('delete AKID and make another')
    expect(box.unseal(sealed, 'AKID')).toBe('a secret')
  })

  it('names the file that holds no key', async () => {
    await writeFile(file(), 'short')
    await expect(open()).rejects.toThrow(`Cannot use ${file()}: it is damaged`)
  })
})
