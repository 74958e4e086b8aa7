/**
 * Events as subscribers get them: EventBridge's envelope. Every event of a server makes one of Rehost's own, in which nothing is left out; what
 * MGN tells of too makes one more before it, with MGN's detail-type and detail, so that rules written for MGN work. See decision 0016.
 * @module
 */
import type { SourceServerId } from './ids.ts'
import type { ServerEvent, ServerEventType } from './server_event.ts'

/** Where events are said to come from; both are part of the ARN of a server. */
export interface EventOrigin {
  /** 12 digits. */
  accountId: string
  region: string
}

/** An event as it is delivered. */
export interface EventEnvelope {
  version: '0'
  /** The same for the same event however often it is delivered. */
  id: string
  'detail-type': string
  source: EnvelopeSource
  account: string
  /** To the second, as EventBridge writes it. */
  time: string
  region: string
  resources: string[]
  detail: Record<string, string | number | boolean | null>
}

/** Whose words an envelope uses. */
export type EnvelopeSource = 'aws.mgn' | 'rehost'

/** The envelopes of one event, in the order in which they are delivered. */
export const envelopeSources: readonly EnvelopeSource[] = ['aws.mgn', 'rehost']

/** What each type of event is called in an envelope of Rehost's own. */
export const rehostDetailTypes: Record<ServerEventType, string> = {
  LIFECYCLE_CHANGED: 'Rehost Lifecycle State Change',
  REPLICATION_CHANGED: 'Rehost Data Replication Change',
  INITIATION_STEP: 'Rehost Data Replication Initiation Step',
  AGENT: 'Rehost Agent Change',
  REPLICATOR: 'Rehost Replication Server Change',
  CONSISTENCY_POINT: 'Rehost Consistency Point',
  VERIFICATION: 'Rehost Verification',
  JOB: 'Rehost Job Change',
  LAUNCH: 'Rehost Launch Change',
  CONFIGURATION: 'Rehost Configuration Change',
  OPERATOR: 'Rehost Operator Action',
  THRESHOLD: 'Rehost Replication Threshold',
}

/** The ARN of a server. */
export function serverArn({ accountId, region }: EventOrigin, sourceServerId: SourceServerId): string {
  return `arn:aws:mgn:${region}:${accountId}:source-server/${sourceServerId}`
}

/** The envelopes of `event`, one for each of {@link envelopeSources} that tells of it. Pure. */
export function envelopesOf(
  origin: EventOrigin,
  sourceServerId: SourceServerId,
  event: ServerEvent,
): EventEnvelope[] {
  const envelope = (
    source: EnvelopeSource,
    detailType: string,
    detail: EventEnvelope['detail'],
  ): EventEnvelope => ({
    version: '0',
    id: envelopeId(sourceServerId, event.sequence, source),
    'detail-type': detailType,
    source,
    account: origin.accountId,
    time: `${event.at.slice(0, 19)}Z`,
    region: origin.region,
    resources: [serverArn(origin, sourceServerId)],
    detail,
  })
  const mgn = mgnWords(event)
  const own = envelope('rehost', rehostDetailTypes[event.type], {
    ...event.detail,
    'source-server-id': sourceServerId,
    sequence: event.sequence,
    at: event.at,
    level: event.level,
    actor: event.actor,
    message: event.message,
  })
  return mgn === undefined ? [own] : [envelope('aws.mgn', mgn.detailType, mgn.detail), own]
}

/** What MGN would say of `event`; undefined where it says nothing. MGN tells of one state of the life cycle only, each time it is reached. */
function mgnWords({
  type,
  detail,
}: ServerEvent): { detailType: string; detail: EventEnvelope['detail'] } | undefined {
  const { from, to, state } = detail
  if (type === 'LIFECYCLE_CHANGED' && to === 'READY_FOR_TEST')
    return { detailType: 'MGN Source Server Lifecycle State Change', detail: { state: to } }
  if (type === 'REPLICATION_CHANGED' && from !== to && (from === 'STALLED' || to === 'STALLED')) {
    return {
      detailType: 'MGN Source Server Data Replication Stalled Change',
      detail: { state: to === 'STALLED' ? 'STALLED' : 'NOT_STALLED' },
    }
  }
  if (type === 'LAUNCH' && typeof state === 'string' && mgnLaunchStates.has(state))
    return {
      detailType: 'MGN Source Server Launch Result',
      detail: { state, 'job-id': detail['job-id'] ?? null },
    }
  return undefined
}

const mgnLaunchStates: ReadonlySet<string> = new Set([
  'TEST_LAUNCH_SUCCEEDED',
  'TEST_LAUNCH_FAILED',
  'CUTOVER_LAUNCH_SUCCEEDED',
  'CUTOVER_LAUNCH_FAILED',
])

const hexDigits = 32

/**
 * A UUID of version 8 (custom) that is made of server, sequence and source, so that whoever makes it again makes the same: the 17 digits of the
 * server, 12 of the sequence and one of the source, around the version and the variant that a UUID must show.
 */
export function envelopeId(sourceServerId: SourceServerId, sequence: number, source: EnvelopeSource): string {
  const server = sourceServerId.slice(2).toLowerCase()
  if (!/^[0-9a-f]{17}$/.test(server))
    throw new RangeError(
      `Cannot make an event id of server ${sourceServerId}: it does not end in 17 hexadecimal digits`,
    )
  const rest =
    sequence.toString(16).padStart(hexDigits - 17 - 3, '0') + String(envelopeSources.indexOf(source))
  return inUuid(server + rest)
}

/** 30 digits, with the version before the 13th and the variant before the 16th. */
function inUuid(digits: string): string {
  const all = `${digits.slice(0, 12)}8${digits.slice(12, 15)}8${digits.slice(15)}`
  return [all.slice(0, 8), all.slice(8, 12), all.slice(12, 16), all.slice(16, 20), all.slice(20)].join('-')
}
