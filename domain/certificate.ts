/**
 * The certificate of a migration that is complete: what moved, the proof that it is the same, who approved what, and when.
 * @module
 */
import type { ServerEvent, SourceServer } from './source_server.ts'
import { cutoverDowntime } from './downtime.ts'
import { ConflictError } from './errors.ts'

/** What the bytes of a certificate are, for whoever checks a signature. */
export const certificateType = 'application/vnd.rehost.migration-certificate+json'

/** A certificate. Its texts are those of the records that it was made from. */
export interface MigrationCertificate {
  version: 1
  issuedAt: string
  issuer: { accountId: string; rehostVersion: string }
  server: { sourceServerId: string; hostname: string; os: string; userProvidedId?: string }
  disks: { diskIndex: number; deviceName: string; sizeBytes: number; isBootDisk: boolean }[]
  times: {
    addedToServiceAt: string
    firstByteAt?: string
    readyForTestAt?: string
    lastTest?: SourceServer['lifecycle']['lastTest']
    lastCutover?: SourceServer['lifecycle']['lastCutover']
  }
  /** What people and programs asked for, oldest first. */
  approvals: { at: string; actor: string; what: string }[]
  /** The moment that the cutover machine was made from: the replica was then what the source was. */
  consistencyPoint?: {
    consistencyPointId: string
    reachedAt?: string
    method?: string
    frozenMs?: number
    /** BLAKE3 over the hashes of all blocks of each disk. */
    roots: { diskIndex: number; root: string }[]
  }
  /** The last comparison of every block at both ends, where one was asked for. */
  verification?: {
    askedBy: string
    endedAt: string
    verdict: string
    disks: {
      diskIndex: number
      checkedBytes: number
      sourceRoot?: string
      replicaRoot?: string
      repairedBlocks: number
    }[]
  }
  machine: { machineId: string; jobId: string; launchedAt: string; firstBoot: string }
  /** From the consistency point to the end of the machine's check, and what was forecast of that. */
  downtime?: {
    actualSeconds: number
    expectedSeconds?: number
    lowSeconds?: number
    highSeconds?: number
  }
}

/**
 * The certificate of `server`, whose events are `events` in any order.
 * @throws ConflictError while its migration is not complete.
 */
export function certificateOf(
  server: SourceServer,
  events: readonly ServerEvent[],
  { issuedAt, accountId, rehostVersion }: { issuedAt: string; accountId: string; rehostVersion: string },
): MigrationCertificate {
  const { lifecycle, launchedInstance: machine, sourceProperties, userProvidedId } = server
  if (lifecycle.state !== 'CUTOVER' || machine?.purpose !== 'CUTOVER')
    throw new ConflictError(
      `Server ${server.sourceServerId} has no certificate yet: its migration is complete once its cutover is finalized`,
    )
  const { addedToServiceAt, firstByteAt, readyForTestAt, lastTest, lastCutover } = lifecycle
  const point = server.consistencyRequest
  return {
    version: 1,
    issuedAt,
    issuer: { accountId, rehostVersion },
    server: {
      sourceServerId: server.sourceServerId,
      hostname: sourceProperties.identificationHints.hostname,
      os: sourceProperties.os.fullString,
      ...(userProvidedId === undefined ? {} : { userProvidedId }),
    },
    disks: server.disks.map(({ diskIndex, deviceName, sizeBytes, isBootDisk }) => ({
      diskIndex,
      deviceName,
      sizeBytes,
      isBootDisk,
    })),
    times: {
      addedToServiceAt,
      ...(firstByteAt === undefined ? {} : { firstByteAt }),
      ...(readyForTestAt === undefined ? {} : { readyForTestAt }),
      ...(lastTest === undefined ? {} : { lastTest }),
      ...(lastCutover === undefined ? {} : { lastCutover }),
    },
    approvals: events
      .filter(({ type }) => type === 'OPERATOR')
      .toSorted((one, other) => one.sequence - other.sequence)
      .map(({ at, actor, message }) => ({ at, actor, what: message })),
    ...(point?.state === 'TAKEN'
      ? {
          consistencyPoint: {
            consistencyPointId: point.consistencyPointId,
            ...(point.reachedAt === undefined ? {} : { reachedAt: point.reachedAt }),
            ...(point.method === undefined ? {} : { method: point.method }),
            ...(point.frozenMs === undefined ? {} : { frozenMs: point.frozenMs }),
            roots: point.roots ?? [],
          },
        }
      : {}),
    ...verificationOf(server),
    machine: {
      machineId: machine.machineId,
      jobId: machine.jobId,
      launchedAt: machine.launchedAt,
      firstBoot: machine.firstBoot,
    },
    ...downtimeOf(server, machine.jobId),
  }
}

/** Of the cutover that made the machine. */
function downtimeOf(server: SourceServer, jobId: string): Pick<MigrationCertificate, 'downtime'> {
  const { actualSeconds, launch, forecast } = cutoverDowntime(server) ?? {}
  if (actualSeconds === undefined || launch?.jobId !== jobId) return {}
  if (forecast === undefined) return { downtime: { actualSeconds } }
  const { expectedSeconds, lowSeconds, highSeconds } = forecast
  return { downtime: { actualSeconds, expectedSeconds, lowSeconds, highSeconds } }
}

function verificationOf({ replication }: SourceServer): Pick<MigrationCertificate, 'verification'> {
  const { verification } = replication
  if (verification?.endedAt === undefined || verification.verdict === undefined) return {}
  const { askedBy, endedAt, verdict, disks } = verification
  return {
    verification: {
      askedBy,
      endedAt,
      verdict,
      disks: disks.map(({ diskIndex, checkedBytes, sourceRoot, replicaRoot, repairedBlocks }) => ({
        diskIndex,
        checkedBytes,
        ...(sourceRoot === undefined ? {} : { sourceRoot }),
        ...(replicaRoot === undefined ? {} : { replicaRoot }),
        repairedBlocks,
      })),
    },
  }
}

/** A signed document, as the Dead Simple Signing Envelope has it (v1.0.2). */
export interface SignedEnvelope {
  payloadType: string
  /** The bytes, in base64. */
  payload: string
  /** `sig` in base64; `keyid` is `sha256:` and the hash of `publicKey`, which is DER (SPKI) in base64. */
  signatures: { keyid: string; publicKey: string; sig: string }[]
}

/** What is signed: type and bytes with their lengths, so that neither can be taken for a part of the other. */
export function signedText(payloadType: string, payload: Uint8Array): Uint8Array {
  const encoder = new TextEncoder()
  const head = encoder.encode(
    `DSSEv1 ${encoder.encode(payloadType).length} ${payloadType} ${payload.length} `,
  )
  const text = new Uint8Array(head.length + payload.length)
  text.set(head)
  text.set(payload, head.length)
  return text
}
