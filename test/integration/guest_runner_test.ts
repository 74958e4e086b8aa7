import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { RunnerAnswer } from '../../cloud/qemu/command_port.ts'
import { askRunner, lookLine, readAnswer, runLine } from '../../cloud/qemu/command_port.ts'
import type { CommandId } from '../../domain/ids.ts'
import { newId } from '../../domain/ids.ts'
import { GuestRunner } from '../fixtures/guest_runner.ts'
import { processesBelow } from '../fixtures/qemu_cloud.ts'
import { until } from '../fixtures/waiting.ts'

/** The runner that conversion puts into guests, with the shell of this host, by the socket that the QEMU cloud asks. */
let folder: string
let machine: string
let guest: GuestRunner

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-runner-'))
  machine = join(folder, 'machine')
  await mkdir(machine)
  guest = await GuestRunner.start(machine, join(folder, 'guest'))
})

afterEach(async () => {
  await guest.stop()
  await rm(folder, { recursive: true, force: true })
})

const marks = () => readFile(join(folder, 'marks'), 'utf8').catch(() => '')
const script = (text: string, timeoutSeconds = 60) => ({
  text: `${text}\n`,
  timeoutSeconds,
  workingDirectory: folder,
})

async function ended(id: CommandId): Promise<RunnerAnswer> {
  return until(`${id} is over`, async () => {
    const answer = await askRunner(machine, id, lookLine(id))
    return answer?.state === 'DONE' ? answer : undefined
  })
}

