import { describe, expect, it } from 'vitest'
import { Renewal } from '../../../agent/renewal.ts'
import { FakeClock } from './fake_clock.ts'

const day = 86_400_000

/** A certificate of two days that began when the clock starts, and renewals that fail as long as the list says. */
function makeRenewal(failures: (Error | undefined)[] = []) {
  const clock = new FakeClock()
  const begin = clock.now
  let life = { renewAtMs: begin + day, endsAtMs: begin + 2 * day }
  const attempts: number[] = []
  const notes: string[] = []
  const renewal = new Renewal({
    clock,
    random: () => 1,
    times: () => life,
    renew: () => {
      attempts.push(clock.now - begin)
      const failure = failures.shift()
      if (failure !== undefined) return Promise.reject(failure)
      life = { renewAtMs: clock.now + day, endsAtMs: clock.now + 2 * day }
      return Promise.resolve()
    },
    note: (level, message) => notes.push(`${level} ${message}`),
  })
  /** A heartbeat every ten seconds for so long. */
  const beat = async (ms: number, isAsked = false): Promise<void> => {
    for (const end = clock.now + ms; clock.now < end; clock.now += 10_000) await renewal.renewIfDue(isAsked)
  }
  return { renewal, attempts, notes, beat }
}

describe('Renewal', () => {
  it('renews once at half of the life of each certificate', async () => {
    const { attempts, notes, beat } = makeRenewal()
    await beat(3 * day + 60_000)
    expect(attempts).toEqual([day, 2 * day, 3 * day])
    expect(notes).toEqual([])
  })

  it('renews at once when asked', async () => {
    const { attempts, renewal } = makeRenewal()
    await renewal.renewIfDue(true)
    expect(attempts).toEqual([0])
  })

  it('tells each failure with what to do, tries again ever more rarely, and says when it is over', async () => {
    const failed = new Error('The gateway is being moved')
    const { attempts, notes, beat } = makeRenewal([failed, failed, failed])
    await beat(day + 600_000)
    expect(attempts).toEqual([day, day + 30_000, day + 90_000, day + 210_000])
    expect(notes).toHaveLength(4)
    expect(notes[0]).toContain(
      'WARNING Cannot renew the certificate of the agent, which ends at 1970-01-03T00:16:40.000Z; next attempt in 1 min',
    )
    expect(notes[0]).toMatch(/install the agent again with a new command.*The gateway is being moved/)
    expect(notes[3]).toBe('INFO The certificate of the agent was renewed after all')
  })

  it('does not ask the gateway again at every heartbeat, though that asks for a renewal', async () => {
    const { attempts, beat } = makeRenewal([new Error('No'), new Error('No')])
    await beat(60_000, true)
    expect(attempts).toEqual([0, 30_000])
  })
})
