/**
 * Requests that are done once however often they are sent: the first of a key runs, those after it get its answer. In the store, so that it holds
 * over a restart and between gateways. Whoever runs a request says so again and again; when he dies in the middle, the next one runs it.
 * @module
 */
import type { KeptAnswer } from '../domain/kept_answer.ts'
import type { Store } from '../store/store.ts'
import type { Services } from './services.ts'
import { errorMessage } from '../domain/errors.ts'
import { answersKeptMs } from '../domain/kept_answer.ts'
import { RevisionConflictError } from '../store/store.ts'
import { Refusal } from './problem.ts'

/** Whoever has not said for so long that he runs a request has died. */
const leaseMs = 30_000

/** The clock of whoever runs a request may be ahead by as much as this. */
const maxSkewMs = 30_000

/** How often he says so. */
const renewalMs = 10_000

/** An answer that is longer is not kept: sealed, it would not fit into an item. */
const maxBodyBytes = 256 * 1024

/** Answers read at once by {@link sweepKeptAnswers}. */
const sweptAtOnce = 100

/** An answer as it was given. */
export interface WholeAnswer {
  status: number
  headers: Record<string, string>
  body: string
}

/** What keeping answers needs. */
export type KeepingServices = Pick<Services, 'store' | 'secretBox' | 'clock' | 'log'>

function isRunning({ runningUntil }: KeptAnswer, nowMs: number): boolean {
  const leftMs = runningUntil === undefined ? 0 : Date.parse(runningUntil) - nowMs
  // Longer than any lease: the clock was set back.
  return leftMs > 0 && leftMs <= leaseMs + maxSkewMs
}

/** The right to run a request, until it is settled or given up. */
export class Claim {
  readonly #services: KeepingServices
  readonly #kept: KeptAnswer
  #revision: number
  #renewing: Promise<void> = Promise.resolve()
  readonly #timer: ReturnType<typeof setInterval>

  constructor(services: KeepingServices, kept: KeptAnswer, revision: number) {
    this.#services = services
    this.#kept = kept
    this.#revision = revision
    this.#timer = setInterval(() => {
      this.#renewing = this.#renewing.then(() => this.#renew())
    }, renewalMs)
    this.#timer.unref()
  }

  /** Keeps the answer. Never fails: whoever asked gets it either way. */
  async settle({ status, headers, body }: WholeAnswer): Promise<void> {
    await this.#stop()
    const { runningUntil: _over, ...known } = this.#kept
    const id = known.keptAnswerId
    const sealed =
      Buffer.byteLength(body) > maxBodyBytes ? {} : { sealedBody: this.#services.secretBox.seal(body, id) }
    await this.#write('keep an answer', () =>
      this.#services.store.replace('keptAnswer', { id }, this.#revision, {
        ...known,
        answer: { status, headers, ...sealed },
      }),
    )
  }

  /** Nothing came of it: the key is as if it had never been used. Never fails. */
  async giveUp(): Promise<void> {
    await this.#stop()
    const { keptAnswerId: id } = this.#kept
    await this.#write('let go of a key', () =>
      this.#services.store.remove('keptAnswer', { id }, this.#revision),
    )
  }

  async #renew(): Promise<void> {
    const { store, clock } = this.#services
    const { keptAnswerId: id } = this.#kept
    const runningUntil = new Date(clock().getTime() + leaseMs).toISOString()
    await this.#write('hold a key', async () => {
      this.#revision = await store.replace('keptAnswer', { id }, this.#revision, {
        ...this.#kept,
        runningUntil,
      })
    })
  }

  #stop(): Promise<void> {
    clearInterval(this.#timer)
    return this.#renewing
  }

  /** What is not written here costs a request done twice at the very most, and only if it is sent again. */
  async #write(what: string, write: () => Promise<unknown>): Promise<void> {
    try {
      await write()
    } catch (error) {
      this.#services.log.warn(
        { keptAnswerId: this.#kept.keptAnswerId, error: errorMessage(error) },
        `Cannot ${what} of an Idempotency-Key`,
      )
    }
  }
}

