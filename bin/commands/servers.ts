/**
 * `rehost servers`, `rehost test`, `rehost cutover` …: what the dashboard's buttons do.
 * @module
 */
import type { Command } from 'commander'
import type { SourceServer } from '../../domain/source_server.ts'
import type { ServerView } from '../demo/service_view.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { getServer, pollUntil, waitForJob } from '../demo/service_view.ts'

/** The actions, each a command with the server's id. */
const actions = [
  { command: 'test', action: 'launch-test', description: 'launch a test machine' },
  {
    command: 'ready-for-cutover',
    action: 'mark-ready-for-cutover',
    description: 'say that the test was good',
  },
  { command: 'cutover', action: 'launch-cutover', description: 'launch the cutover machine' },
  {
    command: 'finalize',
    action: 'finalize',
    description: 'end the migration: agent removed, staging area gone',
  },
  {
    command: 'revert',
    action: 'revert',
    description: 'go back one stage and terminate the launched machine',
  },
  { command: 'pause', action: 'pause', description: 'pause replication' },
  { command: 'resume', action: 'resume', description: 'resume replication' },
  {
    command: 'disconnect',
    action: 'disconnect',
    description: 'stop replicating, uninstall the agent, remove the staging area',
  },
  { command: 'archive', action: 'archive', description: 'put a finished server out of sight' },
  { command: 'delete', action: 'delete', description: 'delete the records of a disconnected server' },
] as const

/** Columns of the listing. */
function row(server: SourceServer): string[] {
  const { hostname } = server.sourceProperties.identificationHints
  return [
    server.sourceServerId,
    hostname,
    server.lifecycle.state,
    server.replication.state,
    server.lifecycle.lastSeenByServiceAt ?? '',
  ]
}

/** A service that is being restarted while somebody waits is asked again for this long. */
const waitPatienceMs = 60_000
const waitTimeoutMs = 3_600_000

/** Waits for what an action began. Answers why it failed, if it did. */
async function outcome(api: ApiClient, server: ServerView): Promise<string | undefined> {
  const { activeTask } = server
  if (activeTask === undefined) return undefined
  const limits = { timeoutMs: waitTimeoutMs, signal: AbortSignal.timeout(waitTimeoutMs) }
  if (activeTask.jobId === undefined) {
    const ended = await pollUntil(`${activeTask.kind} of ${server.sourceServerId} ends`, limits, async () => {
      const now = await getServer(api, server.sourceServerId)
      return now.activeTask?.taskId === activeTask.taskId ? undefined : now
    })
    // Other work without a job is repeated until it succeeds.
    return activeTask.kind === 'FINALIZE' && ended.lifecycle.state !== 'CUTOVER'
      ? 'the cutover machine could not be made to stand alone; the events of the server say why'
      : undefined
  }
  const job = await waitForJob(api, activeTask.jobId, limits)
  const own = job.participatingServers.find(({ sourceServerId }) => sourceServerId === server.sourceServerId)
  return own?.failure
}

/** The server's state, and where its launched machine answers. */
function sentence(server: ServerView): string {
  const places = (server.launchedInstance?.endpoints ?? []).map(
    ({ guestPort, host, port }) => `, port ${guestPort} of its machine at ${host}:${port}`,
  )
  return `${server.sourceServerId}: ${server.lifecycle.state}${places.join('')}`
}

/** Adds the commands. */
export function addServerCommands(program: Command): void {
  program
    .command('servers')
    .description('list the source servers')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => {
      const api = new ApiClient(await findAccess(process.env))
      const { items } = await api.get<{ items: SourceServer[] }>('/servers')
      if (options.json === true) return console.log(JSON.stringify(items, null, 2))
      const rows = [['SERVER', 'HOST', 'LIFECYCLE', 'REPLICATION', 'LAST SEEN'], ...items.map(row)]
      const widths =
        rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0))) ?? []
      for (const cells of rows)
        console.log(
          cells
            .map((cell, column) => cell.padEnd(widths[column] ?? 0))
            .join('  ')
            .trimEnd(),
        )
    })
  for (const { command, action, description } of actions) {
    program
      .command(command)
      .description(description)
      .argument('<server>', 'source server id, s-…')
      .option('--json', 'print JSON')
      .option('--wait', 'return when it is done; exit code 1 when it failed')
      .action(async (serverId: string, options: { json?: boolean; wait?: boolean }) => {
        const api = new ApiClient(await findAccess(process.env), options.wait === true ? waitPatienceMs : 0)
        let server = await api.post<ServerView>(`/servers/${encodeURIComponent(serverId)}/actions/${action}`)
        const failure = options.wait === true ? await outcome(api, server) : undefined
        if (options.wait === true) server = await getServer(api, server.sourceServerId)
        console.log(options.json === true ? JSON.stringify(server, null, 2) : sentence(server))
        if (failure === undefined) return
        console.error(`${serverId}: ${command} failed: ${failure}`)
        process.exitCode = 1
      })
  }
}
