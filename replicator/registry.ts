/**
 * The registry: all source servers that this replication server serves, kept as the gateway's assignments say.
 * @module
 */
import type { Logger } from 'pino'
import { errorMessage } from '../domain/errors.ts'
import type { ReplicatorDesired, ReplicatorHeartbeat } from '../wire/control_api.ts'
import { WireError } from '../wire/wire_error.ts'
import { requireAssigned } from './assignment.ts'
import type { Assignment } from './assignment.ts'
import { diskError } from './disk.ts'
import type { Announce } from './hold.ts'
import { normalSerial } from './peer.ts'
import type { Peer } from './peer.ts'
import { ServedServer } from './served_server.ts'
import type { StateDirectory } from './state_directory.ts'

/** What the registry needs. */
export interface RegistryOptions {
  replicationServerId: string
  state: StateDirectory
  announce: Announce
  log: Logger
  /** See `ServedServerOptions`. */
  barrierReadMs?: number
}

/** The gateway's word on one server: what it answered to a heartbeat; without assignment when it did not name the server. */
interface Word {
  assignment: Assignment | undefined
  beat: number
}

/** Source servers by id. */
export class Registry {
  readonly #options: RegistryOptions
  readonly #servers = new Map<string, ServedServer>()
  /** Assigned servers that can't be served, and why. */
  readonly #failures = new Map<string, WireError>()
  /** The latest word on each server that has not been acted on. */
  readonly #words = new Map<string, Word>()
  /** Servers whose words are being acted on, one after the other. */
  readonly #running = new Map<string, Promise<void>>()
  /** What earlier runs left of servers that are not assigned any more is removed before anything is opened. */
  #swept: Promise<void> | undefined
  #beat = 0
  #scrubPolicy: ReplicatorDesired['scrub']
  #isClosed = false

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  /** The server that `peer` may speak for. @throws WireError NOT_ASSIGNED, or why an assigned one can't be served. */
  serverOf(peer: Peer): ServedServer {
    const failure = this.#failures.get(peer.sourceServerId)
    if (failure !== undefined) throw failure
    const server = this.#servers.get(peer.sourceServerId)
    requireAssigned(peer, server?.assignment)
    return server
  }

  /** `peer`, whose certificate has expired, was told `refusal`: it can't tell the gateway itself, as it is refused there too. */
  noteExpired({ sourceServerId, serial }: Peer, refusal: WireError): void {
    const server = this.#servers.get(sourceServerId)
    if (server?.assignment.certificateSerials.some((named) => normalSerial(named) === serial) === true)
      server.refused(refusal)
  }

