import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { TraceInstance } from '../../../agent/tracking/trace_instance.ts'
import { isInMemory, runFolder } from '../../../agent/tracking/run_folder.ts'
import { traceInstanceName, trackKey } from '../../../agent/tracking/track_folder.ts'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { makeSparseFile, TestReplicator } from '../replicator/test_replicator.ts'
import { AgentProcess } from './agent_process.ts'
import { FakeAgentGateway } from './fake_agent_gateway.ts'
import { digestOf, isRoot, LoopDisk } from './loop_disk.ts'

const mib = 2 ** 20
const block = 65_536
const sizeBytes = 64 * mib

describe.runIf(isRoot)('an agent that is killed', () => {
  let folder: string
  let disk: LoopDisk
  let replicator: TestReplicator
  let gateway: FakeAgentGateway
  let url: string
  let agent: AgentProcess | undefined
  let isMounted = false

  // /run is in memory on every machine that systemd starts; not in every container.
  beforeAll(async () => {
    if (await isInMemory(runFolder)) return
    await mkdir(runFolder, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=700', 'rehost', runFolder])
    isMounted = true
  })

  afterAll(() => {
    // Other tests' agents may have files of theirs open there.
    if (isMounted) execFileSync('umount', ['-l', runFolder])
  })

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-agent-killed-'))
    disk = await LoopDisk.make(sizeBytes / mib)
    replicator = await TestReplicator.start()
    gateway = new FakeAgentGateway(replicator.ca)
    url = await gateway.start()
    await writeFile(join(folder, 'ca.pem'), replicator.ca.caPem)
  })

  afterEach(async () => {
    await kill()
    await gateway.stop()
    await replicator.end()
    const key = trackKey(join(folder, 'state'))
    expect(await TraceInstance.remove(traceInstanceName(key))).toBe(true)
    rmSync(join(runFolder, key), { recursive: true, force: true })
    rmSync(folder, { recursive: true, force: true })
    await disk.remove()
  })

  async function kill(): Promise<void> {
    agent?.child.kill('SIGKILL')
    await agent?.ended
    agent = undefined
  }

  /** A new run, until it has been heard. */
  async function start(): Promise<AgentProcess> {
    const { generation } = gateway
    const places = [
      '--gateway-url',
      url,
      '--ca-file',
      join(folder, 'ca.pem'),
      '--state-dir',
      join(folder, 'state'),
    ]
    const own = new AgentProcess(['run', ...places, '--devices', disk.device, '--token', gateway.token])
    agent = own
    await until(
      'a new run is heard',
      () => Promise.resolve((gateway.last?.generation ?? 0) > generation),
      30_000,
      20,
    )
    return own
  }

  async function replicate(): Promise<void> {
    makeSparseFile(replicator.volumePath(0), sizeBytes)
    await replicator.assign(replicator.assignment([sizeBytes], { certificateSerials: [...gateway.serials] }))
    gateway.desired = {
      ...gateway.desired,
      mode: 'REPLICATE',
      replicator: { replicationServerId: 'i-1', address: '127.0.0.1', port: replicator.listener.port },
      disks: [{ diskIndex: 0, deviceName: disk.device, stableId: disk.device, volumeId: 'vol-0', sizeBytes }],
    }
  }

  /** Everything written up to now is durable. */
  async function untilCaughtUp(): Promise<void> {
    const from = Date.now()
    await until(
      'everything is durable',
      () =>
        Promise.resolve(
          gateway.last?.generation === gateway.generation &&
            gateway.last.state === 'CONTINUOUS' &&
            Date.parse(gateway.last.lastConsistentAt ?? '') > from,
        ),
      30_000,
      20,
    )
  }

  it('goes on without comparing, and sends what changed before and after its end', async () => {
    const random = seededRandom(seedFor('killed agent'))
    await disk.write(0, randomBytesFrom(random, 32 * mib))
    await start()
    await replicate()
    await untilCaughtUp()
    // What is outstanding is written down once a second.
    await new Promise((resolve) => setTimeout(resolve, 1500))
    let uncompared = 0
    // On a machine with much else to do each of three kills may fall where it leaves no proof.
    for (let round = 0; round < 3 || (uncompared === 0 && round < 30); round++) {
      for (let writes = 0; writes < 10; writes++)
        await disk.write(randomInt(random, 0, sizeBytes / block - 1) * block, randomBytesFrom(random, 4096))
      await new Promise((resolve) => setTimeout(resolve, randomInt(random, 0, 60)))
      await kill()
      for (let writes = 0; writes < 10; writes++)
        await disk.write(randomInt(random, 0, sizeBytes / block - 1) * block, randomBytesFrom(random, 4096))
      const next = await start()
      await untilCaughtUp()
      expect(await digestOf(replicator.volumePath(0))).toBe(await disk.digest())
      // A kill that fell between reading events and noting that leaves no proof, and is told as that.
      if (next.output.includes('because the run before was killed while it read')) continue
      uncompared += 1
      expect(next.output).toContain(`Disk ${disk.device} goes on where the run before was`)
      expect(next.output).not.toContain('is compared with its copy')
      // The blocks of this round's writes, and of those of the last one that had not been written down as done.
      expect(gateway.last?.sentBytes).toBeLessThanOrEqual(40 * block)
    }
    expect(uncompared).toBeGreaterThan(0)
  })

  it('compares, and says why, when another run under its identity has written to the copy meanwhile', async () => {
    const random = seededRandom(seedFor('foreign run'))
    await disk.write(0, randomBytesFrom(random, 4 * mib))
    await start()
    await replicate()
    await untilCaughtUp()
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await kill()
    gateway.generation += 1
    const next = await start()
    await untilCaughtUp()
    expect(next.output).toMatch(
      /is compared with its copy, because the run before \(2\) was not this machine's \(1\)/,
    )
    expect(await digestOf(replicator.volumePath(0))).toBe(await disk.digest())
  })
})
