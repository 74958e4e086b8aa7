/**
 * Belonging to the gateway: enrolment on first contact, renewal, the heartbeat that brings assignments, and the word that a consistency
 * point was reached.
 * @module
 */
import { readFile } from 'node:fs/promises'
import type { Logger } from 'pino'
import { errorMessage } from '../domain/errors.ts'
import type { ConsistencyReached } from '../wire/control_api.ts'
import { backoffMs, pause } from './backoff.ts'
import type { DocumentStore } from './checkpoint.ts'
import { GatewayRefusal } from './control_client.ts'
import type { ControlClient } from './control_client.ts'
import { expiryTimeMs, newCertificateRequest, renewalTimeMs } from './identity.ts'
import type { Identity } from './identity.ts'
import type { Registry } from './registry.ts'

/** Pause between heartbeats while a point is held: the sooner its end is known, the less waits. */
const holdingIntervalMs = 500

/** Asked for an early heartbeat again and again, one is sent after this pause at the soonest. */
const nudgedIntervalMs = 250

/** What membership needs. */
export interface MembershipOptions {
  replicationServerId: string
  version: string
  client: ControlClient
  identity: DocumentStore<Identity>
  log: Logger
  nowMs: () => number
  random: () => number
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (cause) {
    throw new Error(`Cannot read the enrolment token from ${path}; check REHOST_REPLICATOR_TOKEN_FILE`, {
      cause,
    })
  }
}

/** What to do where trying again does not help by itself. */
function adviceOn(error: unknown): string {
  if (!(error instanceof GatewayRefusal) || error.isPassing) return ''
  return (
    '. Agents are served as before, with the assignments there were. If this replication server was removed or its certificate ' +
    'expired, end this process: a new one is made when it is needed'
  )
}

/** The relation to the gateway. */
export class Membership {
  readonly #options: MembershipOptions
  #identity: Identity | undefined
  #nudge: (() => void) | undefined
  #isNudged = false

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  /**
   * The identity kept from an earlier run while it is good, else a new one for the token in `tokenFile`; tried until the gateway is there.
   * @throws Error when the gateway refuses the token, naming what to do; or when `signal` aborts.
   */
  async enrol(tokenFile: string, signal: AbortSignal): Promise<Identity> {
    const { client, identity: document, log, nowMs, replicationServerId, version } = this.#options
    const kept = await document.read()
    if (kept !== undefined && nowMs() < expiryTimeMs(kept)) {
      client.setIdentity(kept)
      this.#identity = kept
      return kept
    }
    if (kept !== undefined) {
      const since = new Date(expiryTimeMs(kept)).toISOString()
      log.warn(
        `The certificate of this replication server expired at ${since}, while it was off: enrolling anew`,
      )
    }
    const token = await readToken(tokenFile)
    const { csrPem, keyPem } = await newCertificateRequest(replicationServerId)
    const enrolled = await this.#retry('enrol', signal, () =>
      client.enrol({ token, csrPem, version, replicationServerId }, signal),
    )
    return await this.#adopt({ certificatePem: enrolled.certificatePem, keyPem })
  }

  /**
   * Heartbeats until `signal` aborts. Assignments go to `registry`; a renewed identity to `onIdentity`.
   * Resolves; trouble is logged and tried again.
   */
  async run(
    options: { registry: Registry; port: number; onIdentity: (identity: Identity) => void },
    signal: AbortSignal,
  ): Promise<void> {
    const { registry, port, onIdentity } = options
    const { client, log, version, random } = this.#options
    let failures = 0
    while (!signal.aborted) {
      let waitMs: number
      try {
        const { beat, sessions } = registry.beginBeat()
        const desired = await client.heartbeat({ version, port, sessions }, signal)
        registry.apply(desired, beat)
        if (failures > 0) log.info('The gateway answers again')
        failures = 0
        if (desired.renewCertificate || this.#isRenewalDue()) await this.#renew(onIdentity, signal)
        waitMs = desired.heartbeatIntervalMs
      } catch (error) {
        if (signal.aborted) return
        if (failures === 0)
          log.warn({ err: error }, `Heartbeat failed: ${errorMessage(error)}${adviceOn(error)}`)
        waitMs = backoffMs(failures++, { firstMs: 500, longestMs: 15_000, random })
      }
      await this.#waitForNextBeat(registry.isHolding ? Math.min(waitMs, holdingIntervalMs) : waitMs, signal)
    }
  }

  /** Asks for a heartbeat soon: the gateway may know something that is missing here. */
  nudge(): void {
    this.#isNudged = true
    this.#nudge?.()
  }

  /** Tells the gateway of a point until it accepts or `signal` aborts. Never rejects. */
  async announce(reached: ConsistencyReached, signal: AbortSignal): Promise<void> {
    const { client, log, random } = this.#options
    const { consistencyPointId, sourceServerId } = reached
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await client.consistencyReached(reached, signal)
        log.info({ consistencyPointId, sourceServerId }, 'The gateway knows of the consistency point')
        return
      } catch (error) {
        if (signal.aborted) return
        if (attempt === 0) {
          log.warn(
            { err: error, consistencyPointId, sourceServerId },
            `Cannot tell the gateway: ${errorMessage(error)}`,
          )
        }
      }
      await pause(backoffMs(attempt, { firstMs: 250, longestMs: 5000, random }), signal)
    }
  }

  async #waitForNextBeat(milliseconds: number, signal: AbortSignal): Promise<void> {
    const early = new AbortController()
    this.#nudge = () => early.abort()
    try {
      const soonest = Math.min(nudgedIntervalMs, milliseconds)
      await pause(soonest, signal)
      if (this.#isNudged) return
      await pause(milliseconds - soonest, AbortSignal.any([signal, early.signal]))
    } finally {
      this.#nudge = undefined
      this.#isNudged = false
    }
  }

  #isRenewalDue(): boolean {
    return this.#identity !== undefined && this.#options.nowMs() >= renewalTimeMs(this.#identity)
  }

  /** A failure is no reason to stop: the old certificate is good for as long again, and the next heartbeat tries anew. */
  async #renew(onIdentity: (identity: Identity) => void, signal: AbortSignal): Promise<void> {
    const { client, log, replicationServerId } = this.#options
    try {
      const { csrPem, keyPem } = await newCertificateRequest(replicationServerId)
      const renewed = await client.renew(csrPem, signal)
      onIdentity(await this.#adopt({ certificatePem: renewed.certificatePem, keyPem }))
      log.info('Certificate renewed')
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, `Cannot renew the certificate: ${errorMessage(error)}`)
    }
  }

  /** Kept before it is used: a certificate that is used may be the only one that the gateway still accepts. */
  async #adopt(identity: Identity): Promise<Identity> {
    await this.#options.identity.write(identity)
    this.#options.client.setIdentity(identity)
    this.#identity = identity
    return identity
  }

  async #retry<T>(what: string, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await call()
      } catch (error) {
        if (signal.aborted || (error instanceof GatewayRefusal && !error.isPassing)) throw error
        if (attempt === 0)
          this.#options.log.warn({ err: error }, `Cannot ${what} yet: ${errorMessage(error)}`)
      }
      const { random } = this.#options
      await pause(backoffMs(attempt, { firstMs: 500, longestMs: 10_000, random }), signal)
    }
  }
}
