/**
 * Conversations with the runner in a guest, by the socket that QEMU joins to the guest's port. The host says a line, the guest answers with
 * one:
 * ```
 * run ID SECONDS FOLDER LENGTH SCRIPT      state ID RUNNING
 * look ID                                  state ID UNKNOWN|REFUSED
 *                                          state ID DONE EXITED|TIMED_OUT|INTERRUPTED CODE LENGTH OUTPUT
 * ```
 * Folder, script and output are base64, `-` stands for none, and a length is that of the text after it: what a connection that ended left
 * half said is not taken for the whole. A command that the guest knows is not run again, so each line may be said any number of times.
 * @module
 */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import type { ShellScript } from '../../domain/command_document.ts'
import type { CommandId } from '../../domain/ids.ts'
import { withLock } from './lock.ts'
import { machineFiles } from './machine_command.ts'

/** What the guest says of a command. */
export type RunnerAnswer =
  | { state: 'RUNNING' }
  | { state: 'UNKNOWN' }
  | { state: 'REFUSED' }
  | { state: 'DONE'; how: 'EXITED' | 'TIMED_OUT' | 'INTERRUPTED'; exitCode: number; output: string }

/** A runner whose port was closed looks every two seconds whether it is open; without KVM all is slow. */
const answerTimeoutMs = 6000
/** A guest is not trusted: what says more than this, and nothing that is meant, has said nothing. */
const maxAnswerBytes = 256 * 1024

/** Has the guest run a script. */
export function runLine(id: CommandId, { text, workingDirectory, timeoutSeconds }: ShellScript): string {
  const script = base64(text)
  const folder = workingDirectory === undefined ? '-' : base64(workingDirectory)
  return `run ${id} ${timeoutSeconds} ${folder} ${script.length} ${script}`
}

/** Asks how it goes. */
export function lookLine(id: CommandId): string {
  return `look ${id}`
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

/**
 * Says `line` to the runner of the machine in `folder` and waits for what it answers of `id`. Undefined when it does not in time, as while
 * the guest starts, or when the machine does not run.
 */
export async function askRunner(
  folder: string,
  id: CommandId,
  line: string,
): Promise<RunnerAnswer | undefined> {
  return await withLock(`${folder}/${machineFiles.commandSocket}`, async () => {
    // A socket's path may have 107 bytes and a data folder's may have more; through the open folder it always fits.
    const opened = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
    const socket = connect(`/proc/self/fd/${opened.fd}/${machineFiles.commandSocket}`)
    try {
      // Whatever ends it, there is no answer; why the machine does not run is asked elsewhere.
      const ended = new Promise<undefined>((resolve) => socket.once('close', () => resolve(undefined)))
      socket.on('error', () => undefined)
      // The line end before it ends what an earlier connection left.
      socket.write(`\n${line}\n`)
      const timer = setTimeout(() => socket.destroy(), answerTimeoutMs)
      try {
        return await Promise.race([answerIn(socket, id), ended])
      } finally {
        clearTimeout(timer)
      }
    } finally {
      socket.destroy()
      await opened.close()
    }
  })
}

/** The first line about `id` that is whole. Never when none comes. */
function answerIn(socket: Socket, id: CommandId): Promise<RunnerAnswer> {
  return new Promise((resolve) => {
    let text = ''
    let receivedBytes = 0
    socket.setEncoding('latin1')
    socket.on('data', (part: string) => {
      receivedBytes += part.length
      if (receivedBytes > maxAnswerBytes) {
        socket.destroy()
        return
      }
      const lines = (text + part).split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        const answer = readAnswer(line, id)
        if (answer !== undefined) resolve(answer)
      }
    })
  })
}

const done = /^DONE (EXITED|TIMED_OUT|INTERRUPTED) (\d{1,3}) (\d{1,6}) ([A-Za-z0-9+/=]+|-)$/

/** A line of the runner about `id`; undefined for any other, and for one that is cut. Pure. */
export function readAnswer(line: string, id: CommandId): RunnerAnswer | undefined {
  const begin = `state ${id} `
  const plain = line.replace(/\r$/, '')
  if (!plain.startsWith(begin)) return undefined
  const rest = plain.slice(begin.length)
  if (rest === 'RUNNING' || rest === 'UNKNOWN' || rest === 'REFUSED') return { state: rest }
  const [, how, code, length, output = ''] = done.exec(rest) ?? []
  if (how === undefined) return undefined
  const encoded = output === '-' ? '' : output
  if (encoded.length !== Number(length)) return undefined
  return {
    state: 'DONE',
    how: how as 'EXITED' | 'TIMED_OUT' | 'INTERRUPTED',
    exitCode: Number(code),
    output: Buffer.from(encoded, 'base64').toString('utf8'),
  }
}
