/**
 * Whether a volume can be used, and why not: trouble with its disk ends its use once and for all, until it is opened anew.
 * @module
 */
import { WireError } from '../wire/wire_error.ts'
import { diskError } from './disk.ts'

/** What a volume's health is told of and tells. */
export interface VolumeHealthOptions {
  volumeId: string
  diskIndex: number
  onBroken: (error: WireError) => void
  onSuspect: () => void
}

/** Good until it breaks or is closed. */
export class VolumeHealth {
  readonly #options: VolumeHealthOptions
  #failure: WireError | undefined
  #isSuspect = false

  constructor(options: VolumeHealthOptions) {
    this.#options = options
  }

  /** Why it can't be used any more; undefined while it can. */
  get failure(): WireError | undefined {
    return this.#failure
  }

  /** A flush failed: what reads back proves nothing. */
  get isSuspect(): boolean {
    return this.#isSuspect
  }

  /** @throws WireError when it can't be used any more. */
  require(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Runs `work`; trouble with a disk breaks the volume, and comes out as the error for the agent and the operator. */
  async guard<T>(doing: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.break(error, doing)
    }
  }

  /** It is broken by `error`; what was `doing` stands after "Cannot". Answers the error for the agent and the operator. */
  break(error: unknown, doing: string): WireError {
    const { volumeId, diskIndex, onBroken } = this.#options
    const failure = diskError(error, `${doing} volume ${volumeId}`, diskIndex)
    if (this.#failure === undefined) {
      this.#failure = failure
      onBroken(failure)
    }
    return failure
  }

  /** As {@link break}, by a flush: the kernel may have forgotten which pages are not on the disk, also for whoever opens it next. */
  breakByFlush(error: unknown): WireError {
    this.#isSuspect = true
    this.#options.onSuspect()
    return this.break(error, 'flush')
  }

  /** It was closed on purpose: what comes late is refused, and nobody is told. */
  retire(): void {
    const { volumeId, diskIndex } = this.#options
    this.#failure ??= new WireError(
      'SHUTTING_DOWN',
      `Cannot use volume ${volumeId}: it is closed; connect again`,
      {
        diskIndex,
      },
    )
  }
}
