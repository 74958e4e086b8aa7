/**
 * Runs commands in a guest through QEMU's guest agent: how the demonstration types on its own source server.
 * @module
 */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'

/** What a command came to. */
export interface GuestExecResult {
  exitCode: number
  stdout: string
  stderr: string
}

const answerTimeoutMs = 30_000
const lookAgainMs = 150

const startedSchema = z.object({ pid: z.int() })
const statusSchema = z.object({
  exited: z.boolean(),
  exitcode: z.int().optional(),
  'out-data': z.string().optional(),
  'err-data': z.string().optional(),
})

/** One question on a connection of its own: a guest that restarted has forgotten the old ones. */
function ask(socketPath: string, command: string, args: Record<string, unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: socketPath })
    let text = ''
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`The guest agent did not answer ${command} within ${answerTimeoutMs / 1000} s`))
    }, answerTimeoutMs)
    const end = (): void => {
      clearTimeout(timer)
      socket.destroy()
    }
    socket.once('error', (error) => {
      end()
      reject(error)
    })
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const line = text.indexOf('\n')
      if (line < 0) return
      end()
      const answer = JSON.parse(text.slice(0, line)) as { return?: unknown; error?: { desc?: string } }
      if (answer.error === undefined) resolve(answer.return)
      else reject(new Error(`The guest agent refused ${command}: ${answer.error.desc ?? 'no reason given'}`))
    })
    socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`)
  })
}

/** Whether the agent answers now. */
export async function guestAgentAnswers(socketPath: string): Promise<boolean> {
  return ask(socketPath, 'guest-ping', {}).then(
    () => true,
    () => false,
  )
}

/** Runs `command` by the guest's shell, as root, and waits for its end. */
export async function guestExec(
  socketPath: string,
  command: string,
  signal: AbortSignal,
): Promise<GuestExecResult> {
  const started = await ask(socketPath, 'guest-exec', {
    path: '/bin/sh',
    arg: ['-c', command],
    'capture-output': true,
  })
  const { pid } = startedSchema.parse(started)
  for (;;) {
    signal.throwIfAborted()
    const status = statusSchema.parse(await ask(socketPath, 'guest-exec-status', { pid }))
    if (status.exited) {
      const text = (data: string | undefined): string => Buffer.from(data ?? '', 'base64').toString('utf8')
      return {
        exitCode: status.exitcode ?? -1,
        stdout: text(status['out-data']),
        stderr: text(status['err-data']),
      }
    }
    await sleep(lookAgainMs, undefined, { signal })
  }
}
