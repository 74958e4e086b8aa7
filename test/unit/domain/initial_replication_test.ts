import { describe, expect, it } from 'vitest'
import type { Allowance } from '../../../domain/bandwidth.ts'
import type { HeartbeatReport } from '../../../domain/heartbeat.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { enrolAgain } from '../../../domain/agent_contact.ts'
import { applyHeartbeat } from '../../../domain/heartbeat.ts'
import { unwrittenRecord } from '../../../domain/initial_replication.ts'
import { attributesOf, gigabytes } from '../../../domain/record_attributes.ts'
import { withLifecycle } from '../../../domain/source_server.ts'
import { canonicalTimeZone, zonedTime } from '../../../domain/zoned_time.ts'
import { later, oneDiskInventory, testServer } from '../../fixtures/source_server.ts'

const tracker = { kind: 'tracefs', reason: 'The kernel reports every completed write' }
const sizeBytes = 1_073_741_824

/** A report of a copy that has come to `replicatedBytes`. */
function copied(replicatedBytes: number, overrides: Partial<HeartbeatReport> = {}): HeartbeatReport {
  const backlogBytes = sizeBytes - replicatedBytes
  return {
    generation: 1,
    state: backlogBytes === 0 ? 'CONTINUOUS' : 'INITIAL_SYNC',
    isConnected: true,
    firstByteAt: later(0),
    lagMs: null,
    disks: [{ diskIndex: 0, replicatedBytes, rescannedBytes: 0, backlogBytes, tracker }],
    notes: [],
    ...overrides,
  }
}

/** A server after reports at seconds since it was added. */
function after(reports: [seconds: number, report: HeartbeatReport][], from = testServer()): SourceServer {
  return reports.reduce((server, [seconds, report]) => applyHeartbeat(server, report, later(seconds)), from)
}

const wholeCopy: [number, HeartbeatReport][] = [
  [0.5, copied(0, { sentBytes: 0, changedBytes: 0 })],
  [20.5, copied(200_000_000, { sentBytes: 100_000_000, changedBytes: 4096 })],
  [40.5, copied(800_000_000, { sentBytes: 500_000_000, changedBytes: 8192 })],
  [125.9, copied(sizeBytes, { sentBytes: 600_000_000, changedBytes: 65_536 })],
]

