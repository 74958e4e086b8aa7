/**
 * What stands in the way, in sentences: what happened, and what to do or that nothing needs to be done.
 * @module
 */
import type { ReplicationServer } from '../domain/enrolment.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Task } from '../domain/task.ts'
import type { Html } from './html.ts'
import { certificateExpiredAt, installAgain } from '../domain/agent_silence.ts'
import { isSilent } from './figures.ts'
import { count, duration, relative, sentence, when } from './format.ts'
import { html, nothing } from './html.ts'
import { notice } from './parts.ts'
import { errorWords, stepWord } from './words.ts'

/** A call on the agent port that was refused. */
export interface RefusedCallModel {
  kind: 'ENROLMENT' | 'CERTIFICATE'
  address: string
  /** Who the call says it is about; not proven. */
  subject?: string | undefined
  at: string
  count: number
  /** What is wrong and what to do. */
  detail: string
}

/** A worker renews its hold several times before it runs out; a clock that differs a little must not make an alarm. */
const leaseToleranceMs = 3000

/** Work that nobody has begun after this time is worth a word: a free worker takes it within a second. */
const unbegunMs = 30_000

/** A replication server reports every second, and that is written down every five. */
const replicatorSilenceMs = 30_000

/** Live figures cannot be read. */
export function missingFigures(): Html {
  return notice(
    'warn',
    'Live figures are missing',
    'Redis cannot be reached. Replication goes on, and everything decided is kept; lag and progress shown are those last written down, and launches wait. Start Redis again (rehost up does it by itself): the figures come back without a reload.',
  )
}

/** A refused call, with who called and how often. */
export function refusedCall(call: RefusedCallModel, now: Date): Html {
  const times = call.count === 1 ? nothing : html` (${count(call.count, 'time')})`
  const heading =
    call.kind === 'ENROLMENT'
      ? `${call.subject ?? 'A server'} was refused`
      : `A call of the agent from ${call.address} was refused`
  return notice(
    'bad',
    heading,
    html`${sentence(call.detail)}
      <span class="muted">From ${call.address}, ${when(call.at, now)}${times}</span>`,
  )
}

/** The replication server does not answer. */
export function lostReplicationServer(replicationServer: ReplicationServer | undefined, now: Date): Html {
  if (replicationServer === undefined || replicationServer.state === 'REMOVED') return nothing
  const { replicationServerId: id, state, lastSeenAt } = replicationServer
  if (state === 'LOST') {
    return notice(
      'warn',
      `Replication server ${id} has stopped`,
      'It is started again by itself. Nothing is lost: the agent connects again and sends what was not acknowledged.',
    )
  }
  const isSilentNow = lastSeenAt !== undefined && now.getTime() - Date.parse(lastSeenAt) > replicatorSilenceMs
  return isSilentNow
    ? notice(
        'warn',
        `Replication server ${id} was last heard ${relative(lastSeenAt, now)}`,
        'See whether it runs and reaches this service on the agent port; its log says why not. The agent keeps what changes meanwhile.',
      )
    : nothing
}

/** The agent does not report; said once, also when the replication has been stalled for it. */
export function silentAgent(server: SourceServer, now: Date): Html {
  if (!isSilent(server, now)) return nothing
  const expiredAt = certificateExpiredAt(server, now.toISOString())
  if (expiredAt !== undefined) return expiredCertificate(server, expiredAt, now)
  if (server.replication.error?.error === 'AGENT_NOT_SEEN') return nothing
  return notice(
    'warn',
    lastHeard(server, now),
    html`See on the source server whether it runs: <code>systemctl status rehost-agent</code>. Nothing is
      lost; it goes on where it stopped.`,
  )
}

/** The agent cannot come back by itself; said once, also when the replication has been stalled for it and that was told. */
function expiredCertificate(server: SourceServer, expiredAt: string, now: Date): Html {
  const whatToDo = installAgain(server)
  if (server.replication.error?.whatToDo === whatToDo) return nothing
  return notice(
    'bad',
    `${lastHeard(server, now)}, and its certificate has expired`,
    `It expired at ${expiredAt}: the agent cannot come back by itself. ${whatToDo}.`,
  )
}

function lastHeard({ agent }: SourceServer, now: Date): string {
  return agent.lastSeenAt === undefined
    ? 'The agent has not reported yet'
    : `The agent was last heard ${relative(agent.lastSeenAt, now)}`
}

/** The error that replication suffers from, and when it is tried again. */
export function replicationError(server: SourceServer, now: Date): Html {
  const { error, initiation } = server.replication
  if (error === undefined) return nothing
  const next =
    initiation.nextAttemptAt === undefined || server.activeTask !== undefined
      ? nothing
      : html` The next try is ${relative(initiation.nextAttemptAt, now)}.`
  return notice(
    'bad',
    errorWords[error.error],
    html`${sentence(error.rawError)} ${sentence(error.whatToDo)}${next}
      <span class="muted">(${error.error})</span>`,
  )
}

/** Copies and comparisons go slowly on purpose. */
export function slowedReading({ replication }: SourceServer): Html {
  if (replication.readingSlowed === undefined) return nothing
  return notice('info', "Reading is slowed: the source's disks are busy", sentence(replication.readingSlowed))
}

/** How far a piece of work is: `Step 3 of 7: Take snapshots`. */
export function workProgress(task: Task): string {
  if (task.status === 'UNDOING') return 'Taking back what was made'
  const position = task.steps.findIndex(({ status }) => status !== 'DONE' && status !== 'SKIPPED')
  const step = task.steps[position]
  return step === undefined
    ? 'Finishing'
    : `Step ${position + 1} of ${task.steps.length}: ${stepWord(step.name)}`
}

/** What keeps a piece of work from going on; nothing while it does. */
export function workTrouble(task: Task, now: Date): Html {
  const time = now.getTime()
  if (task.status === 'SUCCEEDED' || task.status === 'FAILED') return nothing
  if (task.status === 'UNDOING')
    return notice(
      'bad',
      'It did not work',
      html`${sentence(task.failure ?? '')} What was made is being taken back.`,
    )
  if (task.lease !== undefined && Date.parse(task.lease.expiresAt) + leaseToleranceMs < time) {
    return notice(
      'warn',
      'The worker that did this has stopped',
      'Another one takes over at this step, by itself and within a minute. If this stays, see whether a worker runs and reaches Redis.',
    )
  }
  if (task.status === 'PENDING' && time - Date.parse(task.createdAt) > unbegunMs) {
    return notice(
      'warn',
      `No worker has begun this for ${duration(time - Date.parse(task.createdAt))}`,
      'Either all of them are busy, or none runs: see whether a worker runs and reaches Redis.',
    )
  }
  const failing = task.steps.find(({ status, error }) => error !== undefined && status !== 'DONE')
  return failing?.error === undefined
    ? nothing
    : notice(
        'warn',
        `${stepWord(failing.name)}: ${failing.error}`,
        `Tried ${count(failing.attempts, 'time')} so far. It is tried again by itself; mend what the message names.`,
      )
}
