/**
 * Another disk under the name of one that is replicated: real agent and replicator, loop devices, contents compared.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { rename, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDevice } from '../../../agent/disk/device_source.ts'
import { systemClock } from '../../../agent/clock.ts'
import { randomBytesFrom, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { TestReplicator } from '../replicator/test_replicator.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'
import { TestEngine } from './test_engine.ts'

const mib = 2 ** 20
const sizeBytes = 16 * mib

describe.runIf(isRoot)('another disk under the name of one that is replicated', () => {
  const disks: LoopDisk[] = []
  let folder: string
  let replicator: TestReplicator
  let test: TestEngine | undefined

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-other-'))
    replicator = await TestReplicator.start()
  })

  afterEach(async () => {
    await test?.end()
    test = undefined
    await replicator.end()
    for (const disk of disks.splice(0)) await disk.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  async function makeDisk(): Promise<LoopDisk> {
    const disk = await LoopDisk.make(16)
    disks.push(disk)
    return disk
  }

  /** What the name stands for from now on; as a link, because a loop device in use can't be taken away. */
  async function attach(name: string, disk: LoopDisk): Promise<void> {
    await symlink(disk.device, `${name}.new`)
    await rename(`${name}.new`, name)
  }

  async function attachmentOf(name: string): Promise<string> {
    const source = await openDevice(name, systemClock)
    await source.close()
    return source.identity.attachmentId ?? ''
  }

  it.each(['while the agent runs', 'while it does not'])(
    'that is attached %s is never copied over the only copy of the former one, and all others go on',
    async (when) => {
      const random = seededRandom(seedFor('another disk'))
      const [stays, former, blank] = [await makeDisk(), await makeDisk(), await makeDisk()]
      for (const disk of [stays, former]) await disk.write(0, randomBytesFrom(random, 6 * mib))
      const name = join(folder, 'data')
      await attach(name, former)
      const attachmentId = await attachmentOf(name)
      expect(attachmentId).toMatch(/^[0-9a-f-]{36}\/\d+$/)
      const options = {
        disks: [
          { deviceName: stays.device, sizeBytes },
          { deviceName: name, sizeBytes, attachmentId },
        ],
      }
      let run = await TestEngine.start(replicator, options)
      test = run
      await run.untilContinuous()
      await run.untilCaughtUp()
      if (when === 'while the agent runs') await attach(name, blank)
      else {
        await run.stop()
        await attach(name, blank)
        run = await TestEngine.start(replicator, { ...options, generation: 2, stateFolder: run.stateFolder })
        test = run
      }
      await until('it is told', () => Promise.resolve(run.engine.report().error), 30_000, 20)
      await until('the other goes on', () =>
        Promise.resolve(run.engine.report().isConnected && run.engine.report().disks.length === 1),
      )
      const { error } = run.engine.report()
      expect(error).toMatchObject({ error: 'UNSUPPORTED_VM_CONFIGURATION' })
      expect(error?.rawError).toContain(`Disk ${name} was detached, and nothing tells`)
      expect(error?.whatToDo).toContain('Rescan disks')
      await until('it is stalled', () => Promise.resolve(run.engine.report().state === 'STALLED'))
      const stoppedAtMs = Date.now()
      await stays.write(8 * mib, randomBytesFrom(random, mib))
      const wanted = await stays.digest()
      await until('the other is copied', async () => (await run.volumeDigest(0)) === wanted, 30_000, 50)
      expect(run.engine.report().lastConsistentAtMs ?? 0).toBeLessThan(stoppedAtMs)
      await expect(run.reachPoint('cp-1')).rejects.toThrow(
        /nothing tells whether.*without it no copy is whole/,
      )
      const { consistencyPoint: _, ...rest } = run.desired
      run.desired = rest
      run.apply()
      expect(await run.volumeDigest(1)).toBe(await former.digest())

      await former.write(9 * mib, randomBytesFrom(random, mib))
      await attach(name, former)
      await run.untilContinuous()
      await run.untilCaughtUp()
      expect(run.engine.report().error).toBeUndefined()
      for (const [index, disk] of [stays, former].entries())
        expect(await run.volumeDigest(index)).toBe(await disk.digest())
      await run.assignPoint('cp-2', 'TAKEN')
      await run.reachPoint('cp-3')
    },
  )
})