describe('the record of an initial replication', () => {
  it('is made in the write that makes the server ready for test', () => {
    const ready = after(wholeCopy)
    expect(ready.lifecycle).toMatchObject({ state: 'READY_FOR_TEST', readyForTestAt: later(125.9) })
    expect(ready.initialReplication).toEqual({
      state: 'READY',
      record: {
        sourceServerId: ready.sourceServerId,
        hostname: 'web-1',
        replicationStartedAt: later(0.5),
        // As the event says it, and the minutes between the two that are shown.
        readyForTestAt: later(125),
        initialReplicationDurationMinutes: 2,
        replicatedStorageBytes: sizeBytes,
        bandwidthThrottlingMbps: 0,
        replicationServerInstanceType: 'local',
        averageBytesPerSecond: Math.round(sizeBytes / 125.4),
        peakBytesPerSecond: 30_000_000,
        wireBytes: 600_000_000,
        peakWireBytesPerSecond: 20_000_000,
        changedBytes: 65_536,
        disks: [
          {
            deviceName: '/dev/sda',
            sizeBytes,
            isBootDisk: true,
            startedAt: later(20.5),
            copiedAt: later(125.9),
          },
        ],
      },
    })
  })

  it('keeps the sums over runs of the agent, whose counters begin anew', () => {
    const begun = after(wholeCopy.slice(0, 3))
    const restarted = { ...begun, agent: { ...begun.agent, generation: 2 } }
    const run = { generation: 2 }
    const ready = after(
      [
        [60.5, copied(900_000_000, { ...run, sentBytes: 30_000_000, changedBytes: 100 })],
        [80.5, copied(sizeBytes, { ...run, sentBytes: 70_000_000, changedBytes: 200 })],
      ],
      restarted,
    )
    expect(unwrittenRecord(ready)).toMatchObject({
      wireBytes: 570_000_000,
      changedBytes: 8392,
      peakBytesPerSecond: 30_000_000,
    })
  })

  it('asks for no write of its own', () => {
    const begun = after(wholeCopy.slice(0, 1))
    expect(applyHeartbeat(begun, copied(100_000_000, { sentBytes: 50_000_000 }), later(2))).toBe(begun)
  })

  it('takes no speed from a stretch of less than five seconds', () => {
    const reports: [number, HeartbeatReport][] = [
      [0, copied(0, { sentBytes: 0 })],
      // News, so it is written at once.
      [0.1, copied(500_000_000, { sentBytes: 500_000_000, notes: [{ level: 'INFO', message: 'News' }] })],
      [20, copied(sizeBytes, { sentBytes: 600_000_000 })],
    ]
    expect(unwrittenRecord(after(reports))).toMatchObject({
      peakBytesPerSecond: Math.round(sizeBytes / 20),
      peakWireBytesPerSecond: 30_000_000,
    })
  })

  it('is the one of the first time, whatever is changed and happens again', () => {
    const ready = after(wholeCopy)
    const record = unwrittenRecord(ready)
    const throttled = {
      ...ready,
      replicationConfiguration: { ...ready.replicationConfiguration, bandwidthThrottlingMbps: 300 },
    }
    expect(unwrittenRecord(throttled)).toEqual(record)
    const tested = withLifecycle(ready, 'START_TEST', later(200))
    const again = withLifecycle(tested, 'MARK_READY_FOR_TEST', later(300))
    const beaten = applyHeartbeat(again, copied(sizeBytes, { sentBytes: 900_000_000 }), later(320))
    expect(unwrittenRecord(beaten)).toEqual(record)
  })

  it('is kept when the server is disconnected and enrols again, and figures without a record are not', () => {
    const enrolment = {
      at: later(1000),
      sourceProperties: oneDiskInventory(),
      agent: { version: '1', certificateSerial: '02', certificateNotAfter: later(9_000_000) },
    }
    const disconnected = (server: SourceServer): SourceServer =>
      withLifecycle(server, 'DISCONNECT', later(500))
    const ready = after(wholeCopy)
    const { disks } = ready
    expect(enrolAgain(disconnected(ready), { ...enrolment, disks }).initialReplication).toEqual(
      ready.initialReplication,
    )
    const begun = after(wholeCopy.slice(0, 2))
    expect(begun.initialReplication?.state).toBe('COPYING')
    const enrolled = enrolAgain(disconnected(begun), { ...enrolment, disks })
    expect(enrolled.initialReplication).toBeUndefined()
    expect(unwrittenRecord(enrolled)).toBeUndefined()
  })

  it('is made of what is known for a server that was ready before figures were collected', () => {
    const { initialReplication: _none, ...ready } = after(wholeCopy)
    const record = unwrittenRecord(ready)
    expect(record).toMatchObject({ initialReplicationDurationMinutes: 2, replicatedStorageBytes: sizeBytes })
    expect(record).not.toHaveProperty('wireBytes')
    // A later report does not take itself for the one that made the server ready.
    const beaten = applyHeartbeat(ready, copied(sizeBytes, { sentBytes: 5 }), later(500))
    expect(beaten.initialReplication).toBeUndefined()
  })
})

