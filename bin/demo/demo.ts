/**
 * The demonstration: one real server, booted and busy, carried through a whole migration.
 *
 * build guest → start service → boot source → install the agent by the dashboard's command → initial sync → test machine → mark ready →
 * last file → cutover machine → compare with the source's own write log → finalize.
 * @module
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobId } from '../../domain/ids.ts'
import type { StageOptions } from './stage.ts'
import type { Terminal } from './progress.ts'
import type { ServerView } from './service_view.ts'
import type { DemoSummary, Verdict } from './summary.ts'
import { errorMessage } from '../../domain/errors.ts'
import { demoMarkers, readStatusPage } from './status_page.ts'
import { stagingLeftovers } from './leftovers.ts'
import { ProgressDisplay } from './progress.ts'
import { getServer, momentOf, pollUntil, waitForJob } from './service_view.ts'
import { demoHostname, Stage, started } from './stage.ts'
import { StepTimer } from './timing.ts'
import { matchReplica } from './write_log.ts'

/** What a run needs. */
export interface DemoOptions extends Omit<StageOptions, 'timer'> {
  terminal: Terminal
  now: () => number
}

const minutes = (count: number): number => count * 60_000

/** One run. */
export class Demo {
  /** The service and the source server. */
  readonly stage: Stage
  readonly #options: DemoOptions
  readonly #timer: StepTimer

  constructor(options: DemoOptions) {
    this.#options = options
    this.#timer = new StepTimer(options.now, options.say)
    this.stage = new Stage({ ...options, timer: this.#timer })
  }

  /** Seconds since the run was made. */
  get elapsedSeconds(): number {
    return this.#timer.elapsedSeconds
  }

  /** Builds the guest, starts the service, boots the source and installs the agent in it. */
  prepare(): Promise<void> {
    return this.stage.prepare()
  }

  /** Waits until the server is ready for test, showing progress. */
  async replicate(): Promise<void> {
    await this.#timer.run('initial sync', () =>
      this.#waitFor('the server is ready for test', (server) => server.lifecycle.state === 'READY_FOR_TEST'),
    )
  }

  /** Launches the test machine and tells how it went. */
  async test(): Promise<Verdict> {
    await this.stage.api.put(`/servers/${this.stage.serverId}/launch-configuration`, {
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
      demoMarkers.write(this.stage.source),
    )
    const before = await this.#waitFor(
      'replication has caught up',
      (server) => momentOf(server).lagMs !== null,
    )
    const lagSeconds = (momentOf(before).lagMs ?? 0) / 1000
    const launched = await this.#timer.run('launch the cutover machine', () => this.#launch('launch-cutover'))
    if (launched === 'FAILED') return { verdict: 'FAILED', lagSeconds }
    const server = await getServer(this.stage.api, this.stage.serverId)
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
      const server = await getServer(this.stage.api, this.stage.serverId)
      const snapshotId = started(server.launchedInstance, 'launch').snapshotIds[0]
      const result = await matchReplica({
        initialImagePath: this.stage.initialImagePath,
        logPath: this.stage.source.writeLogPath,
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
      const limits = { timeoutMs: minutes(10), signal: this.#options.signal }
      // Without a bar: there is no replica any more whose progress it could show.
      await pollUntil('the staging area is gone', limits, async () => {
        const { lifecycle, activeTask } = await getServer(this.stage.api, this.stage.serverId)
        return lifecycle.state === 'CUTOVER' && activeTask === undefined ? true : undefined
      })
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
          found = (await this.stage.source.guestExec(look)).stdout.trim()
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
    const sent = momentOfWire(await getServer(this.stage.api, this.stage.serverId))
    const allocated = (await stat(this.stage.source.diskPath)).blocks * 512
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
  close(): Promise<void> {
    return this.stage.close()
  }

  #act(action: string): Promise<ServerView> {
    return this.stage.api.post<ServerView>(`/servers/${this.stage.serverId}/actions/${action}`)
  }

  async #launch(action: 'launch-test' | 'launch-cutover'): Promise<Verdict> {
    const { say, signal } = this.#options
    const server = await this.#act(action)
    const jobId: JobId = started(server.activeTask?.jobId, 'job')
    const job = await waitForJob(this.stage.api, jobId, { timeoutMs: minutes(12), signal })
    const own = job.participatingServers.find(
      (participant) => participant.sourceServerId === this.stage.serverId,
    )
    if (own?.launchStatus !== 'LAUNCHED') say(`  launch failed: ${own?.failure ?? 'no reason was saved'}`)
    return own?.launchStatus === 'LAUNCHED' ? 'PASSED' : 'FAILED'
  }

  async #waitFor(what: string, isSo: (server: ServerView) => boolean): Promise<ServerView> {
    const { terminal, now, signal } = this.#options
    const display = new ProgressDisplay(terminal, now)
    try {
      return await pollUntil(what, { timeoutMs: minutes(10), signal }, async () => {
        const server = await getServer(this.stage.api, this.stage.serverId)
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
