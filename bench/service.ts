/**
 * The real thing to measure: the whole embedded service in a folder of its own, and real agents that send to it.
 * @module
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ServerEvent } from '../domain/server_event.ts'
import type { NewToken } from '../bin/commands/tokens.ts'
import type { ServerView } from '../bin/demo/service_view.ts'
import type { Supervisor } from '../bin/supervisor/supervisor.ts'
import { errorMessage } from '../domain/errors.ts'
import { ApiClient, findAccess } from '../bin/api_client.ts'
import { readSupervisorConfig } from '../bin/supervisor/config.ts'
import { startSupervisor } from '../bin/supervisor/supervisor.ts'
import { ended, until } from './command.ts'

const root = join(import.meta.dirname, '..')
const agentProgram = join(root, 'dist/agent/rehost-agent-linux-x64')
const syncTimeoutMs = 900_000
const lookEveryMs = 500
const enrolTimeoutMs = 30_000

/** How a source server is put to work. */
export interface SourceOptions {
  devices: string[]
  /** What stands before the agent's command: it runs on the far side of a link. */
  prefix?: string[]
}

/** One source server, with its agent as a process of its own. */
export class Source {
  readonly serverId: string
  readonly #service: Service
  readonly #options: SourceOptions
  readonly #stateDir: string
  #agent: ChildProcess
  #output: () => string

  constructor(own: {
    serverId: string
    service: Service
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

interface Started {
  process: ChildProcess
  output: () => string
}

/** A running service. */
export class Service {
  readonly folder: string
  readonly api: ApiClient
  /** The dashboard, and who may see it. */
  readonly httpUrl: string
  readonly adminPassword: string
  readonly #supervisor: Supervisor
  readonly #environment: Record<string, string>
  readonly #sources: Source[] = []

  private constructor(own: {
    folder: string
    api: ApiClient
    httpUrl: string
    adminPassword: string
    supervisor: Supervisor
    environment: Record<string, string>
  }) {
    this.folder = own.folder
    this.api = own.api
    this.httpUrl = own.httpUrl
    this.adminPassword = own.adminPassword
    this.#supervisor = own.supervisor
    this.#environment = own.environment
  }

  /**
   * Starts the service; its volumes, too, are in `parentFolder`.
   * @param publicHost where agents reach it. Default: loopback.
   */
  static async start(parentFolder: string, publicHost = '127.0.0.1'): Promise<Service> {
    await mkdir(parentFolder, { recursive: true })
    const folder = await mkdtemp(join(parentFolder, 'service-'))
    const adminPassword = randomBytes(16).toString('hex')
    const environment = {
      REHOST_DATA_DIR: folder,
      REHOST_PUBLIC_HOST: publicHost,
      REHOST_CLOUD: 'qemu',
      REHOST_ADMIN_PASSWORD: adminPassword,
    }
    const config = readSupervisorConfig(environment)
    const supervisor = await startSupervisor({
      config,
      root,
      environment: { ...process.env, ...environment },
      say: () => undefined,
    })
    const access = await findAccess({ REHOST_DATA_DIR: folder, REHOST_HTTP_PORT: String(config.httpPort) })
    return new Service({
      folder,
      api: new ApiClient(access),
      httpUrl: access.baseUrl,
      adminPassword,
      supervisor,
      environment,
    })
  }

  /** Process ids of the service's own processes by name. */
  pids(): Record<string, number | undefined> {
    return this.#supervisor.pids()
  }

  /** Adds a source server: a token, an agent, its enrolment. */
  async addSource(options: SourceOptions): Promise<Source> {
    const { token } = await this.api.post<NewToken>('/tokens', { uses: 1 })
    const known = new Set(await this.#serverIds())
    const stateDir = await mkdtemp(join(this.folder, 'agent-'))
    const started = this.startAgent(options, stateDir, ['--token', token])
    const serverId = await until('the agent has enrolled', enrolTimeoutMs, async () => {
      if (started.process.exitCode !== null) throw new Error('The agent ended')
      return (await this.#serverIds()).find((id) => !known.has(id))
    }).catch((error: unknown) => {
      started.process.kill('SIGKILL')
      throw new Error(`${errorMessage(error)}; the agent says:\n${started.output()}`, { cause: error })
    })
    const source = new Source({ serverId, service: this, options, stateDir, started })
    this.#sources.push(source)
    return source
  }

  /** Starts an agent's process. */
  startAgent(options: SourceOptions, stateDir: string, more: readonly string[]): Started {
    const host = this.#environment['REHOST_PUBLIC_HOST'] ?? ''
    const command = [
      ...(options.prefix ?? []),
      agentProgram,
      'run',
      ...['--gateway-url', `https://${host}:8443`],
      ...['--ca-file', join(this.folder, 'ca/ca.crt.pem')],
      ...['--state-dir', stateDir],
      ...['--devices', options.devices.join(',')],
      ...more,
    ]
    const [program = '', ...args] = command
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const collect = (chunk: Buffer): void => {
      output += chunk.toString()
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    return { process: child, output: () => output }
  }

  /** Ends agents and service and removes everything. */
  async stop(): Promise<void> {
    for (const source of this.#sources) await source.stopAgent()
    await this.#supervisor.stop()
    await rm(this.folder, { recursive: true, force: true })
  }

  async #serverIds(): Promise<string[]> {
    return (await this.api.getAll<ServerView>('/servers')).map((server) => server.sourceServerId)
  }
}
