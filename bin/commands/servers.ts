/**
 * `rehost servers`, `rehost test`, `rehost cutover` …: what the dashboard's buttons do.
 * @module
 */
import type { Command } from 'commander'
import type { JobId, SourceServerId } from '../../domain/ids.ts'
import type { Job } from '../../domain/job.ts'
import type { ActionOutcome } from '../../domain/post_launch_action.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Task, TaskKind } from '../../domain/task.ts'
import type { ServerView } from '../demo/service_view.ts'
import { leavingInWords, workName } from '../../domain/actions.ts'
import { ApiClient, ApiError, findAccess } from '../api_client.ts'
import { remark, say } from '../terminal.ts'
import { getServer, pollUntil, waitForJob } from '../demo/service_view.ts'
import { serverArgument, serverIdOf } from './server_argument.ts'
import { listingLines } from './server_listing.ts'
import { WaitLines } from './wait_lines.ts'

interface ActionCommand {
  command: string
  action: string
  description: string
  /** What `--wait` waits for, and what its exit code tells; absent where all is done at once. */
  wait?: string
}

const waitForLaunch =
  'return when it is up; exit code 1 when the launch, or a post-launch action that must succeed, failed'

/** The actions, each a command with the server's id. */
const actions: readonly ActionCommand[] = [
  { command: 'test', action: 'launch-test', description: 'launch a test machine', wait: waitForLaunch },
  {
    command: 'ready-for-cutover',
    action: 'mark-ready-for-cutover',
    description: 'say that the test was good',
  },
  {
    command: 'cutover',
    action: 'launch-cutover',
    description: 'launch the cutover machine',
    wait: waitForLaunch,
  },
  {
    command: 'finalize',
    action: 'finalize',
    description: 'end the migration: agent removed, staging area gone',
    wait: 'return when both are gone; exit code 1 when the cutover machine could not be made to stand alone',
  },
  {
    command: 'revert',
    action: 'revert',
    description: 'go back one stage and terminate the launched machine',
    wait: 'return when the machine is terminated; exit code 1 when it could not be',
  },
  { command: 'pause', action: 'pause', description: 'pause replication' },
  { command: 'resume', action: 'resume', description: 'resume replication' },
  {
    command: 'disconnect',
    action: 'disconnect',
    description: 'stop replicating, uninstall the agent, remove the staging area',
    wait: 'return when the staging area is removed; what fails is tried again until then',
  },
  { command: 'archive', action: 'archive', description: 'put a finished server out of sight' },
  {
    command: 'delete',
    action: 'delete',
    description: 'delete the records of a disconnected server',
    wait: 'return when they are deleted; what fails is tried again until then',
  },
]

/** A service that is being restarted while somebody waits is asked again for this long. */
const waitPatienceMs = 60_000
const waitTimeoutMs = 3_600_000

/** What became of an action. */
interface Outcome {
  /** Missing when it is deleted. */
  server?: ServerView
  /** Why the action failed, if it did. */
  failure?: string | undefined
  /** Post-launch actions that failed in the launch that was waited for. */
  failedActions?: ActionOutcome[]
}

/** The actions that failed in the launch of `jobId`; none when `server` remembers another launch. */
function failedActionsOf({ launchedInstance, postLaunch }: ServerView, jobId: JobId): ActionOutcome[] {
  if (launchedInstance?.jobId !== jobId) return []
  const outcomes = postLaunch?.lastRuns?.[launchedInstance.purpose] ?? []
  return outcomes.filter(({ status }) => status === 'FAILED')
}

/** Prints the post-launch actions that failed; the launch is good, but one that must succeed holds up what comes next. */
function tellFailedActions(serverId: string, failed: readonly ActionOutcome[]): void {
  for (const { actionName, failureReason, mustSucceedForCutover } of failed) {
    const must = mustSucceedForCutover === true ? ', which must succeed,' : ''
    const why = failureReason ?? 'no reason was saved'
    remark(`${serverId}: post-launch action “${actionName}”${must} failed: ${why}`)
    if (mustSucceedForCutover === true) process.exitCode = 1
  }
}

