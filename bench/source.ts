/**
 * A source server that is measured: a real agent as a process of its own, and what the service knows of it.
 * @module
 */
import type { ChildProcess } from 'node:child_process'
import type { ServerEvent } from '../domain/server_event.ts'
import type { ServerView } from '../bin/demo/service_view.ts'
import type { ApiClient } from '../bin/api_client.ts'
import { ended, until } from './command.ts'

const syncTimeoutMs = 900_000
const lookEveryMs = 500

/** How a source server is put to work. */
export interface SourceOptions {
  devices: string[]
  /** What stands before the agent's command: it runs on the far side of a link. */
  prefix?: string[]
  /** What the agent is told besides. */
  more?: string[]
}

/** A process of an agent. */
export interface Started {
  process: ChildProcess
  /** What it said since it was started. */
  output: () => string
}

/** The service as its source servers see it. */
export interface SourceHome {
  readonly api: ApiClient
  startAgent(options: SourceOptions, stateDir: string, more: readonly string[]): Started
}

/** One source server, with its agent as a process of its own. */
export class Source {
  readonly serverId: string
  readonly #service: SourceHome
  readonly #options: SourceOptions
  readonly #stateDir: string
  #agent: ChildProcess
  #output: () => string

  constructor(own: {
    serverId: string
    service: SourceHome
    options: SourceOptions
    stateDir: string
    started: Started
  }) {
    this.serverId = own.serverId
    this.#service = own.service
    this.#options = own.options
    this.#stateDir = own.stateDir
    this.#agent = own.started.process
    this.#output = own.started.output
  }

  /** Process id of the agent. */
  get agentPid(): number {
    return this.#agent.pid ?? 0
  }

  /** What the agent said since it was started last. */
  get agentOutput(): string {
    return this.#output()
  }

  /** The server as the API shows it. */
  view(): Promise<ServerView> {
    return this.#service.api.get<ServerView>(`/servers/${this.serverId}`)
  }

  /** Its events, oldest first. */
  async events(): Promise<ServerEvent[]> {
    const { items } = await this.#service.api.get<{ items: ServerEvent[] }>(
      `/servers/${this.serverId}/events?limit=1000`,
    )
    return items.toSorted((left, right) => left.sequence - right.sequence)
  }

  /**
   * Waits for the first event after `afterSequence` of which `take` makes something. Events say when they were, so it is asked seldom: asking takes
   * the processor that is measured.
   */
  event<T>(
    what: string,
    { afterSequence, timeoutMs }: { afterSequence: number; timeoutMs: number },
    take: (event: ServerEvent) => T | undefined,
  ): Promise<T> {
    const look = async (): Promise<T | undefined> => {
      const news = (await this.events()).filter(({ sequence }) => sequence > afterSequence)
      return news.map(take).find((taken) => taken !== undefined)
    }
    return until(what, timeoutMs, look, lookEveryMs)
  }

  /** Waits until its replica is current; answers when it became so, in milliseconds since 1970. */
  continuous(afterSequence = 0): Promise<number> {
    const options = { afterSequence, timeoutMs: syncTimeoutMs }
    return this.event(`${this.serverId} is CONTINUOUS`, options, ({ type, detail, at }) =>
      type === 'REPLICATION_CHANGED' && detail['to'] === 'CONTINUOUS' ? Date.parse(at) : undefined,
    )
  }

  /** Ends the agent as the service manager does. */
  async stopAgent(): Promise<void> {
    const end = ended(this.#agent)
    this.#agent.kill('SIGTERM')
    await end
  }

  /** Starts the agent again. */
  startAgent(): void {
    const started = this.#service.startAgent(this.#options, this.#stateDir, [])
    this.#agent = started.process
    this.#output = started.output
  }
}
