import { describe, expect, it } from 'vitest'
import type { LifecycleState } from '../../../domain/lifecycle.ts'
import type { NewEvent } from '../../../domain/server_event.ts'
import { withEvent } from '../../../domain/source_server.ts'
import { nextStep } from '../../../views/servers/stepper.ts'
import { testServer } from '../../fixtures/source_server.ts'

const at = '2026-03-01T12:00:00.000Z'
const testFailed: NewEvent = {
  type: 'LAUNCH',
  level: 'ERROR',
  message: 'Test launch failed: Kernel panic',
  detail: { state: 'TEST_LAUNCH_FAILED', 'job-id': 'mgnjob-1' },
}
const cutOver: NewEvent = {
  type: 'LAUNCH',
  message: 'Cutover machine i-2 launched',
  detail: { state: 'CUTOVER_LAUNCH_SUCCEEDED', 'job-id': 'mgnjob-2' },
}
const notFinalized: NewEvent = {
  type: 'JOB',
  level: 'ERROR',
  message: 'The cutover is not finalized: No room',
  detail: { state: 'FINALIZE_FAILED' },
}
const vanished: NewEvent = { type: 'LAUNCH', level: 'ERROR', message: 'Machine i-2 has vanished' }
const actionFailed: NewEvent = {
  type: 'LAUNCH',
  level: 'ERROR',
  message: 'Post-launch action “check” failed on the test machine: exit code 3',
  detail: { state: 'ACTION_FAILED', 'job-id': 'mgnjob-1' },
}

/** The card of the next step in words, after `events`, oldest first. */
function words(state: LifecycleState, events: readonly NewEvent[]): string {
  const server = events.reduce(
    (told, event) => withEvent(told, at, event),
    testServer(state, 'CONTINUOUS', { outbox: [] }),
  )
  const card = nextStep({
    server,
    task: undefined,
    events: server.outbox.toReversed(),
    viewer: { userName: 'admin', role: 'viewer' },
    slugOf: (action) => action,
    now: new Date(at),
  })
  return String(card)
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
}

describe('the card of the next step', () => {
  it('tells of a launch that failed, whatever else was said of its machine since', () => {
    const said = 'Test launch failed Kernel panic. What was made for it is gone again'
    for (const more of [[], [vanished], [actionFailed]])
      expect(words('READY_FOR_TEST', [testFailed, ...more])).toContain(said)
  })

  it('says of a failed action or a vanished machine nothing about what is left of the launch', () => {
    for (const event of [actionFailed, vanished]) {
      const text = words('READY_FOR_TEST', [event])
      expect(text).not.toContain('is gone again')
      expect(words('CUTTING_OVER', [cutOver, event])).not.toContain('Nothing was removed')
    }
  })

  it('tells why a cutover is not finalized, until it is launched again or reverted', () => {
    const said = 'The cutover is not finalized No room. Nothing was removed'
    const ended: NewEvent = { type: 'JOB', level: 'ERROR', message: 'Job mgnjob-3 has ended: No room' }
    expect(words('CUTTING_OVER', [cutOver, notFinalized, ended])).toContain(said)
    expect(words('CUTTING_OVER', [notFinalized, cutOver])).not.toContain('not finalized')
    expect(words('READY_FOR_CUTOVER', [cutOver, notFinalized])).not.toContain('not finalized')
  })
})