  /** All that can be served. */
  get servers(): ServedServer[] {
    return [...this.#servers.values()]
  }

  /** How volumes are read again, as the gateway last said; undefined before. */
  get scrubPolicy(): ReplicatorDesired['scrub'] {
    return this.#scrubPolicy
  }

  /** Whether a point is being held somewhere, so that the gateway should be asked often. */
  get isHolding(): boolean {
    return this.servers.some((server) => server.hold.point !== undefined)
  }

  /** A heartbeat is about to be sent: what it will say of each server, and its number for {@link apply}. */
  beginBeat(): { beat: number; sessions: ReplicatorHeartbeat['sessions'] } {
    this.#beat++
    for (const server of this.#servers.values()) server.hold.beatSent(this.#beat)
    const failed = [...this.#failures].map(([sourceServerId, { message }]) => ({
      sourceServerId,
      generation: 0,
      isConnected: false,
      openVolumeIds: [],
      error: message,
    }))
    const served = this.servers.map((server) => ({
      ...server.report(),
      ...server.notes.sendWith(this.#beat),
    }))
    return { beat: this.#beat, sessions: [...served, ...failed] }
  }

  /**
   * Makes the assignments of the answer to heartbeat `beat` true. Returns without waiting: a slow disk of one server must not hold up
   * the heartbeat or another server. Of several answers that come meanwhile only the latest counts.
   */
  apply(desired: ReplicatorDesired, beat: number): void {
    const wanted = new Map(desired.assignments.map((assignment) => [assignment.sourceServerId, assignment]))
    this.#scrubPolicy = desired.scrub
    for (const server of this.#servers.values()) server.notes.answered(beat)
    this.#swept ??= this.#sweep(desired.assignments)
    const known = [...this.#servers.keys(), ...this.#failures.keys(), ...this.#running.keys()]
    for (const sourceServerId of new Set([...wanted.keys(), ...known])) {
      this.#words.set(sourceServerId, { assignment: wanted.get(sourceServerId), beat })
      if (!this.#running.has(sourceServerId)) this.#running.set(sourceServerId, this.#run(sourceServerId))
    }
  }

  /** Resolves when every answer so far has been applied. */
  async applied(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  /** Clears activity logs, see {@link ServedServer.tidy}. */
  async tidy(isThorough: boolean): Promise<void> {
    await Promise.all(this.servers.map((server) => server.tidy(isThorough)))
  }

  /** Ends all connections with `reason`, makes everything durable and closes all volumes. Nothing is assigned afterwards. */
  async close(reason: WireError): Promise<void> {
    this.#isClosed = true
    await this.applied()
    await Promise.all(this.servers.map((server) => server.close(reason)))
    this.#servers.clear()
  }

  async #sweep(assignments: readonly Assignment[]): Promise<void> {
    const servers = assignments.map((assignment) => assignment.sourceServerId)
    const volumes = assignments.flatMap((assignment) => assignment.volumes.map((volume) => volume.volumeId))
    try {
      await this.#options.state.forgetOthers(servers, volumes)
    } catch (error) {
      this.#options.log.warn({ err: error }, `Cannot remove old state: ${errorMessage(error)}`)
    }
  }

  /** Acts on words on one server until there is none. Never rejects. */
  async #run(sourceServerId: string): Promise<void> {
    await this.#swept
    for (;;) {
      const word = this.#words.get(sourceServerId)
      if (word === undefined) break
      this.#words.delete(sourceServerId)
      if (!this.#isClosed) await this.#act(sourceServerId, word)
    }
    this.#running.delete(sourceServerId)
  }

  async #act(sourceServerId: string, { assignment, beat }: Word): Promise<void> {
    try {
      const server = this.#servers.get(sourceServerId)
      if (assignment === undefined) await this.#remove(sourceServerId, server)
      else if (server === undefined) await this.#add(assignment)
      else {
        for (const volumeId of await server.update(assignment, beat)) {
          await this.#options.state.forgetVolume(volumeId)
        }
      }
    } catch (error) {
      this.#fail(sourceServerId, error)
    }
  }

  /** The next heartbeat's answer brings the same assignment, and tries again. */
  #fail(sourceServerId: string, cause: unknown): void {
    const failure = diskError(cause, `serve source server ${sourceServerId}`)
    const isServed = this.#servers.has(sourceServerId)
    const isNews = this.#failures.get(sourceServerId)?.message !== failure.message
    if (!isServed) this.#failures.set(sourceServerId, failure)
    if (isServed || isNews) this.#options.log.error({ err: cause, sourceServerId }, failure.message)
  }

  async #remove(sourceServerId: string, server: ServedServer | undefined): Promise<void> {
    this.#failures.delete(sourceServerId)
    if (server === undefined) return
    this.#servers.delete(sourceServerId)
    const reason = `Cannot go on serving source server ${sourceServerId}: it is no longer assigned`
    await server.close(new WireError('NOT_ASSIGNED', reason), true)
    for (const { volumeId } of server.assignment.volumes) await this.#options.state.forgetVolume(volumeId)
    await this.#options.state.serverCheckpoint(sourceServerId).remove()
    this.#options.log.info({ sourceServerId }, 'Source server is no longer assigned')
  }

  async #add(assignment: Assignment): Promise<void> {
    const { sourceServerId } = assignment
    const { state, replicationServerId, announce, log, barrierReadMs } = this.#options
    const server = await ServedServer.open({
      replicationServerId,
      assignment,
      checkpoint: state.serverCheckpoint(sourceServerId),
      openParts: (volume) => state.openParts(volume),
      announce,
      log: log.child({ sourceServerId }),
      ...(barrierReadMs === undefined ? {} : { barrierReadMs }),
    })
    server.hold.beatSent(this.#beat)
    this.#failures.delete(sourceServerId)
    this.#servers.set(sourceServerId, server)
    log.info({ sourceServerId, volumes: assignment.volumes.length }, 'Source server assigned')
  }
}
