/**
 * What becomes of disks that change while the server is replicated: new ones are offered or taken, grown ones get a larger volume. The
 * others go on meanwhile, so nothing here touches them. Pure.
 *
 * ```
 * noticed ─▶ offered ─ taken ─▶ joining (no volume yet) ─ EXTEND ─▶ replicated
 *               └── refused (stays offered, and may still be taken)
 * larger than its volume ─▶ wantedSizeBytes ─ EXTEND ─▶ replicated at its new size
 * ```
 * @module
 */
import type { ReplicatedDisk, SourceDisk, SourceServer } from './source_server.ts'
import type { Decision } from './decision.ts'
import type { OfferedDisk } from './offered_disk.ts'
import { possible, refuse } from './decision.ts'
import { ConflictError, NotFoundError } from './errors.ts'
import { maxReplicatedDisks, renameDisks, replicatedDiskOf, sourcesOf } from './inventory.ts'
import { withReplacedDisks } from './replaced_disk.ts'
import { withEvent } from './source_server.ts'
import { hasStagingArea } from './staging.ts'
import { withWork } from './work.ts'

/** A volume that could not be made or grown is tried again after this time. */
export const extensionRetryMs = 60_000

/** What a disk is known by: neither its identity nor its name alone tells it from every other. */
function isSame(one: Pick<SourceDisk, 'deviceName' | 'stableId'>, other: typeof one): boolean {
  return one.deviceName === other.deviceName && one.stableId === other.stableId
}

/**
 * `server` after its agent has looked at the machine's disks again. A replicated disk that is missing or has shrunk is left as it was known:
 * the session that reads it finds out, and says what to do.
 */
export function withSourceDisks(
  before: SourceServer,
  looked: readonly SourceDisk[],
  at: string,
): SourceServer {
  const { server, inventory: disks } = withReplacedDisks(before, looked)
  const known = new Map(
    sourcesOf(server.disks, server.sourceProperties.disks).map(({ disk, source }) => [disk, source]),
  )
  const kept = sourcesOf(server.disks, disks).flatMap(({ disk, source }) => {
    const former = known.get(disk)
    const isWell = source !== undefined && source.sizeBytes >= disk.sizeBytes
    return isWell || former === undefined ? [] : [{ former, instead: source }]
  })
  const seen = disks.filter((disk) => !kept.some(({ instead }) => instead === disk))
  const inventory = [...seen, ...kept.map(({ former }) => former)]
  const renamed = { ...server, disks: renameDisks(server.disks, inventory) }
  return withDisksNoticed(
    { ...renamed, sourceProperties: { ...server.sourceProperties, lastUpdatedAt: at, disks: inventory } },
    at,
  )
}

/** `server` with what its inventory says of grown and new disks acted upon. */
export function withDisksNoticed(server: SourceServer, at: string): SourceServer {
  return withOffers(withGrowth(server, at), at)
}

function withGrowth(server: SourceServer, at: string): SourceServer {
  let next = server
  for (const { disk, source } of sourcesOf(server.disks, server.sourceProperties.disks)) {
    const sizeBytes = source?.sizeBytes ?? 0
    if (sizeBytes <= Math.max(disk.sizeBytes, disk.wantedSizeBytes ?? 0)) continue
    const { extension: _past, ...own } = disk
    next = withEvent(withDisk(next, { ...own, wantedSizeBytes: sizeBytes }), at, {
      type: 'AGENT',
      actor: 'agent',
      message:
        `Disk ${disk.deviceName} has grown from ${disk.sizeBytes} to ${sizeBytes} bytes: its volume is made larger, ` +
        'and only what is new is copied',
      detail: { diskIndex: disk.diskIndex, sizeBytes },
    })
  }
  return next
}

