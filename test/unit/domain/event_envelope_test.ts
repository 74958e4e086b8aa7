import { describe, expect, it } from 'vitest'
import type { SourceServerId } from '../../../domain/ids.ts'
import type { ServerEvent } from '../../../domain/server_event.ts'
import { envelopeId, envelopesOf } from '../../../domain/event_envelope.ts'
import { newId } from '../../../domain/ids.ts'

const id = 's-3af58bc13a359716b' as SourceServerId
const origin = { accountId: '123456789012', region: 'us-east-1' }

function event(change: Partial<ServerEvent>): ServerEvent {
  return {
    sequence: 7,
    at: '2025-02-10T04:08:22.123Z',
    type: 'LIFECYCLE_CHANGED',
    actor: 'agent',
    level: 'INFO',
    message: 'Lifecycle NOT_READY → READY_FOR_TEST',
    detail: { from: 'NOT_READY', to: 'READY_FOR_TEST', event: 'FINISH_INITIAL_SYNC' },
    ...change,
  }
}

describe('envelopesOf()', () => {
  it('gives what MGN would send, as its sample looks, and then all that is known', () => {
    const [mgn, own, ...more] = envelopesOf(origin, id, event({}))
    expect(more).toEqual([])
    expect(mgn).toEqual({
      version: '0',
      id: '3af58bc1-3a35-8971-86b0-000000000070',
      'detail-type': 'MGN Source Server Lifecycle State Change',
      source: 'aws.mgn',
      account: '123456789012',
      time: '2025-02-10T04:08:22Z',
      region: 'us-east-1',
      resources: ['arn:aws:mgn:us-east-1:123456789012:source-server/s-3af58bc13a359716b'],
      detail: { state: 'READY_FOR_TEST' },
    })
    expect(own).toMatchObject({
      source: 'rehost',
      'detail-type': 'Rehost Lifecycle State Change',
      detail: {
        from: 'NOT_READY',
        to: 'READY_FOR_TEST',
        sequence: 7,
        actor: 'agent',
        'source-server-id': id,
      },
    })
  })

  it.each([
    [{ type: 'REPLICATION_CHANGED', detail: { from: 'BACKLOG', to: 'STALLED' } }, 'STALLED'],
    [{ type: 'REPLICATION_CHANGED', detail: { from: 'STALLED', to: 'RESCAN' } }, 'NOT_STALLED'],
    [{ type: 'LAUNCH', detail: { state: 'TEST_LAUNCH_FAILED', 'job-id': 'mgnjob-1' } }, 'TEST_LAUNCH_FAILED'],
    [{ type: 'LAUNCH', detail: { machineId: 'm-1' } }, undefined],
    [{ type: 'REPLICATION_CHANGED', detail: { error: 'AGENT_NOT_SEEN' } }, undefined],
    [{ type: 'LIFECYCLE_CHANGED', detail: { from: 'READY_FOR_TEST', to: 'TESTING' } }, undefined],
    [{ type: 'AGENT', detail: { state: 'STARTED' } }, undefined],
  ] as const)('%j is %s for MGN', (change, state) => {
    const mgn = envelopesOf(origin, id, event(change)).filter(({ source }) => source === 'aws.mgn')
    expect(mgn.map(({ detail }) => detail['state'])).toEqual(state === undefined ? [] : [state])
  })
})

describe('envelopeId()', () => {
  it('is a UUID of its own for each server, sequence and source, and always the same', () => {
    const servers = Array.from({ length: 50 }, () => newId('sourceServer'))
    const ids = servers.flatMap((server) =>
      [1, 2, 255, 999_999_999_999].flatMap((sequence) =>
        (['aws.mgn', 'rehost'] as const).map((source) => envelopeId(server, sequence, source)),
      ),
    )
    expect(new Set(ids).size).toBe(ids.length)
    for (const own of ids)
      expect(own).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(envelopeId(id, 7, 'rehost')).toBe(envelopeId(id, 7, 'rehost'))
  })
})
