import { describe, expect, it } from 'vitest'
import type { VolumeId } from '../../../domain/ids.ts'
import type { ReplicatedDisk, SourceServer } from '../../../domain/source_server.ts'
import type { HeartbeatReport } from '../../../domain/heartbeat.ts'
import { applyHeartbeat } from '../../../domain/heartbeat.ts'
import { newInitiationSteps } from '../../../domain/initiation.ts'
import { hasStagingArea, withLostVolumes } from '../../../domain/staging.ts'
import { later, testServer } from '../../fixtures/source_server.ts'

const lostId = 'vol-00000000000000001' as VolumeId
const keptId = 'vol-00000000000000002' as VolumeId

/** A server in sync with two disks. */
function twoDisks(): SourceServer {
  const server = testServer('READY_FOR_TEST', 'CONTINUOUS')
  const [disk] = server.disks
  if (disk === undefined) throw new Error('The test server has no disk')
  const own = (diskIndex: number, deviceName: string, volumeId: VolumeId): ReplicatedDisk => ({
    ...disk,
    diskIndex,
    deviceName,
    stableId: `serial-of-${deviceName}`,
    volumeId,
    devicePath: `/volumes/${volumeId}.raw`,
    replicatedBytes: disk.sizeBytes,
  })
  const disks = [own(0, '/dev/vda', lostId), own(1, '/dev/vdb', keptId)]
  return {
    ...server,
    disks,
    sourceProperties: { ...server.sourceProperties, disks },
    replication: { ...server.replication, lastConsistentAt: later(10) },
  }
}

const lost = [{ volumeId: lostId, reason: 'its file is missing' }]

describe('withLostVolumes()', () => {
  it('drops the lost volume alone, says so, and begins to raise the staging area', () => {
    const after = withLostVolumes(twoDisks(), lost, later(20))
    expect(after.disks[0]).toMatchObject({ deviceName: '/dev/vda', replicatedBytes: 0 })
    expect(after.disks[0]?.volumeId).toBeUndefined()
    expect(after.disks[1]).toEqual(twoDisks().disks[1])
    expect(hasStagingArea(after)).toBe(false)
    expect(after.activeTask?.kind).toBe('STAGING')
    expect(after.replication.initiation).toEqual({ startedAt: later(20), steps: newInitiationSteps() })
    expect(after.lifecycle.state).toBe('READY_FOR_TEST')
    expect(after.replication.state).toBe('STALLED')
    expect(after.replication.lastConsistentAt).toBeUndefined()
    expect(after.replication.error?.rawError).toBe(
      'The copy of disk /dev/vda is lost: volume vol-00000000000000001 is damaged, its file is missing',
    )
    expect(after.outbox.at(-1)).toMatchObject({ detail: { error: 'FAILED_TO_ATTACH_STAGING_DISKS' } })
    expect(after.outbox.at(-2)).toMatchObject({
      level: 'WARNING',
      message: 'Data replication CONTINUOUS → STALLED',
    })
    expect(after.outbox.at(-3)).toMatchObject({ level: 'ERROR', type: 'REPLICATOR' })
  })

  it('raises nothing for a server whose replication is stopped', () => {
    const { activeTask: _none, ...server } = twoDisks()
    const stopped = { ...server, lifecycle: { ...server.lifecycle, state: 'STOPPED' as const } }
    const after = withLostVolumes(stopped, lost, later(20))
    expect(after).not.toHaveProperty('activeTask')
    expect(hasStagingArea(after)).toBe(false)
    expect(after.lifecycle.state).toBe('STOPPED')
  })

  it('changes nothing while other work goes on, and nothing when the volume is no longer named', () => {
    const busy = withLostVolumes(twoDisks(), lost, later(20))
    expect(withLostVolumes(busy, lost, later(30))).toBe(busy)
    const { activeTask: _over, ...idle } = busy
    expect(withLostVolumes(idle, lost, later(30))).toBe(idle)
  })
})

describe('applyHeartbeat() without a staging area', () => {
  it('does not believe an agent that still says it is in sync, and keeps what is wrong', () => {
    const after = withLostVolumes(twoDisks(), lost, later(20))
    const report: HeartbeatReport = {
      generation: after.agent.generation,
      state: 'CONTINUOUS',
      isConnected: true,
      lagMs: null,
      disks: [],
      notes: [],
    }
    const heard = applyHeartbeat(after, report, later(60))
    expect(heard.replication.state).toBe('STALLED')
    expect(heard.replication.error).toEqual(after.replication.error)
  })
})
