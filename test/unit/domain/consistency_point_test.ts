import { describe, expect, it } from 'vitest'
import type { ConsistencyPointId } from '../../../domain/ids.ts'
import type { ConsistencyRequest } from '../../../domain/source_server.ts'
import {
  dropConsistencyPoint,
  expireConsistencyPoint,
  failConsistencyPoint,
  reachConsistencyPoint,
} from '../../../domain/consistency_point.ts'
import { ConflictError } from '../../../domain/errors.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const consistencyPointId = 'cp-00000000000000001' as ConsistencyPointId
const point = {
  consistencyPointId,
  method: 'FROZEN' as const,
  frozenMs: 84.4,
  roots: [{ diskIndex: 0, root: 'a'.repeat(64) }],
}

function serverWith(state: ConsistencyRequest['state']) {
  return testServer('TESTING', 'CREATING_SNAPSHOT', {
    consistencyRequest: { consistencyPointId, state, requestedAt: later(0), expiresAt: later(60) },
  })
}

describe('reachConsistencyPoint()', () => {
  it('records how it was reached, once', () => {
    const reached = reachConsistencyPoint(serverWith('REQUESTED'), point, later(5))
    expect(reached.consistencyRequest).toMatchObject({
      state: 'REACHED',
      reachedAt: later(5),
      method: 'FROZEN',
      roots: point.roots,
    })
    expect(reached.outbox.at(-1)?.message).toBe(
      `Consistency point ${consistencyPointId} reached: file systems frozen for 84 ms`,
    )
    expect(reachConsistencyPoint(reached, point, later(6))).toBe(reached)
  })

  it('says of one without roots what was still to be read', () => {
    const unread = { unknownBytes: 700 * 2 ** 30, bytesPerSecond: 250e6 }
    const reached = reachConsistencyPoint(serverWith('REQUESTED'), { ...point, roots: [], unread }, later(5))
    expect(reached.consistencyRequest).toMatchObject({ state: 'REACHED', roots: [], unread })
    expect(reached.outbox.at(-1)?.message).toBe(
      `Consistency point ${consistencyPointId} reached: file systems frozen for 84 ms; without proof of contents, as 700.00 GiB of the copy, ` +
        'written in small pieces or when the replication server ended without warning, are still to be read, at 250 MB/s',
    )
  })

  it.each(['EXPIRED', 'FAILED'] as const)('refuses one that is %s, so that the writes go on', (state) => {
    expect(() => reachConsistencyPoint(serverWith(state), point, later(5))).toThrow(ConflictError)
  })

  it('refuses one that comes too late, and one that is not wanted', () => {
    expect(() => reachConsistencyPoint(serverWith('REQUESTED'), point, later(60))).toThrow(/it is EXPIRED/)
    expect(() =>
      reachConsistencyPoint(serverWith('REQUESTED'), { ...point, consistencyPointId: 'cp-other' }, later(5)),
    ).toThrow(ConflictError)
    expect(() => reachConsistencyPoint(testServer(), point, later(5))).toThrow(/the one asked for is none/)
  })
})

describe('expireConsistencyPoint()', () => {
  it.each(['REQUESTED', 'REACHED'] as const)('ends one that is %s past its time and not before', (state) => {
    const server = serverWith(state)
    expect(expireConsistencyPoint(server, later(59.9))).toBe(server)
    expect(expireConsistencyPoint(server, later(60)).consistencyRequest?.state).toBe('EXPIRED')
  })

  it.each(['TAKEN', 'EXPIRED', 'FAILED'] as const)('leaves one that is %s alone', (state) => {
    const server = serverWith(state)
    expect(expireConsistencyPoint(server, later(1000))).toBe(server)
  })
})

describe('expireConsistencyPoint() after the clock was set back', () => {
  it.each(['REQUESTED', 'REACHED'] as const)(
    'ends one that is %s, so that nothing is held for hours',
    (state) => {
      const server = serverWith(state)
      expect(expireConsistencyPoint(server, later(-59))).toBe(server)
      const { consistencyRequest } = expireConsistencyPoint(server, later(-3600))
      expect(consistencyRequest).toMatchObject({
        state: 'EXPIRED',
        failure: 'the clock of this service was set back',
      })
    },
  )
})

describe('dropConsistencyPoint()', () => {
  it.each(['REQUESTED', 'REACHED'] as const)('ends a point that is %s, with an event', (state) => {
    const dropped = dropConsistencyPoint(serverWith(state), 'the launch was given up', later(50))
    expect(dropped.consistencyRequest).toMatchObject({ state: 'FAILED', failure: 'the launch was given up' })
    expect(dropped.outbox.at(-1)?.message).toMatch(/^Consistency point cp-\w+ is given up: the launch/)
  })

  it.each(['TAKEN', 'EXPIRED', 'FAILED'] as const)('leaves one that is %s', (state) => {
    const server = serverWith(state)
    expect(dropConsistencyPoint(server, 'x', later(50))).toBe(server)
  })
})

describe('failConsistencyPoint()', () => {
  it('fails what is asked for and nothing else', () => {
    expect(
      failConsistencyPoint(serverWith('REQUESTED'), consistencyPointId, 'busy', later(1)).consistencyRequest,
    ).toMatchObject({
      state: 'FAILED',
      failure: 'busy',
    })
    const reached = serverWith('REACHED')
    expect(failConsistencyPoint(reached, consistencyPointId, 'busy', later(1))).toBe(reached)
  })
})