describe('the runner', () => {
  it('keeps how a command ended, runs it once, and forgets its script', async () => {
    const id = newId('command')
    const line = runLine(id, script('echo ran >>marks; echo "in $PWD as $HOME"; umask; exit 7'))
    expect(await askRunner(machine, id, lookLine(id))).toEqual({ state: 'UNKNOWN' })
    expect(await askRunner(machine, id, line)).toEqual({ state: 'RUNNING' })
    const end = {
      state: 'DONE',
      how: 'EXITED',
      exitCode: 7,
      output: `in ${folder} as /root\n0022\n`,
    }
    expect(await ended(id)).toEqual(end)
    expect(await askRunner(machine, id, line)).toEqual(end)
    await guest.kill()
    guest.boot()
    expect(await ended(id)).toEqual(end)
    expect(await askRunner(machine, id, line)).toEqual(end)
    expect(await marks()).toBe('ran\n')
    const left = await readdir(join(guest.home, id))
    expect(left).toContain('ended')
    expect(left).not.toContain('script')
  })

  it('starts what names its own interpreter with that', async () => {
    const id = newId('command')
    await askRunner(machine, id, runLine(id, script('#!/usr/bin/env python3\nprint(6 * 7)')))
    expect(await ended(id)).toMatchObject({ exitCode: 0, output: '42\n' })
  })

  it('tells the end of a long output, and does not wait for what goes on in the background', async () => {
    const id = newId('command')
    const text = 'sleep 300 &\necho $! >pid\nseq 1 300000\necho the end'
    await askRunner(machine, id, runLine(id, script(text)))
    const end = await ended(id)
    const { output } = end as { output: string }
    expect(output).toHaveLength(16_384)
    expect(output.endsWith('299999\n300000\nthe end\n')).toBe(true)
    process.kill(Number(await readFile(join(folder, 'pid'), 'utf8')), 'SIGKILL')
  })

  it('ends a command that takes too long with all that it started, also one that will not', async () => {
    const id = newId('command')
    const text =
      'trap "" TERM\nsh -c \'trap "" TERM; sleep 600; echo late >>marks\' & echo $! >child\nwhile :; do sleep 1; done'
    await askRunner(machine, id, runLine(id, script(text, 1)))
    expect(await ended(id)).toMatchObject({ how: 'TIMED_OUT', exitCode: 137 })
    const child = Number(await readFile(join(folder, 'child'), 'utf8'))
    const state = await readFile(`/proc/${child}/stat`, 'utf8').catch(() => 'gone')
    expect(state === 'gone' || / Z /.test(state)).toBe(true)
    expect(await marks()).toBe('')
  })

  it('finds again what ran on when it was killed', async () => {
    const id = newId('command')
    await askRunner(machine, id, runLine(id, script('while [ ! -e go ]; do sleep 0.1; done; echo went')))
    await until('it has begun', async () => (await readdir(join(guest.home, id))).includes('pid'))
    await guest.kill()
    guest.boot()
    expect(await askRunner(machine, id, lookLine(id))).toEqual({ state: 'RUNNING' })
    await writeFile(join(folder, 'go'), '')
    const end = { state: 'DONE', how: 'EXITED', exitCode: 0, output: 'went\n' }
    expect(await ended(id)).toEqual(end)
    // What the first runner had begun waited for it, too, and must not end it once more.
    const waiting = () => processesBelow(join(folder, 'guest'))
    await until('the runner alone is there', async () => (await waiting()).length === 1)
    expect(await askRunner(machine, id, lookLine(id))).toEqual(end)
  })

  it('says what a restart of the machine has cut short, and does not begin it again', async () => {
    const id = newId('command')
    const line = runLine(id, script('echo begun >>marks; echo $$ >pid; sleep 600'))
    await askRunner(machine, id, line)
    await until('it has begun', async () => (await marks()) !== '')
    await guest.powerOff()
    process.kill(-Number(await readFile(join(folder, 'pid'), 'utf8')), 'SIGKILL')
    // Each boot has another id.
    await writeFile(join(guest.home, id, 'boot'), 'another\n')
    guest.boot()
    expect(await ended(id)).toMatchObject({ how: 'INTERRUPTED', exitCode: 255 })
    expect(await askRunner(machine, id, line)).toMatchObject({ how: 'INTERRUPTED' })
    expect(await marks()).toBe('begun\n')
  })

  it('takes nothing that is only half said, or is no command', async () => {
    const id = newId('command')
    const line = runLine(id, script('echo ran >>marks'))
    // The answer is to the next line: this one was none.
    for (const wrong of [
      line.slice(0, -3),
      `run ${id} 60 - 0`,
      'run ../../x 60 - 4 aaaa',
      'look',
      '$(reboot)',
    ])
      expect(await askRunner(machine, id, `${wrong}\n${lookLine(id)}`)).toEqual({ state: 'UNKNOWN' })
    expect((await readdir(guest.home)).filter((name) => name !== '.new')).toEqual([])
    expect(await marks()).toBe('')
  })

  it('says when it cannot keep a command', async () => {
    const id = newId('command')
    await askRunner(machine, id, lookLine(id))
    await rm(guest.home, { recursive: true })
    await writeFile(guest.home, 'no folder')
    expect(await askRunner(machine, id, runLine(id, script('echo ran >>marks')))).toEqual({
      state: 'REFUSED',
    })
    expect(await marks()).toBe('')
  })

  it('is not heard while it does not run', async () => {
    await guest.stop()
    expect(await askRunner(machine, newId('command'), 'look')).toBeUndefined()
  })
})

describe('readAnswer()', () => {
  const id = 'cmd-00000000000000001' as CommandId
  const done = `state ${id} DONE EXITED 0 8 aGVsbG8=`

  it('reads what is whole and about the command', () => {
    expect(readAnswer(done, id)).toEqual({ state: 'DONE', how: 'EXITED', exitCode: 0, output: 'hello' })
    expect(readAnswer(`state ${id} DONE TIMED_OUT 137 0 -`, id)).toMatchObject({ output: '' })
  })

  it.each([
    done.slice(0, -1),
    done.replace('aGVs', '<b>x'),
    done.replace('EXITED 0', 'EXITED -1'),
    done.replace('EXITED', 'DONE'),
    done.replace('0001 ', '0002 '),
    `x${done}`,
    `state ${id}`,
    '',
  ])('takes nothing else: %s', (line) => expect(readAnswer(line, id)).toBeUndefined())
})
