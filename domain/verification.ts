/**
 * A verification of a server's copies: asked for by an operator, done by the agent with the replication server, kept with its verdict.
 *
 * ```
 * asked ── the agent reports ──▶ under way ── every disk is dealt with ──▶ IDENTICAL, REPAIRED, DIFFERENT or INCOMPLETE
 * ```
 * It is level-triggered: the agent is told of it until the result has come, whatever run of the agent does it.
 * @module
 */
import type { SourceServer } from './source_server.ts'
import type { Verification, VerificationVerdict, VerifiedDisk } from './verified_disk.ts'
import { withEvent } from './source_server.ts'

export type { Verification, VerificationVerdict, VerifiedDisk } from './verified_disk.ts'

/** What the agent reports. */
export interface VerificationProgress {
  verifyEpoch: number
  isDone: boolean
  disks: VerifiedDisk[]
}

/** Places that a sentence names. */
const placesNamed = 5

/** The verification that is asked for and not over. */
export function openVerification(server: SourceServer): Verification | undefined {
  const { verification } = server.replication
  return verification?.endedAt === undefined ? verification : undefined
}

/** `server` with a new verification asked for. */
export function askVerification(server: SourceServer, at: string, askedBy: string): SourceServer {
  const verifyEpoch = (server.replication.verification?.verifyEpoch ?? 0) + 1
  const verification: Verification = { verifyEpoch, askedAt: at, askedBy, disks: [] }
  return { ...server, replication: { ...server.replication, verification } }
}

/** What became of a verification of `diskIndexes`. */
export function verdictOf(
  disks: readonly VerifiedDisk[],
  diskIndexes: readonly number[],
): VerificationVerdict {
  const own = diskIndexes.map((diskIndex) => disks.find((disk) => disk.diskIndex === diskIndex))
  if (own.some((disk) => disk !== undefined && disk.repairedBlocks < disk.differingBlocks)) return 'DIFFERENT'
  const isWhole = own.every(
    (disk) =>
      disk?.unreadableBlocks === 0 && disk.sourceRoot !== undefined && disk.sourceRoot === disk.replicaRoot,
  )
  if (!isWhole) return 'INCOMPLETE'
  return own.some((disk) => disk !== undefined && disk.differingBlocks > 0) ? 'REPAIRED' : 'IDENTICAL'
}

/** Where copies differed, in words: `/dev/sda at byte 65536 (131072 bytes), and 2 more blocks`. */
export function differencesInWords(server: SourceServer, disks: readonly VerifiedDisk[]): string {
  const places = disks.flatMap(({ diskIndex, differences }) => {
    const name = server.disks.find((disk) => disk.diskIndex === diskIndex)?.deviceName ?? `disk ${diskIndex}`
    return differences.map(
      ({ offsetBytes, lengthBytes }) => `${name} at byte ${offsetBytes} (${lengthBytes} bytes)`,
    )
  })
  const blocks = disks.reduce((sum, disk) => sum + disk.differingBlocks, 0)
  const named = places.slice(0, placesNamed).join(', ')
  return places.length > placesNamed ? `${named} and more places, ${blocks} blocks in all` : named
}

/** A verdict as the event says it. */
function sentence(
  server: SourceServer,
  verdict: VerificationVerdict,
  disks: readonly VerifiedDisk[],
): string {
  const where = differencesInWords(server, disks)
  const found = where === '' ? '' : `. The copy differed: ${where}`
  switch (verdict) {
    case 'IDENTICAL':
      return 'Verification: every block of the copy is identical'
    case 'REPAIRED':
      return `Verification: the copy is identical after a repair${found}`
    case 'DIFFERENT':
      return `Verification: the copy could not be repaired${found}. Look at the staging disk and at the log of the replication server`
    default:
      return `Verification: the source has blocks that cannot be read or disks that were not compared; the rest is identical${found}`
  }
}

/**
 * `server` with a result that has come; the same object while there is none, or when it is of another verification than the one asked for.
 * Progress is kept by {@link withVerificationProgress}.
 */
export function withVerificationResult(
  server: SourceServer,
  report: VerificationProgress | undefined,
  at: string,
): SourceServer {
  const open = openVerification(server)
  if (open === undefined || report?.isDone !== true || report.verifyEpoch !== open.verifyEpoch) return server
  const disks = report.disks.map((disk) => ({ ...disk }))
  const verdict = verdictOf(
    disks,
    server.disks.map(({ diskIndex }) => diskIndex),
  )
  const verification: Verification = { ...open, endedAt: at, verdict, disks }
  const ended = { ...server, replication: { ...server.replication, verification } }
  return withEvent(ended, at, {
    type: 'VERIFICATION',
    actor: 'agent',
    level: verdict === 'IDENTICAL' ? 'INFO' : verdict === 'INCOMPLETE' ? 'WARNING' : 'ERROR',
    message: sentence(server, verdict, disks),
    detail: { verdict, differingBlocks: disks.reduce((sum, disk) => sum + disk.differingBlocks, 0) },
  })
}

/** `server` with how far its verification has come: worth no write of its own. */
export function withVerificationProgress(
  server: SourceServer,
  report: VerificationProgress | undefined,
): SourceServer {
  const open = openVerification(server)
  if (open === undefined || report?.verifyEpoch !== open.verifyEpoch) return server
  const disks = report.disks.map((disk) => ({ ...disk }))
  return { ...server, replication: { ...server.replication, verification: { ...open, disks } } }
}
