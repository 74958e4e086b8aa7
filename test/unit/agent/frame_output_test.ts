import { Duplex } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { FrameOutput } from '../../../agent/sync/frame_output.ts'

/** A socket that takes one write at a time, when it is told to. */
class SlowSocket extends Duplex {
  /** Sizes of what was handed over at once. */
  readonly writes: number[][] = []
  #done: ((error?: Error) => void) | undefined

  override _read(): void {
    // Nothing comes.
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.writes.push([chunk.length])
    this.#done = done
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.writes.push(chunks.map(({ chunk }) => chunk.length))
    this.#done = done
  }

  /** What it was given is written. */
  async finish(error?: Error): Promise<void> {
    const done = this.#done
    this.#done = undefined
    done?.(error)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function frame(headBytes: number, payloadBytes: number) {
  const payload = new Uint8Array(payloadBytes)
  return { head: Buffer.alloc(headBytes), payload, sequence: 1, wireBytes: headBytes + payloadBytes }
}

describe('output of frames', () => {
  it('hands large payloads over one by one and small pieces together', async () => {
    const socket = new SlowSocket({ highWaterMark: 1 })
    let progress = 0
    const output = new FrameOutput(socket, () => (progress += 1))
    const written: string[] = []
    output.add(frame(40, 2 ** 20), () => written.push('first'))
    output.add(frame(40, 2 ** 20), () => written.push('second'))
    output.add(frame(40, 0), () => written.push('third'))
    output.add(frame(40, 4096), () => written.push('fourth'))
    expect(output.waitingBytes).toBe(2 * 2 ** 20 + 4 * 40 + 4096)
    for (let step = 0; step < 5; step++) await socket.finish()
    expect(socket.writes).toEqual([[40], [2 ** 20], [40], [2 ** 20], [40, 40, 4096]])
    expect(written).toEqual(['first', 'second', 'third', 'fourth'])
    expect(output.waitingBytes).toBe(0)
    expect(progress).toBe(5)
  })

  it('goes on after it has been idle', async () => {
    const socket = new SlowSocket()
    const output = new FrameOutput(socket, () => undefined)
    for (let round = 1; round <= 3; round++) {
      output.add(frame(round, 0))
      await socket.finish()
      expect(socket.writes.at(-1)).toEqual([round])
      expect(output.waitingBytes).toBe(0)
    }
  })

  it('writes nothing more, and calls nothing written, once the socket has failed', async () => {
    const socket = new SlowSocket()
    socket.on('error', () => undefined)
    const output = new FrameOutput(socket, () => undefined)
    const written: string[] = []
    output.add(frame(40, 2 ** 20), () => written.push('first'))
    output.add(frame(40, 0), () => written.push('second'))
    await socket.finish(new Error('broken'))
    await socket.finish()
    expect(socket.writes).toEqual([[40]])
    expect(written).toEqual([])
  })
})
