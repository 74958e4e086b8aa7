/**
 * The real thing to measure: the whole embedded service in a folder of its own, and real agents that send to it.
 * @module
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { NewToken } from '../bin/commands/tokens.ts'
import type { ServerView } from '../bin/demo/service_view.ts'
import type { SourceOptions, Started } from './source.ts'
import type { Supervisor } from '../bin/supervisor/supervisor.ts'
import { processState } from '../cloud/qemu/processes.ts'
import { errorMessage } from '../domain/errors.ts'
import { ApiClient, findAccess } from '../bin/api_client.ts'
import { readSupervisorConfig } from '../bin/supervisor/config.ts'
import { startSupervisor } from '../bin/supervisor/supervisor.ts'
import { until } from './command.ts'
import { Source } from './source.ts'

const root = join(import.meta.dirname, '..')
const agentProgram = join(root, 'dist/agent/rehost-agent-linux-x64')
const enrolTimeoutMs = 30_000

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
      // No machine is launched here: the trial whether KVM works would take the processors while they are measured.
      REHOST_ACCELERATOR: 'tcg',
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

  /** Process id of the one replication server. @throws Error when there is none or several. */
  async replicatorPid(): Promise<number> {
    const folder = join(this.folder, 'cloud/replication-servers')
    const pids: number[] = []
    for (const name of await readdir(folder)) {
      const { pid } = await processState(join(folder, name))
      if (pid !== undefined) pids.push(pid)
    }
    const [pid] = pids
    if (pid === undefined || pids.length > 1)
      throw new Error(`Expected one replication server and found ${pids.length}`)
    return pid
  }

  /** Process ids of everything that works for `source`, and of this process, which looks on. */
  async pidsWith(source: Source): Promise<Record<string, number | undefined>> {
    const { gateway, workers } = this.pids()
    const replicator = await this.replicatorPid()
    return { agent: source.agentPid, replicator, gateway, workers, benchmark: process.pid }
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
      ...(options.more ?? []),
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