function withOffers(server: SourceServer, at: string): SourceServer {
  const taken = new Set(sourcesOf(server.disks, server.sourceProperties.disks).map(({ source }) => source))
  const free = server.sourceProperties.disks.filter(
    (disk) => disk.excludedBecause === undefined && !taken.has(disk),
  )
  const before = server.offeredDisks ?? []
  const offers = free.map(({ deviceName, stableId, sizeBytes }): OfferedDisk => {
    const known = before.find((offer) => isSame(offer, { deviceName, stableId }))
    return known === undefined ? { deviceName, stableId, sizeBytes, noticedAt: at } : { ...known, sizeBytes }
  })
  if (JSON.stringify(offers) === JSON.stringify(before)) return server
  let next: SourceServer = { ...server, offeredDisks: offers }
  const isTaken = server.replicationConfiguration.newDisks === 'TAKE'
  for (const offer of offers) {
    if (before.some((known) => isSame(known, offer))) continue
    const { deviceName, sizeBytes } = offer
    next = withEvent(next, at, {
      type: 'AGENT',
      actor: 'agent',
      level: isTaken ? 'INFO' : 'WARNING',
      message:
        `Disk ${deviceName} (${sizeBytes} bytes) has appeared on the source server. ` +
        (isTaken
          ? 'It is taken, as this server is set to'
          : 'It has no copy until you take it on the server page'),
      detail: { deviceName, sizeBytes },
    })
  }
  return next
}

function withDisk(server: SourceServer, disk: ReplicatedDisk): SourceServer {
  return {
    ...server,
    disks: server.disks.map((other) => (other.diskIndex === disk.diskIndex ? disk : other)),
  }
}

/** Whether an offered disk can be taken now, and why not. */
export function decideTakeDisk(server: SourceServer): Decision {
  const { state } = server.lifecycle
  if (state === 'CUTOVER' || state === 'DISCONNECTED') return refuse('Replication of this server is over')
  // A launch is of the disks that there were when it began.
  if (server.activeTask?.kind === 'LAUNCH')
    return refuse('Wait: a machine is being launched of the disks that were there when it began')
  if (server.disks.length >= maxReplicatedDisks)
    return refuse(`A server has at most ${maxReplicatedDisks} replicated disks`)
  return possible
}

/** @throws NotFoundError when no such disk is offered. */
function offerOf(server: SourceServer, deviceName: string): OfferedDisk {
  const offer = server.offeredDisks?.find((candidate) => candidate.deviceName === deviceName)
  if (offer === undefined) throw new NotFoundError('offered disk', deviceName)
  return offer
}

/**
 * `server` with an offered disk among those that are replicated. It gets its volume beside the others, which go on meanwhile.
 * @throws NotFoundError when it is not offered; ConflictError when it can't be taken now.
 */
export function takeDisk(server: SourceServer, deviceName: string, at: string, actor: string): SourceServer {
  const offer = offerOf(server, deviceName)
  const decision = decideTakeDisk(server)
  if (!decision.possible)
    throw new ConflictError(`Cannot take disk ${deviceName} of ${server.sourceServerId}: ${decision.because}`)
  const diskIndex = Math.max(-1, ...server.disks.map((disk) => disk.diskIndex)) + 1
  const { stableId, sizeBytes } = offer
  const disk = replicatedDiskOf({ deviceName, stableId, sizeBytes, isBootDisk: false }, diskIndex)
  const taken: SourceServer = {
    ...server,
    disks: [...server.disks, { ...disk, isJoining: true }],
    offeredDisks: (server.offeredDisks ?? []).filter((other) => other !== offer),
  }
  const told = withEvent(taken, at, {
    type: 'OPERATOR',
    actor,
    message: `Disk ${deviceName} is taken: it is copied while the other disks go on`,
    detail: { diskIndex, deviceName },
  })
  return withExtension(told, at)
}

/** `server` with an offered disk refused: it is listed further, and nobody is asked again. @throws NotFoundError. */
export function refuseDisk(
  server: SourceServer,
  deviceName: string,
  at: string,
  actor: string,
): SourceServer {
  const offer = offerOf(server, deviceName)
  if (offer.refusedBy !== undefined) return server
  const offeredDisks = (server.offeredDisks ?? []).map((other) =>
    other === offer ? { ...offer, refusedBy: actor } : other,
  )
  return withEvent({ ...server, offeredDisks }, at, {
    type: 'OPERATOR',
    actor,
    message: `Disk ${deviceName} is not replicated; it may still be taken later`,
    detail: { deviceName },
  })
}

