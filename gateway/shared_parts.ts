/**
 * Parts that thousands of servers have alike, as the steps of a replication that began well, held once for all of them. Each object and each
 * string costs a moment at every collection of garbage, while heartbeats wait: of the 110 of each server half are such parts. What a server says
 * stays the same, as nobody writes into what was read.
 * @module
 */
import type { ReplicatedDisk, SourceServer } from '../domain/source_server.ts'

/** More kinds than this are no longer alike: what is known is forgotten, and sharing begins anew. */
const mostParts = 5000

/** Shares parts among the servers that it is given. */
export class SharedParts {
  readonly #known = new Map<string, unknown>()

  /** `server` with its usual parts shared. */
  share(server: SourceServer): SourceServer {
    const { replication, lifecycle, agent, launchConfiguration, sourceProperties } = server
    return {
      ...server,
      replicationConfiguration: this.#part(server.replicationConfiguration),
      lifecycle: { ...lifecycle, state: this.#part(lifecycle.state) },
      replication: {
        ...replication,
        state: this.#part(replication.state),
        initiation: { ...replication.initiation, steps: this.#part(replication.initiation.steps) },
      },
      agent: { ...agent, version: this.#part(agent.version), desired: this.#part(agent.desired) },
      launchConfiguration: {
        ...launchConfiguration,
        launchDisposition: this.#part(launchConfiguration.launchDisposition),
        bootMode: this.#part(launchConfiguration.bootMode),
        rightSizing: this.#part(launchConfiguration.rightSizing),
        httpChecks: this.#part(launchConfiguration.httpChecks),
        reachablePorts: this.#part(launchConfiguration.reachablePorts),
      },
      sourceProperties: {
        ...sourceProperties,
        os: this.#part(sourceProperties.os),
        cpus: this.#part(sourceProperties.cpus),
      },
      disks: server.disks.map((disk) => this.#disk(disk)),
      // Events are like no others; that there are none is.
      outbox: server.outbox.length === 0 ? this.#part(server.outbox) : server.outbox,
    }
  }

  #disk(disk: ReplicatedDisk): ReplicatedDisk {
    return disk.tracker === undefined ? disk : { ...disk, tracker: this.#part(disk.tracker) }
  }

  #part<T>(part: T): T {
    const key = JSON.stringify(part)
    const known = this.#known.get(key)
    if (known !== undefined) return known as T
    if (this.#known.size >= mostParts) this.#known.clear()
    this.#known.set(key, part)
    return part
  }
}
