import { X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { platformRandomBytes } from '../../../domain/ids.ts'
import { EmbeddedCa } from '../../../gateway/certificates/embedded_ca.ts'
import { isRenewalDue } from '../../../gateway/certificates/issuer.ts'
import { signingRequest } from './callers.ts'

const start = new Date('2026-03-01T12:00:00.000Z')
const week = 7 * 86_400_000
let parent: string
let folder: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'rehost-ca-'))
  folder = join(parent, 'ca')
})

afterEach(() => rm(parent, { recursive: true, force: true }))

const open = () =>
  EmbeddedCa.open({ folder, clock: () => start, random: platformRandomBytes, validityMs: week })

describe('EmbeddedCa.open()', () => {
  it('makes the authority once, for its owner alone', async () => {
    const first = await open()
    const second = await open()
    expect(second.caPem).toBe(first.caPem)
    expect((await second.gatewayIdentity(['a'])).pin).toBe((await first.gatewayIdentity(['b'])).pin)
    for (const name of await readdir(folder))
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600)
    expect((await stat(folder)).mode & 0o077).toBe(0)
  })

  it('lets one of two racing starts win and leaves nothing half made', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, open))
    expect(new Set(all.map(({ caPem }) => caPem)).size).toBe(1)
    expect(await readdir(parent)).toEqual(['ca'])
  })

  it('names the folder when a file is damaged, instead of making another authority', async () => {
    await open()
    await writeFile(join(folder, 'ca.key.pem'), 'not a key')
    await expect(open()).rejects.toThrow(
      `Cannot use the certificate authority in ${folder}: its files are damaged`,
    )
  })

  it('refuses a folder that holds something else', async () => {
    await mkdir(folder)
    await writeFile(join(folder, 'something'), '')
    await expect(open()).rejects.toThrow(/certificate authority just made in/)
    expect(await readFile(join(folder, 'something'), 'utf8')).toBe('')
  })
})

describe('issue()', () => {
  it('gives one name, both usages of a replication server, and a backdated beginning', async () => {
    const ca = await open()
    const issued = await ca.issue(await signingRequest(), {
      uri: 'rehost://replication-server/i-00000000000000001',
      dnsNames: ['replicator.rehost.internal'],
    })
    const certificate = new X509Certificate(issued.certificatePem)
    expect(certificate.subjectAltName).toBe(
      'URI:rehost://replication-server/i-00000000000000001, DNS:replicator.rehost.internal',
    )
    expect(certificate.serialNumber).toBe(issued.serial)
    expect(certificate.validFromDate).toEqual(new Date(start.getTime() - 5 * 60_000))
    expect(certificate.validToDate).toEqual(new Date(start.getTime() + week))
    expect(certificate.verify(new X509Certificate(ca.caPem).publicKey)).toBe(true)
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
    expect(certificate.ca).toBe(false)
  })

  it('makes agents clients only', async () => {
    const ca = await open()
    const issued = await ca.issue(await signingRequest(), { uri: 'rehost://source-server/s-1', dnsNames: [] })
    expect(new X509Certificate(issued.certificatePem).keyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
  })

  it.each([
    ['text', () => Promise.resolve('hello'), /Cannot read the certificate request/],
    ['another curve', () => signingRequest('P-384'), /ECDSA P-384 key; make a P-256 key/],
    ['a wrong signature', tampered, /its signature does not fit its key|Cannot read the certificate request/],
  ])('refuses %s', async (_name, make, expected) => {
    const ca = await open()
    await expect(ca.issue(await make(), { uri: 'rehost://source-server/s-1', dnsNames: [] })).rejects.toThrow(
      expected,
    )
  })

  it('is renewed at half its life', () => {
    const notAfter = new Date(start.getTime() + week).toISOString()
    expect(isRenewalDue(notAfter, week, start)).toBe(false)
    expect(isRenewalDue(notAfter, week, new Date(start.getTime() + week / 2 + 1))).toBe(true)
  })
})

describe('gatewayIdentity()', () => {
  it('carries names and addresses', async () => {
    const ca = await open()
    const { certificatePem } = await ca.gatewayIdentity(['gateway.rehost.internal', '192.0.2.10'])
    const certificate = new X509Certificate(certificatePem)
    expect(certificate.checkHost('gateway.rehost.internal')).toBe('gateway.rehost.internal')
    expect(certificate.checkIP('192.0.2.10')).toBe('192.0.2.10')
    expect(certificate.subjectAltName).toContain('URI:rehost://gateway')
  })
})

/** A request whose last byte, part of the signature, is another. */
async function tampered(): Promise<string> {
  const pem = await signingRequest()
  const der = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`
}
