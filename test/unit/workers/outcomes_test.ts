import { describe, expect, it } from 'vitest'
import { applyAction } from '../../../domain/actions.ts'
import { ConflictError } from '../../../domain/errors.ts'
import type { SourceServerId } from '../../../domain/ids.ts'
import type { Job } from '../../../domain/job.ts'
import { newJob } from '../../../domain/job.ts'
import type { LaunchStatus } from '../../../domain/launch_status.ts'
import type { Task } from '../../../domain/task.ts'
import { newTask } from '../../../queues/task_steps.ts'
import { jobAfter, jobBegun } from '../../../workers/outcomes.ts'
import { addedAt, later, testJobId, testServer } from '../../fixtures/source_server.ts'

const launching = applyAction(testServer('READY_FOR_TEST', 'CONTINUOUS'), 'START_TEST', {
  at: addedAt,
  actor: 'anna',
  jobId: testJobId,
})
const { sourceServerId, activeTask } = launching
if (activeTask === undefined) throw new Error('The test launch has no task')
const task = newTask(launching, activeTask)
const asked = newJob({
  jobId: testJobId,
  initiatedBy: 'START_TEST',
  actor: 'anna',
  at: addedAt,
  sourceServerIds: [sourceServerId],
})
const other = 's-0000000000000000b' as SourceServerId

const ended = (status: Task['status'], kind: Task['kind'] = 'LAUNCH'): Task => ({
  ...task,
  kind,
  status,
  ...(status === 'FAILED' ? { failure: 'No room' } : {}),
})
const statuses = (job: Job) => [
  job.status,
  ...job.participatingServers.map(({ launchStatus }) => launchStatus),
]
/** A job of two servers, the first one's part at `launchStatus`. */
const ofTwo = (launchStatus: LaunchStatus): Job => ({
  ...asked,
  status: 'STARTED',
  participatingServers: [
    { sourceServerId, launchStatus },
    { sourceServerId: other, launchStatus: 'IN_PROGRESS' },
  ],
})

describe('jobBegun()', () => {
  it('starts job and part, and changes nothing when a crash has it told again', () => {
    const begun = jobBegun(asked, task)
    expect(statuses(begun)).toEqual(['STARTED', 'IN_PROGRESS'])
    expect(jobBegun(begun, task)).toEqual(begun)
  })

  it('leaves a part that is over, and a job that is', () => {
    expect(statuses(jobBegun(ofTwo('LAUNCHED'), task))).toEqual(['STARTED', 'LAUNCHED', 'IN_PROGRESS'])
    const over = jobAfter(jobBegun(asked, task), ended('SUCCEEDED'), later(60))
    expect(jobBegun(over, task)).toBe(over)
  })
})

describe('jobAfter()', () => {
  it.each([
    ['LAUNCH', 'SUCCEEDED', 'LAUNCHED'],
    ['LAUNCH', 'FAILED', 'FAILED'],
    ['TERMINATE', 'SUCCEEDED', 'TERMINATED'],
    ['TERMINATE', 'FAILED', 'FAILED'],
  ] as const)('ends the part of a %s task that %s as %s, once', (kind, status, launchStatus) => {
    const over = jobAfter(jobBegun(asked, task), ended(status, kind), later(60))
    expect(statuses(over)).toEqual(['COMPLETED', launchStatus])
    expect(over.endedAt).toBe(later(60))
    expect(over.participatingServers[0]?.failure).toBe(status === 'FAILED' ? 'No room' : undefined)
    expect(jobAfter(over, ended(status, kind), later(90))).toBe(over)
  })

  it('completes a job that failed before anything of it began: its server was deleted', () => {
    expect(statuses(jobAfter(asked, ended('FAILED'), later(60)))).toEqual(['COMPLETED', 'FAILED'])
  })

  it('waits for the other servers of the job', () => {
    const waiting = jobAfter(ofTwo('IN_PROGRESS'), ended('SUCCEEDED'), later(60))
    expect(statuses(waiting)).toEqual(['STARTED', 'LAUNCHED', 'IN_PROGRESS'])
    expect(waiting.endedAt).toBeUndefined()
    expect(jobAfter(waiting, ended('SUCCEEDED'), later(90))).toEqual(waiting)
  })

  it('leaves a machine that was terminated since, when a crash has its launch told again', () => {
    const job = ofTwo('TERMINATED')
    expect(jobAfter(job, ended('SUCCEEDED'), later(60))).toEqual(job)
  })

  it('refuses a launch that succeeded without having begun', () => {
    const jump = () => jobAfter(asked, ended('SUCCEEDED'), later(60))
    expect(jump).toThrow(ConflictError)
    expect(jump).toThrow(
      `Cannot SUCCEED while PENDING; possible now: BEGIN, FAIL (server ${sourceServerId} in job ${testJobId})`,
    )
  })
})
