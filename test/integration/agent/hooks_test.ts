/**
 * Hooks around a freeze, with real scripts and processes: order, bounds, whose they may be, and that the latter ones run whatever happens.
 */
import { spawn } from 'node:child_process'
import { chmod, chown, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HookHelper } from '../../../agent/consistency/hook_helper.ts'
import { findHooks } from '../../../agent/consistency/hooks.ts'
import { sendSignal } from '../../fixtures/signals.ts'
import { until } from '../../fixtures/waiting.ts'
import { TestReplicator } from '../replicator/test_replicator.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'
import { TestEngine } from './test_engine.ts'

const bounds = { timeoutSeconds: 2, holdSeconds: 5 }

describe.runIf(isRoot)('hooks', () => {
  let folder: string
  let hooksFolder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rehost-hooks-'))
    hooksFolder = join(folder, 'hooks.d')
    for (const phase of ['pre-freeze', 'post-thaw'])
      await mkdir(join(hooksFolder, phase), { recursive: true, mode: 0o755 })
  })

  afterEach(() => rm(folder, { recursive: true, force: true }))

  const logFile = () => join(folder, 'log')
  const lines = async () => (await readFile(logFile(), 'utf8').catch(() => '')).split('\n').filter(Boolean)

  /** A hook that writes its name and phase, then does more. */
  async function hook(phase: 'pre-freeze' | 'post-thaw', name: string, more = 'exit 0'): Promise<string> {
    const path = join(hooksFolder, phase, name)
    const script = `#!/bin/sh\necho "${name} $REHOST_PHASE $REHOST_CONSISTENCY_POINT" >> '${logFile()}'\n${more}\n`
    await writeFile(path, script)
    await chmod(path, 0o755)
    return path
  }

  it('run in the order of their names, the latter ones when told', async () => {
    for (const name of ['20-second', '10-first', 'broken.bak', '.hidden']) await hook('pre-freeze', name)
    await hook('post-thaw', '10-last')
    const helper = await HookHelper.start(await findHooks(hooksFolder), bounds, 'cp-1')
    expect(await helper.quiesce()).toBeUndefined()
    expect(await lines()).toEqual(['10-first pre-freeze cp-1', '20-second pre-freeze cp-1'])
    expect(await helper.release()).toEqual({ isLate: false })
    expect((await lines()).at(-1)).toBe('10-last post-thaw cp-1')
  })

  it.each([
    ['fails', 'exit 3', /10-bad: it ended with status 3/],
    ['hangs', 'trap "" TERM; sleep 60', /10-bad: it did not end within 2 s/],
  ])('stop at one that %s, and the latter ones run all the same', async (_how, more, reason) => {
    await hook('pre-freeze', '10-bad', more)
    await hook('pre-freeze', '20-never')
    await hook('post-thaw', '10-bad', 'exit 1')
    await hook('post-thaw', '20-good')
    const helper = await HookHelper.start(await findHooks(hooksFolder), bounds, 'cp-1')
    expect(await helper.quiesce()).toMatch(reason)
    expect((await helper.release()).failure).toMatch(/^Post-thaw hooks failed: \S+10-bad$/)
    expect((await lines()).map((line) => line.split(' ')[0])).toEqual(['10-bad', '10-bad', '20-good'])
  })

  it('let applications go by themselves when the time is up, and say so', async () => {
    await hook('pre-freeze', '10-stop')
    await hook('post-thaw', '10-go')
    const short = { timeoutSeconds: 1, holdSeconds: 1 }
    const helper = await HookHelper.start(await findHooks(hooksFolder), short, 'cp-1')
    expect(await helper.quiesce()).toBeUndefined()
    await until('applications go on', async () => (await lines()).length === 2, 10_000, 20)
    expect(await helper.release()).toEqual({ isLate: true })
    expect(await lines()).toHaveLength(2)
  })

  it('let applications go when what runs them is killed', async () => {
    await hook('pre-freeze', '10-stop')
    await hook('post-thaw', '10-go')
    const helper = await HookHelper.start(await findHooks(hooksFolder), bounds, 'cp-1')
    await helper.quiesce()
    sendSignal(helper.processId, 'SIGKILL')
    expect(await helper.release()).toEqual({ isLate: true })
    expect((await lines()).at(-1)).toBe('10-go post-thaw cp-1')
  })

  it('let applications go when the agent is killed', async () => {
    await hook('pre-freeze', '10-stop')
    await hook('post-thaw', '10-go')
    const modules = join(import.meta.dirname, '../../../agent/consistency')
    const program = `
      const { HookHelper } = await import(${JSON.stringify(join(modules, 'hook_helper.ts'))})
      const { findHooks } = await import(${JSON.stringify(join(modules, 'hooks.ts'))})
      const helper = await HookHelper.start(await findHooks(${JSON.stringify(hooksFolder)}), { timeoutSeconds: 2, holdSeconds: 60 }, 'cp-1')
      await helper.quiesce()
      console.log('quiet')`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill('SIGKILL')
    await until('applications go on', async () => (await lines()).length === 2, 10_000, 20)
  })

  it('are refused unless they are root’s alone, with what to do', async () => {
    const path = await hook('pre-freeze', '10-stop')
    const refusal = () => findHooks(hooksFolder).then(String, String)
    await chmod(path, 0o775)
    expect(await refusal()).toContain(`chmod go-w ${path}`)
    await chmod(path, 0o644)
    expect(await refusal()).toContain(`chmod 755 ${path}`)
    await chmod(path, 0o755)
    await chown(path, 1000, 0)
    expect(await refusal()).toContain(`chown root:root ${path}`)
    await rm(path)
    await symlink('/bin/true', path)
    expect(await refusal()).toContain('is no file')
    await rm(path)
    await chmod(join(hooksFolder, 'post-thaw'), 0o777)
    expect(await refusal()).toContain('post-thaw may be written by others')
    await chmod(join(hooksFolder, 'post-thaw'), 0o755)
    await chmod(folder, 0o777)
    expect(await refusal()).toContain(`chmod go-w ${folder}`)
    expect(await findHooks(join(folder, 'none'))).toEqual({ preFreeze: [], postThaw: [] })
  })

  describe('of a server that is replicated', () => {
    const sizeBytes = 64 * 2 ** 20
    let disk: LoopDisk
    let replicator: TestReplicator
    let test: TestEngine

    beforeEach(async () => {
      disk = await LoopDisk.make(64)
      await disk.mount()
      replicator = await TestReplicator.start()
      test = await TestEngine.start(replicator, {
        disks: [{ deviceName: disk.device, sizeBytes }],
        context: { findHooks: () => findHooks(hooksFolder) },
      })
      await test.untilContinuous()
    })

    afterEach(async () => {
      await test.end()
      await replicator.end()
      await disk.remove()
    })

    const policy = {
      intervalMinutes: 0,
      maxFreezeMs: 5000,
      hookTimeoutSeconds: 2,
      maxHoldSeconds: 10,
      onHookFailure: 'FAIL' as const,
    }

    it('are around the freeze: what an application writes out before it is in the copy', async () => {
      const data = join(disk.mountPoint, 'data')
      await hook('pre-freeze', '10-write', `echo written > '${data}'`)
      await hook('post-thaw', '10-go', `rm '${data}'`)
      test.apply({ consistencyPolicy: policy })
      await test.reachPoint('cp-1')
      expect(await lines()).toEqual(['10-write pre-freeze cp-1', '10-go post-thaw cp-1'])
      expect((await readFile(replicator.volumePath(0))).includes(Buffer.from('written\n'))).toBe(true)
      const [outcome] = test.engine.report().pointOutcomes
      expect(outcome).toMatchObject({ method: 'FROZEN', hooks: 'RUN', freezes: 1 })
      expect(outcome?.longestHoldMs).toBeGreaterThan(outcome?.longestFreezeMs ?? 0)
      await test.releasePoint('cp-1')
    })

    it('are run for points by the policy too, which hold nothing back and keep nobody waiting', async () => {
      await hook('pre-freeze', '10-stop')
      await hook('post-thaw', '10-go')
      test.apply({ consistencyPolicy: { ...policy, intervalMinutes: 0.005 } })
      await until('two points are reached', () => {
        const states = new Set([test.engine.report().state])
        expect(states).not.toContain('CREATING_SNAPSHOT')
        return Promise.resolve(test.engine.report().pointOutcomes.length >= 2)
      })
      test.apply({ consistencyPolicy: policy })
      const { pointOutcomes } = test.engine.report()
      for (const outcome of pointOutcomes)
        expect(outcome).toMatchObject({ isScheduled: true, method: 'FROZEN', hooks: 'RUN' })
      expect(replicator.announced).toEqual([])
      // Another point may be under way, and a file system that is unmounted while it is frozen writes after it is thawed.
      await test.reachPoint('cp-after')
      await test.releasePoint('cp-after')
      // Nothing is held: what is written now arrives.
      await disk.unmount()
      await test.untilCaughtUp()
      expect(await test.volumeDigest()).toBe(await disk.digest())
    })

    it('that fail end the point, or leave it crash-consistent, by the policy; the latter run either way', async () => {
      await hook('pre-freeze', '10-bad', 'exit 1')
      await hook('post-thaw', '10-go')
      test.apply({ consistencyPolicy: policy })
      await expect(test.reachPoint('cp-1')).rejects.toThrow(/10-bad: it ended with status 1/)
      expect(await lines()).toHaveLength(2)
      test.apply({ consistencyPolicy: { ...policy, onHookFailure: 'CRASH_CONSISTENT' } })
      expect(await test.reachPoint('cp-2')).toMatchObject({ method: 'FROZEN' })
      expect(await lines()).toHaveLength(4)
      expect(test.engine.report().pointOutcomes).toMatchObject([
        { consistencyPointId: 'cp-1', hooks: 'FAILED', freezes: 0 },
        { consistencyPointId: 'cp-2', hooks: 'FAILED', method: 'FROZEN', freezes: 1 },
      ])
      await test.releasePoint('cp-2')
      // Nothing that was read under a freeze was lost.
      await disk.unmount()
      await test.untilCaughtUp()
      expect(await test.volumeDigest()).toBe(await disk.digest())
    })
  })
})
