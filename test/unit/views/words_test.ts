import { describe, expect, it } from 'vitest'
import { serverActions } from '../../../domain/actions.ts'
import { initiationStepNames } from '../../../domain/initiation.ts'
import { jobLogEvents } from '../../../domain/job.ts'
import { lifecycleStates } from '../../../domain/lifecycle.ts'
import { dataReplicationErrors, dataReplicationStates } from '../../../domain/replication.ts'
import { taskKinds } from '../../../domain/task.ts'
import { taskSteps } from '../../../queues/task_steps.ts'
import { actionWords } from '../../../views/action_words.ts'
import {
  errorWords,
  eventTypeWords,
  initiationWords,
  jobLogWords,
  lifecycleWords,
  replicationWords,
  stepWord,
  stepWords,
  workWords,
} from '../../../views/words.ts'

/** Words for people: they begin like a sentence, and are no code. */
function expectWords(words: Record<string, unknown>, names: readonly string[]): void {
  expect(Object.keys(words).sort()).toEqual([...new Set(names)].sort())
  for (const [name, word] of Object.entries(words)) {
    const text =
      typeof word === 'string' ? word : Object.values(word as object).find((part) => typeof part === 'string')
    expect(text, name).toMatch(/^[A-Z][^_]+$/)
    expect(text, name).not.toBe(name)
  }
}

describe('words', () => {
  it('there are for every step of every task, and for no other', () => {
    expectWords(
      stepWords,
      Object.values(taskSteps).flatMap((steps) => steps.map(({ name }) => name)),
    )
    expect(stepWord('release-staging')).toBe('Release the replica')
    expect(stepWord('a-step-of-tomorrow')).toBe('a-step-of-tomorrow')
  })

  it.each([
    ['lifecycle states', lifecycleWords, lifecycleStates],
    ['replication states', replicationWords, dataReplicationStates],
    ['replication errors', errorWords, dataReplicationErrors],
    ['initiation steps', initiationWords, initiationStepNames],
    ['lines of a job’s log', jobLogWords, jobLogEvents],
    ['kinds of work', workWords, taskKinds],
    ['actions', actionWords, serverActions],
    [
      'kinds of event',
      eventTypeWords,
      [
        'LIFECYCLE_CHANGED',
        'REPLICATION_CHANGED',
        'INITIATION_STEP',
        'AGENT',
        'REPLICATOR',
        'CONSISTENCY_POINT',
        'VERIFICATION',
        'JOB',
        'LAUNCH',
        'CONFIGURATION',
        'OPERATOR',
        'THRESHOLD',
      ],
    ],
  ] as const)('there are for all %s', (_what, words, names) => {
    expectWords(words, names)
  })
})
