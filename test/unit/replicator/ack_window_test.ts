import { describe, expect, it } from 'vitest'
import { AckWindow } from '../../../replicator/ack_window.ts'
import type { Pending } from '../../../replicator/ack_window.ts'
import { randomInt, seededRandom, seedFor, shuffled } from '../../fixtures/seed.ts'

const seed = seedFor('ack window')

describe('AckWindow', () => {
  it('acknowledges nothing while the first frame is not durable', () => {
    const window = new AckWindow()
    const pending = [3, 4, 9].map((sequence) => window.add(sequence, 10))
    for (const later of pending.slice(1)) later.isDurable = true
    expect(window.takeDurable()).toBeUndefined()
    expect([window.frames, window.rawBytes]).toEqual([3, 30])
    for (const first of pending.slice(0, 1)) first.isDurable = true
    expect(window.takeDurable()).toBe(9)
    expect([window.frames, window.rawBytes]).toEqual([0, 0])
    expect(window.takeDurable()).toBeUndefined()
  })

  it('never acknowledges past a frame that is not durable, in whatever order they become so', () => {
    const random = seededRandom(seed)
    const window = new AckWindow()
    const pending: Pending[] = Array.from({ length: 200 }, (_, index) =>
      window.add(index + 1, randomInt(random, 0, 9)),
    )
    let acked = 0
    for (const next of shuffled(random, pending)) {
      next.isDurable = true
      acked = window.takeDurable() ?? acked
      const firstOpen = pending.findIndex((entry) => !entry.isDurable)
      expect(acked).toBe(firstOpen < 0 ? 200 : firstOpen)
    }
    expect(window.rawBytes).toBe(0)
  })
})