/** Waits for what an action on `asked` began. */
async function outcome(api: ApiClient, asked: ServerView): Promise<Outcome> {
  const { activeTask, sourceServerId } = asked
  const lines = new WaitLines()
  if (activeTask === undefined) return { server: await getServer(api, sourceServerId) }
  const limits = { timeoutMs: waitTimeoutMs, signal: AbortSignal.timeout(waitTimeoutMs) }
  if (activeTask.jobId === undefined) {
    const ended = await pollUntil(`${activeTask.kind} of ${sourceServerId} ends`, limits, async () => {
      const server = await getServer(api, sourceServerId).catch((error: unknown) => {
        // That it is not found is what a deletion comes to.
        if (activeTask.kind === 'DELETE' && error instanceof ApiError && error.status === 404)
          return undefined
        throw error
      })
      if (server === undefined) return {}
      if (server.activeTask?.taskId !== activeTask.taskId) return { server }
      lines.tell(sentence(server))
      return undefined
    })
    // Other work without a job is repeated until it succeeds.
    return activeTask.kind === 'FINALIZE' && ended.server?.lifecycle.state !== 'CUTOVER'
      ? {
          ...ended,
          failure: 'the cutover machine could not be made to stand alone; the events of the server say why',
        }
      : ended
  }
  const job = await waitForJob(api, activeTask.jobId, limits, async (open) => {
    lines.tell(jobSentence(open, sourceServerId, await findTasks(api, open.jobId)))
  })
  const own = job.participatingServers.find((participant) => participant.sourceServerId === sourceServerId)
  // The job ends before the server, which is what has the outcomes.
  const server = await pollUntil(`the server ${sourceServerId} is free of ${job.jobId}`, limits, async () => {
    const found = await getServer(api, sourceServerId)
    if (found.activeTask?.taskId !== activeTask.taskId) return found
    lines.tell(sentence(found))
    return undefined
  })
  return { server, failure: own?.failure, failedActions: failedActionsOf(server, job.jobId) }
}

function findTasks(api: ApiClient, jobId: JobId): Promise<Task[]> {
  return api.get<{ items: Task[] }>(`/jobs/${jobId}/tasks`).then(({ items }) => items)
}

/** How far the part of one server in a job is. */
function jobSentence({ jobId, status }: Job, id: SourceServerId, tasks: readonly Task[]): string {
  const steps = tasks.find(({ sourceServerId }) => sourceServerId === id)?.steps ?? []
  const step = steps.find((one) => one.status === 'RUNNING' || one.status === 'PENDING')
  const place = step === undefined ? '' : `, step ${steps.indexOf(step) + 1} of ${steps.length}: ${step.name}`
  return `${id}: job ${jobId} is ${status}${place}`
}

/** What replication does, and what the agent is to do at its next report. */
function replicationWords({ agent: { desired }, replication: { state } }: ServerView): string {
  if (desired === 'PAUSE' && state !== 'PAUSED') return `, replication ${state}, about to pause`
  if (desired === 'REPLICATE' && state === 'PAUSED') return ', replication PAUSED, about to go on'
  return `, replication ${state}`
}

/** Work whose state after it is there from the beginning: naming it would read as if it were done. */
const endings: readonly TaskKind[] = ['DISCONNECT', 'FINALIZE', 'DELETE']

/** What the server is now, and the work that goes on with what that waits for. */
function stateWords(server: ServerView): string {
  const { lifecycle, activeTask, isArchived } = server
  const state = `${lifecycle.state}${isArchived ? ', archived' : ''}${replicationWords(server)}`
  if (activeTask === undefined) return state
  const leaving = leavingInWords(server)
  const work = `${workName(activeTask.kind)}${leaving === undefined ? '' : `, ${leaving}`}`
  return endings.includes(activeTask.kind) ? work : `${state}, ${work}`
}

/** The server's state, what is under way, and where its launched machine answers. */
function sentence(server: ServerView): string {
  const places = (server.launchedInstance?.endpoints ?? []).map(
    ({ guestPort, host, port }) => `, port ${guestPort} of its machine at ${host}:${port}`,
  )
  return `${server.sourceServerId}: ${stateWords(server)}${places.join('')}`
}

/** Adds the commands. */
export function addServerCommands(program: Command): void {
  program
    .command('servers')
    .description('list the source servers')
    .option('--archived', 'archived ones too')
    .option('--json', 'print JSON')
    .action(async (options: { archived?: boolean; json?: boolean }) => {
      const api = new ApiClient(await findAccess(process.env))
      const items = await api.getAll<SourceServer>(
        options.archived === true ? '/servers?archived=true' : '/servers',
      )
      if (options.json === true) return say(JSON.stringify(items, null, 2))
      say(listingLines(items).join('\n'))
    })
  for (const { command, action, description, wait } of actions) {
    const own = program
      .command(command)
      .description(description)
      .argument(...serverArgument)
      .option('--json', 'print JSON')
      .action(async (given: string, options: { json?: boolean; wait?: boolean }) => {
        const api = new ApiClient(await findAccess(process.env), options.wait === true ? waitPatienceMs : 0)
        const serverId = await serverIdOf(api, given)
        const asked = await api.post<ServerView>(`/servers/${serverId}/actions/${action}`)
        const ended: Outcome = options.wait === true ? await outcome(api, asked) : { server: asked }
        const { server, failure, failedActions = [] } = ended
        if (options.json === true) {
          const gone = { sourceServerId: asked.sourceServerId, deleted: true }
          say(JSON.stringify(server ?? gone, null, 2))
        } else {
          say(server === undefined ? `${asked.sourceServerId}: deleted` : sentence(server))
        }
        tellFailedActions(serverId, failedActions)
        if (failure === undefined) return
        remark(`${serverId}: ${command} failed: ${failure}`)
        process.exitCode = 1
      })
    if (wait !== undefined) own.option('--wait', wait)
  }
}
