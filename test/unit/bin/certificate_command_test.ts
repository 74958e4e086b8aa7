import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { MigrationCertificate, SignedEnvelope } from '../../../domain/certificate.ts'
import { withEvent } from '../../../domain/source_server.ts'
import { enrolServer, putServer } from '../gateway/callers.ts'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

const root = 'ab'.repeat(32)

let cli: CliGateway
let folder: string
let file: string

beforeEach(async () => {
  cli = await cliGateway('viewer')
  folder = await mkdtemp(join(tmpdir(), 'rehost-certificate-'))
  file = join(folder, 'certificate.json')
})

afterEach(async () => {
  await cli.close()
  await rm(folder, { recursive: true })
})

const certificate = (...args: string[]) => cli.rehost('certificate', ...args)

/** A server whose cutover is final. */
async function cutOver(): Promise<string> {
  const { sourceServerId } = await enrolServer(cli.gateway)
  await putServer(cli.gateway, sourceServerId, ({ activeTask: _done, ...current }) => {
    const at = '2026-03-01T12:30:00.000Z'
    const asked = withEvent(current, at, { type: 'OPERATOR', actor: 'anna', message: 'Asked to finalize' })
    return {
      ...asked,
      lifecycle: { ...asked.lifecycle, state: 'CUTOVER', lastCutover: { finalized: { apiCallAt: at } } },
      consistencyRequest: {
        consistencyPointId: 'cp-00000000000000001' as never,
        state: 'TAKEN',
        requestedAt: at,
        expiresAt: at,
        reachedAt: '2026-03-01T12:29:00.000Z',
        roots: [{ diskIndex: 0, root }],
      },
      launchTimes: {
        cutover: {
          jobId: 'mgnjob-00000000000000001' as never,
          askedAt: '2026-03-01T12:28:50.000Z',
          pointAt: '2026-03-01T12:29:00.000Z',
          upAt: '2026-03-01T12:30:12.000Z',
        },
        forecast: {
          jobId: 'mgnjob-00000000000000001' as never,
          madeAt: '2026-03-01T12:28:50.000Z',
          expectedSeconds: 60,
          lowSeconds: 40,
          highSeconds: 90,
          coveragePercent: 80,
        },
      },
      launchedInstance: {
        machineId: 'm-00000000000000001' as never,
        imageId: 'img-00000000000000001' as never,
        snapshotIds: [],
        jobId: 'mgnjob-00000000000000001' as never,
        purpose: 'CUTOVER',
        launchedAt: at,
        firstBoot: 'SUCCEEDED',
      },
    }
  })
  return sourceServerId
}

it(
  'rehost certificate writes what proves a migration, and finds any change of it',
  { timeout: 120_000 },
  async () => {
    const id = await cutOver()
    const written = await certificate('get', id, file)
    const [, keyId = ''] = /signed with (sha256:[0-9a-f]{64})\n$/.exec(written.stdout) ?? []
    expect(keyId).not.toBe('')

    // Without the service.
    cli.loseService()
    const verified = await certificate('verify', file, '--key', keyId)
    expect(verified.stdout).toContain(`web-1 (${id}), 1 disk of `)
    expect(verified.stdout).toContain(`  disk 0: ${root}`)
    expect(verified.stdout).toContain('down for 72 s, forecast 60 s (40 s to 90 s)')
    expect(verified.stdout).toContain('  2026-03-01T12:30:00.000Z  anna: Asked to finalize')
    expect(verified.stdout).toContain(`Genuine, signed with ${keyId}`)
    expect((await certificate('verify', file)).stdout).toContain(`Genuine, if ${keyId} is the key`)
    const other = await certificate('verify', file, '--key', `sha256:${'0'.repeat(64)}`)
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('somebody else made it')])

    const envelope = JSON.parse(await readFile(file, 'utf8')) as SignedEnvelope
    const own = JSON.parse(Buffer.from(envelope.payload, 'base64').toString()) as MigrationCertificate
    const forged = { ...own, server: { ...own.server, hostname: 'another' } }
    const [signature] = envelope.signatures
    for (const changed of [
      { ...envelope, payload: Buffer.from(JSON.stringify(forged)).toString('base64') },
      { ...envelope, signatures: [{ ...signature, sig: Buffer.alloc(64).toString('base64') }] },
      { ...envelope, signatures: [{ ...signature, publicKey: 'AAAA' }] },
      { ...envelope, signatures: [{ ...signature, keyid: `sha256:${'0'.repeat(64)}` }] },
    ]) {
      await writeFile(file, JSON.stringify(changed))
      expect((await certificate('verify', file)).stderr).toContain('is not genuine')
    }
    for (const [text, reason] of [
      ['hello', 'it is not JSON'],
      ['{}', 'is no certificate of a migration'],
      [JSON.stringify({ ...envelope, payloadType: 'text/plain' }), 'is no certificate of a migration'],
    ] as const) {
      await writeFile(file, text)
      expect((await certificate('verify', file)).stderr).toContain(reason)
    }
  },
)

it('there is none before a cutover is final, and all are signed with the same key', async () => {
  const { sourceServerId } = await enrolServer(cli.gateway)
  const refused = await certificate('get', sourceServerId, file)
  expect(refused.stderr).toContain('its migration is complete once its cutover is finalized')
  const token = await cli.gateway.apiToken('viewer')
  const get = async (id: string) => {
    const headers = { authorization: `Bearer ${token}` }
    const response = await cli.gateway.app.request(`/api/v1/servers/${id}/certificate`, { headers })
    return ((await response.json()) as SignedEnvelope).signatures[0]?.keyid
  }
  const id = await cutOver()
  const keys = await Promise.all([get(id), get(id), get(id)])
  expect(new Set(keys).size).toBe(1)
  expect(keys[0]).toMatch(/^sha256:/)
})
