/**
 * The demonstration: one real server, booted and busy, carried through a whole migration.
 *
 * build guest → start service → boot source → install the agent by the dashboard's command → initial sync → test machine → mark ready →
 * last file → cutover machine → compare with the source's own write log → finalize.
 * @module
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobId, SourceServerId } from '../../domain/ids.ts'
import type { NewToken } from '../commands/tokens.ts'
import type { SupervisorConfig } from '../supervisor/config.ts'
import type { Supervisor } from '../supervisor/supervisor.ts'
import type { Terminal } from './progress.ts'
import type { ServerView } from './service_view.ts'
import type { SourceVm } from './source_vm.ts'
import type { DemoSummary, Verdict } from './summary.ts'
import { errorMessage } from '../../domain/errors.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { hostAccelerator } from '../../cloud/qemu/host_accelerator.ts'
import { ensureAgentBuilt } from '../supervisor/agent_build.ts'
import { startSupervisor } from '../supervisor/supervisor.ts'
import { buildGuest } from './guest.ts'
import { demoMarkers, readStatusPage } from './status_page.ts'
import { stagingLeftovers } from './leftovers.ts'
import { ProgressDisplay } from './progress.ts'
import { getServer, momentOf, pollUntil, waitForJob } from './service_view.ts'
import { startSourceVm } from './source_vm.ts'
import { StepTimer } from './timing.ts'
import { matchReplica } from './write_log.ts'

/** What a run needs. */
export interface DemoOptions {
  root: string
  config: SupervisorConfig
  environment: Record<string, string | undefined>
  /** Where finished guests are kept from one run to the next. */
  cacheDir: string
  /** Build the guest anew instead of taking the one of earlier today. */
  isFresh: boolean
  say: (line: string) => void
  terminal: Terminal
  now: () => number
  signal: AbortSignal
}

/** Where the guest reaches this machine's loopback in QEMU's user network. */
export const guestViewOfHost = '10.0.2.2'

/** A gateway that was killed is up again after some seconds. */
const servicePatienceMs = 60_000
const guestSizeBytes = 3 * 1024 ** 3
const minutes = (count: number): number => count * 60_000

/** The source server's host name; also the name that its machines keep. */
export const demoHostname = 'shop-01'

/** One run. Everything it started is in here, so that {@link close} can end it whatever happened. */
export class Demo {
  readonly #options: DemoOptions
  readonly #timer: StepTimer
  #service: Supervisor | undefined
  #source: SourceVm | undefined
  #api: ApiClient | undefined
  #serverId: SourceServerId | undefined
  #initialImage = ''

