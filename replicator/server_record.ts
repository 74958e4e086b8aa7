/**
 * What a replication server must never forget of a source server: the highest generation, and the point that is held. Durable before
 * anybody acts on it.
 * @module
 */
import type { DocumentStore, HeldPoint, ServerCheckpoint } from './checkpoint.ts'
import { diskError } from './disk.ts'
import { TurnQueue } from '../domain/turn_queue.ts'

/** The record of one source server; {@link ServerRecord.open} reads it. */
export class ServerRecord {
  readonly #sourceServerId: string
  readonly #document: DocumentStore<ServerCheckpoint>
  /** As it is on the disk. */
  #saved: ServerCheckpoint
  readonly #turn = new TurnQueue()

  private constructor(
    sourceServerId: string,
    document: DocumentStore<ServerCheckpoint>,
    saved: ServerCheckpoint,
  ) {
    this.#sourceServerId = sourceServerId
    this.#document = document
    this.#saved = saved
  }

  /** @throws Error when the record is there and can't be read. */
  static async open(
    sourceServerId: string,
    document: DocumentStore<ServerCheckpoint>,
  ): Promise<ServerRecord> {
    return new ServerRecord(sourceServerId, document, (await document.read()) ?? { generation: 0 })
  }

  /** The highest generation that was ever admitted; 0 before the first. */
  get generation(): number {
    return this.#saved.generation
  }

  /** The point at which writes are held back. */
  get held(): HeldPoint | undefined {
    return this.#saved.held
  }

  /** Durable when it resolves. @throws WireError NO_SPACE or VOLUME_IO_ERROR, and nothing has changed. */
  raiseGeneration(generation: number): Promise<void> {
    return this.#save((saved) => ({ ...saved, generation }))
  }

  /** As {@link raiseGeneration}: writes are held back at `held` from now on. */
  hold(held: HeldPoint): Promise<void> {
    return this.#save((saved) => ({ ...saved, held }))
  }

  /** As {@link raiseGeneration}: nothing is held any more. */
  release(): Promise<void> {
    return this.#save(({ generation }) => ({ generation }))
  }

  #save(change: (saved: ServerCheckpoint) => ServerCheckpoint): Promise<void> {
    return this.#turn.run(async () => {
      const next = change(this.#saved)
      try {
        await this.#document.write(next)
      } catch (error) {
        throw diskError(error, `write the checkpoint of source server ${this.#sourceServerId}`)
      }
      this.#saved = next
    })
  }
}
