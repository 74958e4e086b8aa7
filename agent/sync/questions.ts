/**
 * What was asked over one connection and is not answered yet: which blocks differ, and whether a barrier is reached.
 * @module
 */
import type { Barrier, BarrierReached, Message } from '../../wire/message.ts'
import type { SentExtent } from './outstanding.ts'
import { WireError } from '../../wire/wire_error.ts'

interface Question extends SentExtent {
  resolve(bitmap: Uint8Array): void
  reject(error: Error): void
}

/** Questions in their order; the answers come in the same. Barriers by their name. */
export class Questions {
  readonly #differences: Question[] = []
  readonly #barriers = new Map<string, { resolve(body: BarrierReached): void; reject(error: Error): void }>()

  /** Resolves with the bitmap of blocks that differ. */
  differences(extent: SentExtent): Promise<Uint8Array> {
    return new Promise((resolve, reject) => this.#differences.push({ ...extent, resolve, reject }))
  }

  /** Resolves when the barrier is reached. */
  barrier(body: Barrier): Promise<BarrierReached> {
    return new Promise((resolve, reject) => this.#barriers.set(body.consistencyPointId, { resolve, reject }))
  }

  /** @throws WireError when it answers another question than the next. */
  answerDifferences(message: Extract<Message, { type: 'DIFFERENCES' }>): void {
    const question = this.#differences.shift()
    const isAnswer =
      question?.diskIndex === message.diskIndex &&
      question.firstBlock === message.firstBlock &&
      question.blockCount === message.blockCount
    if (!isAnswer || question === undefined) {
      const error = new WireError(
        'BAD_FRAME',
        `Cannot match DIFFERENCES from block ${message.firstBlock} with a question`,
      )
      question?.reject(error)
      throw error
    }
    // The chunk it lies in is used again.
    question.resolve(Uint8Array.from(message.bitmap))
  }

  /** A barrier that nobody waits for any more is none. */
  answerBarrier(body: BarrierReached): void {
    const waiting = this.#barriers.get(body.consistencyPointId)
    this.#barriers.delete(body.consistencyPointId)
    waiting?.resolve(body)
  }

  /** No answer comes any more. */
  rejectAll(error: Error): void {
    for (const question of this.#differences.splice(0)) question.reject(error)
    for (const waiting of this.#barriers.values()) waiting.reject(error)
    this.#barriers.clear()
  }
}
