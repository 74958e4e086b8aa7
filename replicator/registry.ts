/**
 * The registry: all source servers that this replication server serves, kept as the gateway's assignments say.
 * @module
 */
import type { Logger } from 'pino'
import { errorMessage } from '../domain/errors.ts'
import type { ReplicatorDesired, ReplicatorHeartbeat } from '../wire/control_api.ts'
import { WireError } from '../wire/wire_error.ts'
import type { Assignment } from './assignment.ts'
import { ServedServer } from './served_server.ts'
import type { Announce } from './served_server.ts'
import type { StateDirectory } from './state_directory.ts'

/** What the registry needs. */
export interface RegistryOptions {
  replicationServerId: string
  state: StateDirectory
  announce: Announce
  log: Logger
}

/** Source servers by id. */
export class Registry {
  readonly #options: RegistryOptions
  readonly #servers = new Map<string, ServedServer>()
  /** What is being done to each server, one thing after the other. */
  readonly #turns = new Map<string, Promise<void>>()
  /** What earlier runs left of servers that are not assigned any more is removed before anything is opened. */
  #swept: Promise<void> | undefined
  #beat = 0
  #isClosed = false

  constructor(options: RegistryOptions) {
    this.#options = options
  }

  /** The server with this id; undefined when it is not assigned. */
  find(sourceServerId: string): ServedServer | undefined {
    return this.#servers.get(sourceServerId)
  }

  /** All of them. */
  get servers(): ServedServer[] {
    return [...this.#servers.values()]
  }

  /** Whether a point is being held somewhere, so that the gateway should be asked often. */
  get isHolding(): boolean {
    return this.servers.some((server) => server.heldConsistencyPointId !== undefined)
  }

  /** A heartbeat is about to be sent: what it will say of each server, and its number for {@link apply}. */
  beginBeat(): { beat: number; sessions: ReplicatorHeartbeat['sessions'] } {
    this.#beat++
    for (const server of this.#servers.values()) server.beatSent(this.#beat)
    return { beat: this.#beat, sessions: this.servers.map((server) => server.report()) }
  }

  /**
   * Makes the assignments of the answer to heartbeat `beat` true. Returns without waiting: a slow disk of one server must not hold up
   * the heartbeat or another server.
   */
  apply(desired: ReplicatorDesired, beat: number): void {
    const wanted = new Map(desired.assignments.map((assignment) => [assignment.sourceServerId, assignment]))
    this.#swept ??= this.#sweep(desired.assignments)
    for (const sourceServerId of new Set([...wanted.keys(), ...this.#servers.keys()])) {
      const before = this.#turns.get(sourceServerId) ?? this.#swept
      const turn = before.then(() => this.#applyOne(sourceServerId, wanted.get(sourceServerId), beat))
      this.#turns.set(sourceServerId, turn)
    }
  }

  /** Resolves when every answer so far has been applied. */
  async applied(): Promise<void> {
    await Promise.all(this.#turns.values())
  }

  /** Clears activity logs, see {@link ServedServer.tidy}. */
  async tidy(all: boolean): Promise<void> {
    await Promise.all(this.servers.map((server) => server.tidy(all)))
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

  async #applyOne(sourceServerId: string, assignment: Assignment | undefined, beat: number): Promise<void> {
    if (this.#isClosed) return
    try {
      const server = this.#servers.get(sourceServerId)
      if (assignment === undefined) {
        if (server !== undefined) await this.#remove(server)
      } else if (server === undefined) await this.#add(assignment)
      else {
        for (const volumeId of await server.update(assignment, beat)) {
          await this.#options.state.forgetVolume(volumeId)
        }
      }
    } catch (error) {
      // The next heartbeat's answer brings the same assignment, and tries again.
      this.#options.log.error(
        { err: error, sourceServerId },
        `Cannot apply an assignment: ${errorMessage(error)}`,
      )
    }
  }

  async #remove(server: ServedServer): Promise<void> {
    const { sourceServerId } = server
    this.#servers.delete(sourceServerId)
    await server.close(
      new WireError(
        'NOT_ASSIGNED',
        `Cannot go on serving source server ${sourceServerId}: it is no longer assigned`,
      ),
    )
    for (const { volumeId } of server.assignment.volumes) await this.#options.state.forgetVolume(volumeId)
    await this.#options.state.serverCheckpoint(sourceServerId).remove()
    this.#options.log.info({ sourceServerId }, 'Source server is no longer assigned')
  }

  async #add(assignment: Assignment): Promise<void> {
    const { sourceServerId } = assignment
    const { state, replicationServerId, announce, log } = this.#options
    const server = await ServedServer.open({
      replicationServerId,
      assignment,
      checkpoint: state.serverCheckpoint(sourceServerId),
      openParts: (volume) => state.openParts(volume),
      announce,
      log: log.child({ sourceServerId }),
    })
    server.beatSent(this.#beat)
    this.#servers.set(sourceServerId, server)
    log.info({ sourceServerId, volumes: assignment.volumes.length }, 'Source server assigned')
  }
}
