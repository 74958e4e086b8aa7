import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FreezeHelper } from '../../../agent/consistency/freeze_helper.ts'
import { until } from '../../fixtures/waiting.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'

const helperModule = join(import.meta.dirname, '../../../agent/consistency/freeze_helper.ts')

describe.runIf(isRoot)('FreezeHelper', () => {
  let disk: LoopDisk

  beforeEach(async () => {
    disk = await LoopDisk.make(32)
    await disk.mount()
  })

  afterEach(async () => {
    await disk.remove()
  })

  /** Begins to make a file; a frozen file system lets it wait. */
  function touch(): { isDone: boolean } {
    const result = { isDone: false }
    spawn('touch', [join(disk.mountPoint, 'probe')]).once('close', () => {
      result.isDone = true
    })
    return result
  }

  const untilDone = async (probe: { isDone: boolean }, withinMs: number): Promise<void> => {
    await until('the file system is writable', () => Promise.resolve(probe.isDone), withinMs, 10)
  }

  it('freezes until it is told to thaw', async () => {
    const helper = new FreezeHelper([disk.mountPoint], 5000)
    await helper.freeze()
    const probe = touch()
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(probe.isDone).toBe(false)
    expect(await helper.thaw()).toEqual({ isGood: true })
    await untilDone(probe, 1000)
  })

  it('thaws by itself when its time is up, and says afterwards that it did', async () => {
    const helper = new FreezeHelper([disk.mountPoint], 500)
    await helper.freeze()
    const probe = touch()
    await untilDone(probe, 4000)
    expect(await helper.thaw()).toEqual({
      isGood: false,
      reason: 'it took too long and the file systems were thawed',
    })
  })

  it('thaws through its guard when the helper itself is killed', async () => {
    const helper = new FreezeHelper([disk.mountPoint], 500)
    await helper.freeze()
    const probe = touch()
    const [main = 0] = helper.processIds
    // The whole group, as a clumsy administrator would.
    process.kill(-main, 'SIGKILL')
    await untilDone(probe, 5000)
    expect(await helper.thaw()).toMatchObject({ isGood: false })
  })

  it('thaws at once when the process that froze is killed', async () => {
    const script = `
      import { FreezeHelper } from ${JSON.stringify(helperModule)}
      const helper = new FreezeHelper([${JSON.stringify(disk.mountPoint)}], 20000)
      await helper.freeze()
      process.stdout.write('frozen\\n')
      setInterval(() => undefined, 1000)`
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', script],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    await once(child.stdout, 'data')
    const probe = touch()
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(probe.isDone).toBe(false)
    child.kill('SIGKILL')
    await untilDone(probe, 2000)
  })

  it('is deaf to the signals that stop a service', async () => {
    const helper = new FreezeHelper([disk.mountPoint], 5000)
    await helper.freeze()
    for (const pid of helper.processIds) process.kill(pid, 'SIGTERM')
    expect(await helper.thaw()).toEqual({ isGood: true })
  })

  it('thaws the others when one cannot be frozen, and says which', async () => {
    const helper = new FreezeHelper([disk.mountPoint, '/proc'], 5000)
    await expect(helper.freeze()).rejects.toThrow(/Cannot freeze \/proc/)
    await untilDone(touch(), 1000)
  })

  it('freezes nothing when it is cancelled before', async () => {
    const helper = new FreezeHelper([disk.mountPoint], 5000)
    helper.cancel()
    await untilDone(touch(), 1000)
  })
})
