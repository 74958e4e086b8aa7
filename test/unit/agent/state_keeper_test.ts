import { describe, expect, it } from 'vitest'
import { LineLog } from '../../../agent/log.ts'
import { StateKeeper } from '../../../agent/sync/state_keeper.ts'
import { stalledAfterMs } from '../../../agent/sync/state.ts'
import { calmFacts as calm } from './calm_facts.ts'
import { FakeClock } from './fake_clock.ts'

/** A keeper whose run goes on without trouble, the clock, and every state it has reported. */
function keeping() {
  const clock = new FakeClock()
  const states: string[] = []
  const keeper: StateKeeper = new StateKeeper(clock, new LineLog({ write: () => undefined }, () => 0), () =>
    states.push(keeper.state),
  )
  keeper.update(calm)
  keeper.setConnected(true)
  keeper.update(calm)
  keeper.update({ ...calm, lagMs: null })
  keeper.update(calm)
  return { keeper, clock, states }
}

describe('StateKeeper', () => {
  it('says that replication stalls once the link has been away for long', () => {
    const { keeper, clock, states } = keeping()
    keeper.setConnected(false)
    clock.now += stalledAfterMs
    keeper.update(calm)
    expect(keeper.state).toBe('CONTINUOUS')
    clock.now += 1
    keeper.update(calm)
    expect(states.slice(-2)).toEqual(['CONTINUOUS', 'STALLED'])
  })

  it('does not say so of a link that was lost while replication was paused, until it has had its time since', () => {
    const { keeper, clock, states } = keeping()
    keeper.update({ ...calm, mode: 'PAUSE' })
    keeper.setConnected(false)
    clock.now += 10 * stalledAfterMs
    keeper.update({ ...calm, mode: 'PAUSE' })
    clock.now += 1000
    keeper.update(calm)
    expect(states.at(-1)).not.toBe('STALLED')
    clock.now += stalledAfterMs
    keeper.update(calm)
    expect(keeper.state).toBe('STALLED')
    keeper.setConnected(true)
    keeper.update(calm)
    expect(keeper.state).toBe('CONTINUOUS')
  })
})