describe('the time in which what was allowed held a copy back', () => {
  const open = { isOff: false, bitsPerSecond: Infinity }
  const closed = { isOff: true, bitsPerSecond: Infinity }
  const limited = (bytesPerSecond: number) => ({ isOff: false, bitsPerSecond: bytesPerSecond * 8 })
  const at = (replicatedBytes: number, allowance?: Allowance): HeartbeatReport =>
    copied(replicatedBytes, { sentBytes: replicatedBytes / 2, allowance })

  it('is all of it that is closed, and of a limit what it was used up in', () => {
    const ready = after([
      [0, at(0, open)],
      [20, at(200_000_000, closed)],
      [40, at(200_000_000, closed)],
      // The link gives 5 MB a second on the wire: of 4 it is held back, of 8 it is not.
      [60, at(200_000_000, limited(4e6))],
      [80, at(360_000_000, limited(8e6))],
      [100, at(560_000_000, limited(9e6))],
      [120, at(760_000_000, open)],
      [160, at(sizeBytes, open)],
    ])
    expect(unwrittenRecord(ready)).toMatchObject({ heldBackSeconds: 60, heldBackBytes: 160_000_000 })
  })

  it('goes to the end of the copy, and counts a pause', () => {
    const begun = after([
      [0, at(0, open)],
      [20, at(200_000_000, open)],
    ])
    const paused: SourceServer = { ...begun, agent: { ...begun.agent, desired: 'PAUSE' } }
    const during = after([[40, at(200_000_000, open)]], paused)
    const resumed: SourceServer = { ...during, agent: { ...during.agent, desired: 'REPLICATE' } }
    const ready = after(
      [
        [100, at(200_000_000, limited(4e6))],
        [140, at(sizeBytes, limited(4e6))],
      ],
      resumed,
    )
    expect(unwrittenRecord(ready)).toMatchObject({
      heldBackSeconds: 100,
      heldBackBytes: sizeBytes - 200_000_000,
    })
  })

  it('is none where nothing held it back, and not known where nobody says what is allowed', () => {
    const free = after([
      [0, at(0, open)],
      [60, at(sizeBytes, open)],
    ])
    expect(unwrittenRecord(free)).toMatchObject({ heldBackSeconds: 0, heldBackBytes: 0 })
    expect(unwrittenRecord(after(wholeCopy))).not.toHaveProperty('heldBackSeconds')
  })
})

describe('attributesOf()', () => {
  const record = unwrittenRecord(after(wholeCopy))
  if (record === undefined) throw new Error('No record')

  it('has the names of tables that exist where the zone is Tokyo', () => {
    const attributes = attributesOf(record, 'Asia/Tokyo')
    expect(attributes).toMatchObject({
      ReplicationStartTimeJST: '2026-03-01T21:00:00.500000+09:00',
      ReadyForTestTimeJST: '2026-03-01T21:02:05+09:00',
      InitialReplicationDurationMinutes: 2,
      ReplicatedTotalStorageGB: '1',
      TimeZone: 'Asia/Tokyo',
    })
    expect(Object.keys(attributes)).not.toContain('ReadyForTestTimeLocal')
  })

  it('has one other name in every other zone, and the offset of the day', () => {
    expect(attributesOf(record, 'UTC')).toMatchObject({ ReadyForTestTimeLocal: '2026-03-01T12:02:05+00:00' })
    expect(attributesOf(record, 'America/St_Johns')).toMatchObject({
      ReadyForTestTimeLocal: '2026-03-01T08:32:05-03:30',
    })
  })
})

describe('zonedTime()', () => {
  it('is the time that Python writes', () => {
    expect(zonedTime('2025-02-10T12:51:42.303Z', 'Asia/Tokyo')).toBe('2025-02-10T21:51:42.303000+09:00')
    expect(zonedTime('2025-12-31T23:30:00.000Z', 'Asia/Kolkata')).toBe('2026-01-01T05:00:00+05:30')
    expect(zonedTime('2026-07-01T00:00:00.000Z', 'Europe/Berlin')).toBe('2026-07-01T02:00:00+02:00')
  })

  it('knows one zone by all of its names, and none that there is not', () => {
    expect(canonicalTimeZone('Japan')).toBe('Asia/Tokyo')
    expect(canonicalTimeZone('asia/tokyo')).toBe('Asia/Tokyo')
    expect(() => canonicalTimeZone('Mars/Olympus')).toThrow(RangeError)
  })
})

describe('gigabytes()', () => {
  it.each([
    // Each as Python prints Decimal(bytes) / Decimal(1024 ** 3).
    [0, '0'],
    [17_179_869_184, '16'],
    [1_073_741_825, '1.000000000931322574615478516'],
    [1_610_612_736, '1.5'],
    [536_870_912_001, '500.0000000009313225746154785'],
    [9_007_199_254_740_991, '8388607.999999999068677425385'],
  ])('of %d bytes is %s', (bytes, expected) => {
    expect(gigabytes(bytes)).toBe(expected)
  })
})
