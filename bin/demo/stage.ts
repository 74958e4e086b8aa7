/**
 * What the demonstration plays on: the service, and a source server that is booted, busy and has the agent.
 * @module
 */
import { join } from 'node:path'
import type { SourceServerId } from '../../domain/ids.ts'
import type { NewToken } from '../commands/tokens.ts'
import type { SupervisorConfig } from '../supervisor/config.ts'
import type { DataFolder } from '../supervisor/data_folder.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import type { ServerView } from './service_view.ts'
import type { SourceVm } from './source_vm.ts'
import type { StepTimer } from './timing.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { hostAccelerator } from '../../cloud/qemu/host_accelerator.ts'
import { ensureAgentBuilt } from '../supervisor/agent_build.ts'
import { startSupervisor } from '../supervisor/supervisor.ts'
import type { GuestSpec } from './guest.ts'
import { buildGuest } from './guest.ts'
import { pollUntil } from './service_view.ts'
import { startSourceVm } from './source_vm.ts'

/** What the stage is built of. */
export interface StageOptions {
  root: string
  config: SupervisorConfig
  /** The data folder, empty. */
  folder: DataFolder
  environment: Record<string, string | undefined>
  /** Where finished guests are kept from one run to the next. */
  cacheDir: string
  /** Build the guest anew instead of taking the one of earlier today. */
  isFresh: boolean
  /** Another disk than the demonstration's. */
  guest?: Pick<GuestSpec, 'sizeBytes' | 'dataBytes'>
  say: (line: string) => void
  timer: StepTimer
  signal: AbortSignal
}

/** A gateway that was killed is up again after some seconds. */
const servicePatienceMs = 60_000
/** The demonstration's source: its files beside the system are enough that replication takes a while. */
const demoGuest = { sizeBytes: 3 * 1024 ** 3, dataBytes: 160_000_000 }
const enrolTimeoutMs = 120_000

/** The source server's host name; also the name that its machines keep. */
export const demoHostname = 'shop-01'

/** Everything it started is in here, so that {@link close} can end it whatever happened. */
export class Stage {
  readonly #options: StageOptions
  #service: Supervisor | undefined
  #source: SourceVm | undefined
  #api: ApiClient | undefined
  #serverId: SourceServerId | undefined
  #initialImagePath = ''

  constructor(options: StageOptions) {
    this.#options = options
  }

  /** The source's disk as it was before its first boot. */
  get initialImagePath(): string {
    return this.#initialImagePath
  }

  /** The running service. @throws Error before it has been started. */
  get service(): Supervisor {
    return started(this.#service, 'service')
  }

  /** The running source server. @throws Error before it has been started. */
  get source(): SourceVm {
    return started(this.#source, 'source server')
  }

  /** The API. @throws Error before the service has been started. */
  get api(): ApiClient {
    return started(this.#api, 'service')
  }

  /** The migrated server's id. @throws Error before its agent has enrolled. */
  get serverId(): SourceServerId {
    return started(this.#serverId, 'agent')
  }

  /** Builds the guest, starts the service, boots the source and installs the agent in it. */
  async prepare(): Promise<void> {
    const { config, signal } = this.#options
    const workDir = join(config.dataDir, 'demo')
    // Most of the guest's building is one process that installs packages: the second processor is free meanwhile.
    const results = await Promise.allSettled([this.#buildSource(workDir), this.#startService()])
    for (const result of results) if (result.status === 'rejected') throw result.reason
    await this.#options.timer.run('boot the source server', async () => {
      this.#source = await startSourceVm({
        initialImagePath: this.#initialImagePath,
        workDir,
        accelerator: await hostAccelerator(config),
        signal,
      })
    })
    await this.#options.timer.run('install the agent', () => this.#installAgent())
  }

  async #buildSource(workDir: string): Promise<void> {
    const { cacheDir, isFresh, guest = demoGuest, say, signal } = this.#options
    this.#initialImagePath = await this.#options.timer.run('build the source server', () =>
      buildGuest({
        path: join(workDir, 'source.initial.raw'),
        cacheDir,
        workDir,
        ...guest,
        hostname: demoHostname,
        isFresh,
        log: say,
        signal,
      }),
    )
  }

  async #startService(): Promise<void> {
    const { config, folder, root, environment, say } = this.#options
    await this.#options.timer.run('build the agent', () => ensureAgentBuilt(root, (line) => say(`  ${line}`)))
    await this.#options.timer.run('start the service', async () => {
      this.#service = await startSupervisor({ config, root, environment, say, folder })
      this.#api = new ApiClient(await findAccess(environment), servicePatienceMs)
      await requireNewService(this.#api)
      say(`  dashboard ${this.#service.dashboardUrl}`)
      if (this.#service.firstPassword !== undefined)
        say(`  sign in as admin, password ${this.#service.firstPassword}`)
    })
  }

  /** Ends everything that was started. */
  async close(): Promise<void> {
    await this.#source?.stop()
    this.#source = undefined
    await this.#service?.stop()
    this.#service = undefined
  }

  async #installAgent(): Promise<void> {
    const { say, signal } = this.#options
    const { installCommand } = await this.api.post<NewToken>('/tokens', { uses: 1 })
    say(`  ${installCommand}`)
    const installed = await this.source.guestExec(installCommand)
    for (const line of installed.stdout.trimEnd().split('\n')) say(`  ${line}`)
    // A pipe into sh ends well even if the download before it failed; then there is no word of the agent.
    if (installed.exitCode !== 0 || installed.stdout === '') {
      throw new Error(
        `The install command failed on the source with exit code ${installed.exitCode}:\n${installed.stdout}${installed.stderr}`,
      )
    }
    this.#serverId = await pollUntil(
      'the agent has enrolled',
      { timeoutMs: enrolTimeoutMs, signal },
      async () => {
        const servers = await this.api.getAll<ServerView>('/servers')
        const own = servers.find(
          ({ sourceProperties }) => sourceProperties.identificationHints.hostname === demoHostname,
        )
        return own?.sourceServerId
      },
    )
  }
}

/**
 * Makes sure that nobody's servers are in the service.
 * @throws Error when there are: a demonstration cuts over and must never meet a server that matters.
 */
export async function requireNewService(api: ApiClient): Promise<void> {
  const { items } = await api.get<{ items: ServerView[] }>('/servers')
  if (items.length === 0) return
  const names = items.map(({ sourceServerId }) => sourceServerId).join(', ')
  throw new Error(
    `The demonstration works only on a service of its own, and this one has servers already: ${names}`,
  )
}

/** `thing`, which a step before this one must have started. */
export function started<T>(thing: T | undefined, name: string): T {
  if (thing === undefined) throw new Error(`The ${name} has not been started`)
  return thing
}
