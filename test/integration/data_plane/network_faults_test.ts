/**
 * The agent's engine and a replicator over real TLS, with a bad network between them: resets and ends at any byte, half-open connections,
 * delays and bytes that come one by one, over one to five connections. At the end both are identical.
 *
 * `SCHEDULES=N` runs N schedules, `REHOST_LONG=1` runs 20,000; `SEED=…` begins with that one.
 * @module
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forEachAtOnce } from '../../../agent/sync/scanner.ts'
import { agentUri } from '../../../wire/control_api.ts'
import { anyConnections } from '../../fixtures/connection_plans.ts'
import { randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import type { Assignment } from '../replicator/test_replicator.ts'
import { makeSparseFile, TestReplicator } from '../replicator/test_replicator.ts'
import { ImpatientClock } from './impatient_clock.ts'
import { SimAgent } from './sim_agent.ts'
import { SimSource } from './sim_source.ts'
import { anyContents, anyDiskBytes } from './sim_world.ts'
import type { ProxyManners } from './tcp_proxy.ts'
import { goodManners, TcpProxy } from './tcp_proxy.ts'

const seed = seedFor('network faults')
const schedules = Number(process.env['SCHEDULES'] ?? (process.env['REHOST_LONG'] === '1' ? 20_000 : 60))

/** Schedules under way together: half-open connections are found out by waiting. */
const atOnce = 12

let replicator: TestReplicator
let folder: string
const assignments = new Map<string, Assignment>()
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'rehost-network-'))
  replicator = await TestReplicator.start({ idleMs: 20_000 })
})
afterAll(async () => {
  await replicator.end()
  rmSync(folder, { recursive: true, force: true })
})

/** What is told of a connection that goes wrong somewhere. */
function anyManners(random: () => number, mayGoSilent: boolean): ProxyManners {
  const trickledBytes = random() < 0.1 ? randomInt(random, 1, 400) : 0
  const delayMs = random() < 0.2 ? randomInt(random, 1, 4) : 0
  if (random() < 0.2) return { trickledBytes, delayMs }
  const kind = mayGoSilent && random() < 0.5 ? 'SWALLOW' : random() < 0.7 ? 'RESET' : 'END'
  // Within the handshake, within the first frames, or after some.
  const most = [3000, 8000, 600_000][randomInt(random, 0, 2)] ?? 3000
  const direction = random() < 0.6 ? 'UP' : 'DOWN'
  return { trickledBytes, delayMs, fault: { kind, direction, afterBytes: randomInt(random, 0, most) } }
}

async function runSchedule(ownSeed: number, sourceServerId: string): Promise<void> {
  const random = seededRandom(ownSeed)
  const clock = new ImpatientClock(20)
  const size = anyDiskBytes(random)
  const own = (): (() => number) => seededRandom(randomInt(random, 0, 0x7fff_ffff))
  const source = new SimSource({
    deviceName: '/dev/disk0',
    bytes: anyContents(random, size),
    random: own(),
    nowMs: () => clock.monotonicMs(),
  })
  const certificate = await replicator.ca.issue({ uri: agentUri(sourceServerId) })
  const devicePath = join(folder, sourceServerId)
  makeSparseFile(devicePath, size)
  assignments.set(sourceServerId, {
    sourceServerId,
    certificateSerials: [certificate.serial],
    volumes: [{ diskIndex: 0, volumeId: `vol-${sourceServerId}`, devicePath, sizeBytes: size }],
  })
  await replicator.assign(...assignments.values())
  const proxy = await TcpProxy.start(replicator.listener.port, own())
  const mayGoSilent = random() < 0.1
  proxy.manners = () => anyManners(random, mayGoSilent)
  const agent = new SimAgent(
    {
      clock,
      sources: [source],
      untracked: new Set(),
      random: own(),
      lossChance: () => 0,
      connectionPlan: anyConnections(own()),
      complete: new Set(),
      rescanEpoch: 0,
      far: {
        sourceServerId,
        port: proxy.port,
        identity: {
          caPem: replicator.ca.caPem,
          certificatePem: certificate.certPem,
          keyPem: certificate.keyPem,
        },
      },
    },
    1,
  )
  try {
    for (let phase = randomInt(random, 2, 5); phase > 0; phase--) {
      for (let writes = randomInt(random, 1, 8); writes > 0; writes--) await source.writeSomewhere()
      await sleep(randomInt(random, 5, 60))
      if (random() < 0.2) proxy.resetAll()
    }
    proxy.manners = () => goodManners
    const since = clock.nowMs()
    await until(
      'everything is durable',
      () => Promise.resolve((agent.engine.report().lastConsistentAtMs ?? 0) > since),
      60_000,
      5,
    ).catch((cause: unknown) => {
      const { disks: _, ...report } = agent.engine.report()
      throw new Error([JSON.stringify(report), ...agent.logLines.slice(-8)].join('\n'), { cause })
    })
    expect(readFileSync(devicePath).equals(source.bytes), 'the copy is the same').toBe(true)
  } finally {
    await agent.kill()
    await proxy.end()
    assignments.delete(sourceServerId)
    await replicator.assign(...assignments.values())
    rmSync(devicePath)
  }
}

describe('replication over a bad network', () => {
  it(
    `ends with identical volumes in ${schedules} schedules`,
    async () => {
      const runs = Array.from({ length: schedules }, (_, run) => run)
      await forEachAtOnce(runs, atOnce, async (run) => {
        const ownSeed = (seed + run) >>> 0
        try {
          await runSchedule(ownSeed, `s-${run + 100}`)
        } catch (error) {
          throw new Error(`Failed with SEED=${ownSeed} SCHEDULES=1`, { cause: error })
        }
      })
    },
    120_000 + schedules * 1000,
  )
})