/** Whether the staging area must be extended for this disk, tried before or not. */
export function needsExtension(disk: ReplicatedDisk): boolean {
  return disk.isJoining === true || disk.wantedSizeBytes !== undefined
}

/** Why the volumes don't cover the disks now, for whoever wants to launch; undefined when they do. */
export function uncoveredInWords({ disks }: Pick<SourceServer, 'disks'>): string | undefined {
  const disk = disks.find(needsExtension)
  if (disk === undefined) return undefined
  const what =
    disk.isJoining === true
      ? `disk ${disk.deviceName} has no volume yet`
      : `disk ${disk.deviceName} has grown and its volume has not yet`
  return disk.extension === undefined ? what : `${what}: ${disk.extension.failure}`
}

/**
 * `server` with the work that extends its staging area, when there is a reason, nothing else goes on and the next attempt is due; also takes
 * what its policy says. The same object when there is nothing to do.
 */
export function withExtension(server: SourceServer, at: string): SourceServer {
  if (server.activeTask !== undefined || !hasStagingArea(server)) return server
  const { state } = server.lifecycle
  if (state === 'CUTOVER' || state === 'DISCONNECTED') return server
  const offer =
    server.replicationConfiguration.newDisks === 'TAKE'
      ? server.offeredDisks?.find(({ refusedBy }) => refusedBy === undefined)
      : undefined
  if (offer !== undefined && decideTakeDisk(server).possible)
    return takeDisk(server, offer.deviceName, at, 'rehost')
  const isDue = (disk: ReplicatedDisk): boolean => {
    if (!needsExtension(disk)) return false
    const waitMs = Date.parse(disk.extension?.nextAttemptAt ?? at) - Date.parse(at)
    // Longer than any wait there is: the clock was set back.
    return waitMs <= 0 || waitMs > 2 * extensionRetryMs
  }
  return server.disks.some(isDue) ? withWork(server, 'EXTEND', at, state) : server
}

/** `server` with disk `diskIndex` on a volume that covers it. Unchanged when that is nothing new. */
export function withDiskCovered(
  server: SourceServer,
  diskIndex: number,
  covered: { devicePath: string; sizeBytes: number },
  at: string,
): SourceServer {
  const disk = server.disks.find((own) => own.diskIndex === diskIndex)
  if (disk === undefined || !needsExtension(disk)) return server
  const { isJoining, wantedSizeBytes, extension: _over, ...rest } = disk
  // It may have grown again while its volume was made larger.
  const isBehind = wantedSizeBytes !== undefined && wantedSizeBytes > covered.sizeBytes
  const done = { ...rest, ...covered, ...(isBehind ? { wantedSizeBytes } : {}) }
  return withEvent(withDisk(server, done), at, {
    type: 'REPLICATION_CHANGED',
    message:
      isJoining === true
        ? `Disk ${disk.deviceName} has its volume and is copied`
        : `The volume of disk ${disk.deviceName} has ${covered.sizeBytes} bytes now; what is new of the disk is copied`,
    detail: { diskIndex, sizeBytes: covered.sizeBytes },
  })
}

/** `server` with the reason why disk `diskIndex` can't be covered now; told once for each reason, tried again later. */
export function withExtensionFailure(
  server: SourceServer,
  diskIndex: number,
  failure: string,
  at: string,
): SourceServer {
  const disk = server.disks.find((own) => own.diskIndex === diskIndex)
  if (disk === undefined || !needsExtension(disk)) return server
  const nextAttemptAt = new Date(Date.parse(at) + extensionRetryMs).toISOString()
  const failed = withDisk(server, { ...disk, extension: { failure, nextAttemptAt } })
  if (disk.extension?.failure === failure) return failed
  const meanwhile =
    disk.isJoining === true
      ? 'the disk has no copy'
      : `only its first ${disk.sizeBytes} bytes have a copy, and nothing can be launched`
  return withEvent(failed, at, {
    type: 'REPLICATION_CHANGED',
    level: 'ERROR',
    message: `Cannot ${disk.isJoining === true ? 'make the volume' : 'enlarge the volume'} of disk ${disk.deviceName}: ${failure}. Until then ${meanwhile}; Rehost tries again every minute`,
    detail: { diskIndex },
  })
}
