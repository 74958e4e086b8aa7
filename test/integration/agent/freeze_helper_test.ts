import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FreezeHelper } from '../../../agent/consistency/freeze_helper.ts'
import { errorMessage } from '../../../domain/errors.ts'
import { sendSignal } from '../../fixtures/signals.ts'
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
    const helper = await FreezeHelper.start([disk.mountPoint], 5000)
    await helper.freeze()
    const probe = touch()
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(probe.isDone).toBe(false)
    expect(await helper.thaw()).toEqual({ isGood: true })
    await untilDone(probe, 1000)
  })

  it('thaws by itself when its time is up, and says afterwards that it did', async () => {
    const helper = await FreezeHelper.start([disk.mountPoint], 500)
    await helper.freeze()
    const probe = touch()
    await untilDone(probe, 4000)
    expect(await helper.thaw()).toEqual({
      isGood: false,
      reason: 'it took too long and the file systems were thawed',
    })
  })

  it('thaws through its guard when the helper itself is killed', async () => {
    const helper = await FreezeHelper.start([disk.mountPoint], 500)
    await helper.freeze()
    const probe = touch()
    const [main] = helper.processIds
    // The whole group, as a clumsy administrator would.
    sendSignal(main, 'SIGKILL', 'group')
    await untilDone(probe, 5000)
    expect(await helper.thaw()).toMatchObject({ isGood: false })
  })

  it('thaws at once when the process that froze is killed', async () => {
    const script = `
      import { FreezeHelper } from ${JSON.stringify(helperModule)}
      const helper = await FreezeHelper.start([${JSON.stringify(disk.mountPoint)}], 20000)
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
    const helper = await FreezeHelper.start([disk.mountPoint], 5000)
    await helper.freeze()
    for (const pid of helper.processIds) sendSignal(pid, 'SIGTERM')
    expect(await helper.thaw()).toEqual({ isGood: true })
  })

  it('thaws the others when one cannot be frozen, and says which', async () => {
    const helper = await FreezeHelper.start([disk.mountPoint, '/proc'], 5000)
    await expect(helper.freeze()).rejects.toThrow(/Cannot freeze \/proc/)
    await untilDone(touch(), 1000)
  })

  it('thaws the others when the freeze of one hangs in the kernel', async () => {
    // Its file lies in the file system that is frozen first, so that its own freeze can't write out what it holds.
    const inner = await LoopDisk.make(16, disk.mountPoint)
    try {
      await inner.mount()
      writeFileSync(join(inner.mountPoint, 'not written out'), randomBytes(1024 * 1024))
      const helper = await FreezeHelper.start([disk.mountPoint, inner.mountPoint], 500)
      const failed = helper.freeze().then(
        () => 'frozen',
        (error: unknown) => errorMessage(error),
      )
      const probe = touch()
      expect(await failed).toMatch(/^Cannot freeze the file systems/)
      await untilDone(probe, 1000)
      writeFileSync(join(inner.mountPoint, 'writable again'), 'yes')
    } finally {
      await inner.remove()
    }
  }, 30_000)

  it('freezes nothing when it is cancelled before', async () => {
    const helper = await FreezeHelper.start([disk.mountPoint], 5000)
    helper.cancel()
    await untilDone(touch(), 1000)
  })
})

describe('FreezeHelper.start()', () => {
  it('says why when the machine has no room for the helpers, and harms nobody', () => {
    const script = `
      import { closeSync, openSync } from 'node:fs'
      import { FreezeHelper } from ${JSON.stringify(helperModule)}
      const held = []
      try {
        for (;;) held.push(openSync('/dev/null'))
      } catch {}
      const seen = []
      for (let free = 0; free < 8; free++) {
        for (const file of held.splice(0, free)) closeSync(file)
        seen.push(await FreezeHelper.start(['/nowhere'], 500).then(
          (helper) => { helper.cancel(); return 'started' },
          (error) => error.message))
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      console.log(JSON.stringify(seen))`
    const child = spawnSync(
      'prlimit',
      [
        '--nofile=64',
        process.execPath,
        '--disable-warning=ExperimentalWarning',
        '--input-type=module-typescript',
        '-e',
        script,
      ],
      { encoding: 'utf8' },
    )
    expect(child.stderr).toBe('')
    const seen = JSON.parse(child.stdout) as string[]
    expect(new Set(seen)).toEqual(new Set(['spawn /bin/sh EMFILE', 'started']))
    expect([seen[0], seen.at(-1)]).toEqual(['spawn /bin/sh EMFILE', 'started'])
  }, 30_000)
})