/**
 * Whoever gets a claim runs the request; everybody else gets its answer.
 * @throws Refusal 409 while it runs, 422 when the key is that of another request.
 */
export async function claimOrAnswer(
  services: KeepingServices,
  id: string,
  requestSha256: string,
): Promise<Claim | WholeAnswer> {
  const { store, clock } = services
  for (;;) {
    const found = await store.get('keptAnswer', { id })
    const nowMs = clock().getTime()
    if (found !== undefined && (isRunning(found.value, nowMs) || Date.parse(found.value.expiresAt) > nowMs)) {
      const answer = readAnswer(services, found.value, requestSha256, nowMs)
      if (answer !== undefined) return answer
    }
    const fresh: KeptAnswer = {
      keptAnswerId: id,
      requestSha256,
      expiresAt: new Date(nowMs + answersKeptMs).toISOString(),
      runningUntil: new Date(nowMs + leaseMs).toISOString(),
    }
    try {
      const revision =
        found === undefined
          ? await store.create('keptAnswer', { id }, fresh)
          : await store.replace('keptAnswer', { id }, found.revision, fresh)
      return new Claim(services, fresh, revision)
    } catch (error) {
      // Somebody was faster: what he has written tells.
      if (!(error instanceof RevisionConflictError)) throw error
    }
  }
}

/** The answer that is kept; undefined when whoever ran the request has died before there was any. */
function readAnswer(
  services: KeepingServices,
  kept: KeptAnswer,
  requestSha256: string,
  nowMs: number,
): WholeAnswer | undefined {
  const { keptAnswerId, answer } = kept
  if (kept.requestSha256 !== requestSha256)
    throw new Refusal(
      422,
      'idempotency-key-reused',
      'This Idempotency-Key was used for another request, with another path or body; take a new key for each request',
    )
  if (answer === undefined) {
    if (!isRunning(kept, nowMs)) return undefined
    throw new Refusal(
      409,
      'idempotency-key-in-use',
      'The request with this Idempotency-Key is still being done; send it again in a moment for its answer',
      { headers: { 'Retry-After': '1' } },
    )
  }
  const { status, headers, sealedBody } = answer
  if (sealedBody === undefined)
    throw new Refusal(
      409,
      'answer-not-kept',
      `This request is done, with status ${status}; its answer was too large to be kept, so look at what it was about`,
    )
  return { status, headers, body: unsealAnswer(services, keptAnswerId, sealedBody, status) }
}

function unsealAnswer(
  { secretBox, log }: KeepingServices,
  keptAnswerId: string,
  sealedBody: string,
  status: number,
): string {
  try {
    return secretBox.unseal(sealedBody, keptAnswerId)
  } catch (error) {
    log.warn(
      { keptAnswerId, error: errorMessage(error) },
      'Cannot read the answer kept for an Idempotency-Key: the sealing key was changed since',
    )
    throw new Refusal(
      409,
      'answer-not-kept',
      `This request is done, with status ${status}; its answer was sealed with a key that is no longer in use, so look at what it was about, ` +
        'and take another Idempotency-Key to do it once more',
      { cause: error },
    )
  }
}

/** Removes what was kept long enough. */
export async function sweepKeptAnswers(store: Store, now: Date): Promise<void> {
  let cursor: string | undefined
  do {
    const page = await store.list('keptAnswer', {
      limit: sweptAtOnce,
      ...(cursor === undefined ? {} : { cursor }),
    })
    for (const { value, revision } of page.items) {
      if (Date.parse(value.expiresAt) > now.getTime() || isRunning(value, now.getTime())) continue
      await removeIfUnchanged(store, value.keptAnswerId, revision)
    }
    cursor = page.cursor
  } while (cursor !== undefined)
}

/** A key that is used anew at this moment stays. */
async function removeIfUnchanged(store: Store, id: string, revision: number): Promise<void> {
  try {
    await store.remove('keptAnswer', { id }, revision)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
}
