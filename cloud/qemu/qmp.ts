/**
 * A client of QMP, the JSON protocol by which a running QEMU is asked and told things.
 * @module
 */
import { once } from 'node:events'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect } from 'node:net'
import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { z } from 'zod'
import { withLock } from './lock.ts'

const answerSchema = z.object({
  QMP: z.unknown().optional(),
  return: z.unknown().optional(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
  event: z.string().optional(),
  id: z.number().optional(),
})

/** Name of the socket in a machine's folder. */
export const qmpSocketName = 'qmp.sock'

/** QEMU refused a command; the message is QEMU's. */
export class QmpError extends Error {
  override name = 'QmpError'
  /** QEMU's error class, e.g. `GenericError`, `DeviceNotFound`. */
  readonly errorClass: string
  constructor(message: string, errorClass: string) {
    super(message)
    this.errorClass = errorClass
  }
}

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** One conversation. Every command has a deadline; when the connection ends, all that wait are told. */
export class Qmp {
  readonly #output: Writable
  readonly #lines: Interface
  readonly #waiting = new Map<number, Waiting>()
  readonly #onEvent: (name: string) => void
  #lastId = 0
  #ended: Error | undefined

  /** Speaks over two streams. `onEvent` gets the name of each event, e.g. `STOP`. */
  constructor(input: Readable, output: Writable, onEvent: (name: string) => void = () => undefined) {
    this.#output = output
    this.#onEvent = onEvent
    this.#lines = createInterface({ input })
    this.#lines.on('line', (line) => this.#receive(line))
    this.#lines.on('close', () => this.#end(new Error('Cannot talk to QEMU: it closed the connection')))
    // The line reader passes on the errors of its input, and an error nobody listens to ends the process.
    for (const source of [output, this.#lines]) {
      source.on('error', (error: Error) => this.#end(new Error('Cannot talk to QEMU', { cause: error })))
    }
  }

  /** Ends the negotiation, after which commands are taken. QEMU queues it until it has sent its greeting. */
  async begin(timeoutMs: number): Promise<void> {
    await this.execute('qmp_capabilities', {}, timeoutMs)
  }

  /** Runs a command and returns its answer. @throws QmpError when QEMU refuses, Error when it is gone or late. */
  async execute(command: string, args: Record<string, unknown> = {}, timeoutMs = 10_000): Promise<unknown> {
    if (this.#ended !== undefined) throw this.#ended
    this.#lastId += 1
    const id = this.#lastId
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const timer = setTimeout(() => {
      reject(new Error(`Cannot run ${command} in QEMU: no answer in ${timeoutMs / 1000} s`))
    }, timeoutMs)
    this.#waiting.set(id, { resolve, reject })
    this.#output.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting.delete(id)
    }
  }

  #receive(line: string): void {
    let answer: z.infer<typeof answerSchema>
    try {
      answer = answerSchema.parse(JSON.parse(line))
    } catch (error) {
      this.#end(new Error(`Cannot understand QEMU: ${line.slice(0, 200)}`, { cause: error }))
      return
    }
    if (answer.event !== undefined) this.#onEvent(answer.event)
    const waiting = answer.id === undefined ? undefined : this.#waiting.get(answer.id)
    if (answer.error !== undefined) waiting?.reject(new QmpError(answer.error.desc, answer.error.class))
    else waiting?.resolve(answer.return)
  }

  #end(error: Error): void {
    this.#ended ??= error
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended)
    this.#waiting.clear()
  }
}

/**
 * Talks to the machine in `folder` for as long as `work` takes. QEMU serves one client at a time, so conversations are short and one
 * after another.
 * @throws Error when nothing listens there (code ENOENT or ECONNREFUSED) or QEMU gives no answer.
 */
export async function withMachine<T>(folder: string, work: (qmp: Qmp) => Promise<T>): Promise<T> {
  return await withLock(`${folder}/${qmpSocketName}`, async () => {
    // A socket's path may have 107 bytes and a data folder's may have more; through the open folder it always fits.
    const opened = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      const socket = connect(`/proc/self/fd/${opened.fd}/${qmpSocketName}`)
      try {
        await once(socket, 'connect')
        const qmp = new Qmp(socket, socket)
        await qmp.begin(10_000)
        return await work(qmp)
      } finally {
        socket.destroy()
      }
    } finally {
      await opened.close()
    }
  })
}
