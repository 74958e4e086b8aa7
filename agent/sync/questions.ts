/**
 * What was asked over one connection and is not answered yet: which blocks differ, whether data are well, what is still to be read for a point, and
 * whether a barrier is reached.
 * @module
 */
import type { UnreadBlocks } from '../../domain/unread_blocks.ts'
import type { Barrier, BarrierReached, Message, ToRead } from '../../wire/message.ts'
import type { SentExtent } from './outstanding.ts'
import { WireError } from '../../wire/wire_error.ts'

interface Question<T> extends SentExtent {
  resolve(answer: T): void
  reject(error: Error): void
}

/** What the replicator found when it read data again. */
export type Verified = Pick<Extract<Message, { type: 'VERIFIED' }>, 'root' | 'differing' | 'damaged'>

/** What became of a barrier: reached, or not, because so much would have to be read for it while nothing is applied. */
export type BarrierAnswer = { reached: BarrierReached } | { unread: UnreadBlocks }

/** The question that `message` answers: the answers come in the order of the questions. @throws WireError when it answers another one. */
function answered<T>(
  questions: Question<T>[],
  message: Extract<Message, { type: 'DIFFERENCES' | 'VERIFIED' }>,
): Question<T> {
  const question = questions.shift()
  const isAnswer =
    question?.diskIndex === message.diskIndex &&
    question.firstBlock === message.firstBlock &&
    question.blockCount === message.blockCount
  if (isAnswer && question !== undefined) return question
  const error = new WireError(
    'BAD_FRAME',
    `Cannot match ${message.type} from block ${message.firstBlock} with a question`,
  )
  question?.reject(error)
  throw error
}

/** Questions in their order; the answers come in the same. Barriers by their name. */
export class Questions {
  readonly #differences: Question<Uint8Array>[] = []
  readonly #verified: Question<Verified>[] = []
  readonly #barriers = new Map<string, { resolve(answer: BarrierAnswer): void; reject(error: Error): void }>()
  readonly #prepared: { resolve(unread: UnreadBlocks): void; reject(error: Error): void }[] = []

  /** Resolves with the bitmap of blocks that differ. */
  differences(extent: SentExtent): Promise<Uint8Array> {
    return new Promise((resolve, reject) => this.#differences.push({ ...extent, resolve, reject }))
  }

  /** Resolves with what is still to be read for a point. */
  prepare(): Promise<UnreadBlocks> {
    return new Promise((resolve, reject) => this.#prepared.push({ resolve, reject }))
  }

  /** Resolves when the barrier is reached, or it is said that it is not. */
  barrier(body: Barrier): Promise<BarrierAnswer> {
    return new Promise((resolve, reject) => this.#barriers.set(body.consistencyPointId, { resolve, reject }))
  }

  /** Resolves with what the data are. */
  verified(extent: SentExtent): Promise<Verified> {
    return new Promise((resolve, reject) => this.#verified.push({ ...extent, resolve, reject }))
  }

  /** @throws WireError when it answers another question than the next. */
  answerDifferences(message: Extract<Message, { type: 'DIFFERENCES' }>): void {
    // The chunk it lies in is used again.
    answered(this.#differences, message).resolve(Uint8Array.from(message.bitmap))
  }

  /** @throws WireError when it answers another question than the next. */
  answerVerified(message: Extract<Message, { type: 'VERIFIED' }>): void {
    answered(this.#verified, message).resolve({
      root: Uint8Array.from(message.root),
      differing: Uint8Array.from(message.differing),
      damaged: Uint8Array.from(message.damaged),
    })
  }

  /** A barrier that nobody waits for any more is none. */
  answerBarrier(body: BarrierReached): void {
    this.#endBarrier(body.consistencyPointId, { reached: body })
  }

  /** Of a barrier that it names, or of what was asked before one. */
  answerToRead({ consistencyPointId, ...unread }: ToRead): void {
    if (consistencyPointId === undefined) this.#prepared.shift()?.resolve(unread)
    else this.#endBarrier(consistencyPointId, { unread })
  }

  #endBarrier(consistencyPointId: string, answer: BarrierAnswer): void {
    const waiting = this.#barriers.get(consistencyPointId)
    this.#barriers.delete(consistencyPointId)
    waiting?.resolve(answer)
  }

  /** No answer comes any more. */
  rejectAll(error: Error): void {
    for (const question of this.#differences.splice(0)) question.reject(error)
    for (const question of this.#verified.splice(0)) question.reject(error)
    for (const waiting of this.#prepared.splice(0)) waiting.reject(error)
    for (const waiting of this.#barriers.values()) waiting.reject(error)
    this.#barriers.clear()
  }
}
