/**
 * Assignments: whose blocks this replication server takes, and the checks of a HELLO against them.
 * @module
 */
import { blockSizeBytes } from '../domain/units.ts'
import type { ReplicatorDesired } from '../wire/control_api.ts'
import type { Hello } from '../wire/message.ts'
import { protocolVersion } from '../wire/version.ts'
import { WireError } from '../wire/wire_error.ts'
import { normalSerial } from './peer.ts'
import type { Peer } from './peer.ts'

/** One source server, as the gateway assigned it. */
export type Assignment = ReplicatorDesired['assignments'][number]

/** One of its volumes. */
export type AssignedVolume = Assignment['volumes'][number]

/**
 * Whether `peer` may speak for the server of `assignment`.
 * @throws WireError NOT_ASSIGNED, which a later assignment may put right.
 */
export function requireAssigned(
  peer: Peer,
  assignment: Assignment | undefined,
): asserts assignment is Assignment {
  if (assignment === undefined) {
    throw new WireError(
      'NOT_ASSIGNED',
      `Cannot serve source server ${peer.sourceServerId}: it is not assigned to this replication server. A server that was just ` +
        'added is within seconds; if it stays, disconnect it and add it again',
    )
  }
  if (assignment.certificateSerials.some((serial) => normalSerial(serial) === peer.serial)) return
  throw new WireError(
    'NOT_ASSIGNED',
    `Cannot serve source server ${peer.sourceServerId}: its certificate is not the one that the gateway named. A renewed one is ` +
      'known within seconds; if it stays, another agent was installed under this name: uninstall this one, or install it again',
    { expected: assignment.certificateSerials.join(' or '), actual: peer.serial },
  )
}

/**
 * Checks what a HELLO says of version, servers, block size, disks and sizes; the generation is the server's own to check.
 * @returns the assigned volume of each disk and the disk's size, in the order of the HELLO.
 * @throws WireError with expected and actual.
 */
export function checkHello(
  hello: Hello,
  own: { replicationServerId: string; assignment: Assignment },
): { volume: AssignedVolume; sizeBytes: number }[] {
  requireEqual('VERSION_MISMATCH', 'protocol version', protocolVersion, hello.protocolVersion)
  requireEqual('WRONG_SERVER', 'replication server', own.replicationServerId, hello.replicationServerId)
  requireEqual('WRONG_SERVER', 'source server', own.assignment.sourceServerId, hello.sourceServerId)
  requireEqual('BLOCK_SIZE_MISMATCH', 'block size', blockSizeBytes, hello.blockSizeBytes)
  if (new Set(hello.disks.map((disk) => disk.diskIndex)).size !== hello.disks.length) {
    throw new WireError('UNKNOWN_VOLUME', 'Cannot accept a HELLO that names a disk twice')
  }
  return hello.disks.map((disk) => {
    const volume = own.assignment.volumes.find((candidate) => candidate.diskIndex === disk.diskIndex)
    if (volume === undefined || volume.volumeId !== disk.volumeId) {
      throw new WireError(
        'UNKNOWN_VOLUME',
        volume === undefined
          ? `Disk ${disk.diskIndex} waits for its staging volume ${disk.volumeId}: the replication server has not been given it yet`
          : `Cannot write disk ${disk.diskIndex} to volume ${disk.volumeId}: its staging volume is another one`,
        {
          expected: volume?.volumeId ?? 'no such disk',
          actual: disk.volumeId,
          diskIndex: disk.diskIndex,
        },
      )
    }
    if (volume.sizeBytes < disk.sizeBytes) {
      throw new WireError(
        'VOLUME_TOO_SMALL',
        `Cannot write disk ${disk.diskIndex} to volume ${volume.volumeId}: the volume is smaller than the disk`,
        {
          expected: `at least ${disk.sizeBytes}`,
          actual: volume.sizeBytes,
          diskIndex: disk.diskIndex,
          // Its agent may have heard before this replication server that the volume has grown.
          retryable: true,
        },
      )
    }
    return { volume, sizeBytes: disk.sizeBytes }
  })
}

/** Why a connection with the certificate `serial` must end under `assignment`; undefined when it may stay. */
export function reasonToEnd(
  { sourceServerId, certificateSerials }: Assignment,
  serial: string,
  areVolumesChanged: boolean,
): WireError | undefined {
  const end = (why: string): WireError =>
    new WireError('NOT_ASSIGNED', `Cannot go on serving source server ${sourceServerId}: ${why}`)
  if (!certificateSerials.some((named) => normalSerial(named) === serial))
    return end('its certificate was replaced; connect with the new one')
  return areVolumesChanged ? end('its volumes have changed; connect again') : undefined
}

/**
 * A consistency point is one of all disks of the server, or none.
 * @param own the open volumes of the connection that asks for it, by disk.
 * @throws WireError UNKNOWN_VOLUME naming a disk that it leaves out.
 */
export function requireAllVolumes(
  { volumes }: Assignment,
  own: ReadonlyMap<number, { volumeId: string }>,
): void {
  const missing = volumes.find((volume) => own.get(volume.diskIndex)?.volumeId !== volume.volumeId)
  if (missing === undefined) return
  throw new WireError(
    'UNKNOWN_VOLUME',
    `Cannot reach a consistency point without disk ${missing.diskIndex}: the connection that asks for it did not name it; ` +
      'connect again with all disks',
    {
      expected: volumes.map((volume) => volume.diskIndex).join(', '),
      actual: [...own.keys()].join(', '),
      diskIndex: missing.diskIndex,
    },
  )
}

function requireEqual(
  code: 'VERSION_MISMATCH' | 'WRONG_SERVER' | 'BLOCK_SIZE_MISMATCH',
  what: string,
  expected: string | number,
  actual: string | number,
): void {
  if (expected === actual) return
  throw new WireError(code, `Cannot serve a client with another ${what}`, { expected, actual })
}