  constructor(options: DemoOptions) {
    this.#options = options
    this.#timer = new StepTimer(options.now, options.say)
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
    const { config, root, environment, say, signal, isFresh } = this.#options
    const workDir = join(config.dataDir, 'demo')
    this.#initialImage = await this.#timer.run('build the source server', () =>
      buildGuest({
        path: join(workDir, 'source.initial.raw'),
        cacheDir: this.#options.cacheDir,
        workDir,
        sizeBytes: guestSizeBytes,
        hostname: demoHostname,
        isFresh,
        log: say,
        signal,
      }),
    )
    await this.#timer.run('build the agent', () => ensureAgentBuilt(root, (line) => say(`  ${line}`)))
    await this.#timer.run('start the service', async () => {
      this.#service = await startSupervisor({ config, root, environment, say })
      this.#api = new ApiClient(
        await findAccess({ REHOST_DATA_DIR: config.dataDir, REHOST_HTTP_PORT: String(config.httpPort) }),
        servicePatienceMs,
      )
      say(`  dashboard ${this.#service.dashboardUrl}`)
      if (this.#service.firstPassword !== undefined)
        say(`  sign in as admin, password ${this.#service.firstPassword}`)
    })
    await this.#timer.run('boot the source server', async () => {
      this.#source = await startSourceVm({
        initialImagePath: this.#initialImage,
        workDir,
        accelerator: await hostAccelerator(config.dataDir),
        signal,
      })
    })
    await this.#timer.run('install the agent', () => this.#installAgent())
  }

  /** Waits until the server is ready for test, showing progress. */
  async replicate(): Promise<void> {
    await this.#timer.run('initial sync', () =>
      this.#waitFor('the server is ready for test', (server) => server.lifecycle.state === 'READY_FOR_TEST'),
    )
  }

  /** Launches the test machine and tells how it went. */
  async test(): Promise<Verdict> {
    await this.api.put(`/servers/${this.serverId}/launch-configuration`, {
      httpChecks: [{ port: 80, path: '/', contains: demoHostname }],
      reachablePorts: [80],
    })
    return this.#timer.run('launch the test machine', () => this.#launch('launch-test'))
  }

  /** Marks the server ready, writes the last file on the source and launches the cutover machine. */
  async cutOver(): Promise<{ verdict: Verdict; lagSeconds: number }> {
    await this.#timer.run('mark ready for cutover', () =>
      this.#act('mark-ready-for-cutover').then(() => undefined),
    )
    const marker = await this.#timer.run('write the last file on the source', () =>
      demoMarkers.write(this.source),
    )
    const before = await this.#waitFor(
      'replication has caught up',
      (server) => momentOf(server).lagMs !== null,
    )
    const lagSeconds = (momentOf(before).lagMs ?? 0) / 1000
    const launched = await this.#timer.run('launch the cutover machine', () => this.#launch('launch-cutover'))
    if (launched === 'FAILED') return { verdict: 'FAILED', lagSeconds }
    const server = await getServer(this.api, this.serverId)
    const page = await readStatusPage(server.launchedInstance?.endpoints ?? [], this.#options.signal)
    const isThere = page.markers.some(({ name, sha256 }) => name === marker.name && sha256 === marker.sha256)
    this.#options.say(
      isThere
        ? `  ${marker.name} is on the cutover machine`
        : `  ${marker.name} is MISSING on the cutover machine`,
    )
    if (page.agent.length > 0) this.#options.say(`  the cutover machine still has ${page.agent.join(', ')}`)
    return { verdict: isThere && page.agent.length === 0 ? 'PASSED' : 'FAILED', lagSeconds }
  }

  /** Whether the snapshots of the last launch equal the source's disk as it was after one of its own writes. */
  async compare(): Promise<boolean> {
    return this.#timer.run('compare with the source', async () => {
      const server = await getServer(this.api, this.serverId)
      const snapshotId = started(server.launchedInstance, 'launch').snapshotIds[0]
      const result = await matchReplica({
        initialImagePath: this.#initialImage,
        logPath: this.source.writeLogPath,
        replicaPath: join(this.#options.config.dataDir, 'cloud', 'snapshots', `${snapshotId}.raw`),
      })
      this.#options.say(
        result.identical
          ? `  identical to the source's disk after write ${result.entry} of ${result.entries}`
          : `  DIFFERENT from the source's disk at every write; nearest: ${result.nearest}`,
      )
      return result.identical
    })
  }

  /** Finalizes and waits until the staging area is gone. Answers whether the agent is gone from the source. */
  async finalize(): Promise<boolean> {
    return this.#timer.run('finalize', async () => {
      await this.#act('finalize')
      await this.#waitFor(
        'the staging area is gone',
        (server) => server.lifecycle.state === 'CUTOVER' && server.activeTask === undefined,
      )
      return this.#agentIsGone()
    })
  }

  /** The agent says that it goes and then goes: its files are looked at until they are gone. */
  async #agentIsGone(): Promise<boolean> {
    const look =
      'ls -d /opt/rehost /etc/rehost /var/lib/rehost /etc/systemd/system/rehost-agent.service 2>/dev/null; systemctl is-active rehost-agent | grep -x active; true'
    let found = ''
    try {
      await pollUntil(
        'the agent is gone',
        { timeoutMs: minutes(2), signal: this.#options.signal },
        async () => {
          found = (await this.source.guestExec(look)).stdout.trim()
          return found === '' ? true : undefined
        },
      )
      return true
    } catch (error) {
      this.#options.signal.throwIfAborted()
      this.#options.say(`  ${errorMessage(error)}; the source still has: ${found}`)
      return false
    }
  }

  /** The whole migration. */
  async run(): Promise<DemoSummary> {
    await this.prepare()
    await this.replicate()
    const testVerdict = await this.test()
    const { verdict: cutoverVerdict, lagSeconds } = await this.cutOver()
    const identical = await this.compare()
    const sent = momentOfWire(await getServer(this.api, this.serverId))
    const allocated = (await stat(this.source.diskPath)).blocks * 512
    const agentRemoved = await this.finalize()
    return {
      identical,
      testVerdict,
      cutoverVerdict,
      agentRemoved,
      leftovers: await stagingLeftovers(this.#options.config.dataDir),
      lagSecondsAtCutover: lagSeconds,
      steps: this.#timer.steps,
      bytes: { allocated, sent },
    }
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
      { timeoutMs: minutes(2), signal },
      async () => {
        const { items } = await this.api.get<{ items: ServerView[] }>('/servers')
        return items[0]?.sourceServerId
      },
    )
  }

  #act(action: string): Promise<ServerView> {
    return this.api.post<ServerView>(`/servers/${this.serverId}/actions/${action}`)
  }

  async #launch(action: 'launch-test' | 'launch-cutover'): Promise<Verdict> {
    const { say, signal } = this.#options
    const server = await this.#act(action)
    const jobId: JobId = started(server.activeTask?.jobId, 'job')
    const job = await waitForJob(this.api, jobId, { timeoutMs: minutes(12), signal })
    const own = job.participatingServers.find((participant) => participant.sourceServerId === this.serverId)
    if (own?.launchStatus !== 'LAUNCHED') say(`  launch failed: ${own?.failure ?? 'no reason was saved'}`)
    return own?.launchStatus === 'LAUNCHED' ? 'PASSED' : 'FAILED'
  }

  async #waitFor(what: string, isSo: (server: ServerView) => boolean): Promise<ServerView> {
    const { terminal, now, signal } = this.#options
    const display = new ProgressDisplay(terminal, now)
    try {
      return await pollUntil(what, { timeoutMs: minutes(10), signal }, async () => {
        const server = await getServer(this.api, this.serverId)
        display.show(momentOf(server))
        const { error } = server.replication
        if (error !== undefined) display.note(`${error.error}: ${error.rawError}. ${error.whatToDo}`)
        return isSo(server) ? server : undefined
      })
    } finally {
      display.end()
    }
  }
}

/** Bytes on the wire so far. */
function momentOfWire(server: ServerView): number {
  return server.telemetry?.wireBytes ?? 0
}

/** `thing`, which a step before this one must have started. */
function started<T>(thing: T | undefined, name: string): T {
  if (thing === undefined) throw new Error(`The ${name} has not been started`)
  return thing
}
