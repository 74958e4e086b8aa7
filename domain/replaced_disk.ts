/**
 * Disks that nothing names for good. Whether one is still the same is known only as long as it stays attached: what is attached under its name
 * later in the same boot may be a blank disk, and would overwrite the only copy of the one before. It is not copied until the operator says that
 * it is the same. Pure.
 * @module
 */
import type { ReplicatedDisk, SourceDisk, SourceServer } from './source_server.ts'
import { sourcesOf } from './inventory.ts'

/** Whether `disk` has no identity of its own, or shares it with another one. */
function isNameless(disk: ReplicatedDisk, disks: readonly ReplicatedDisk[], source: SourceDisk): boolean {
  return (
    disk.stableId === source.deviceName ||
    disks.some((other) => other !== disk && other.stableId === disk.stableId)
  )
}

/** The disks of `server`, and of each that is nameless the attachment in which it is copied, as far as it is known. */
export function withAttachments(
  server: Pick<SourceServer, 'disks' | 'sourceProperties'>,
): { disk: ReplicatedDisk; attachmentId: string | undefined }[] {
  const { disks } = server
  return sourcesOf(disks, server.sourceProperties.disks).map(({ disk, source }) => ({
    disk,
    attachmentId: source !== undefined && isNameless(disk, disks, source) ? source.attachmentId : undefined,
  }))
}

/** Whether what has the name of a nameless disk now may be another one, as both are of one boot. */
function isReplaced(before: SourceDisk, now: SourceDisk): boolean {
  const [bootBefore] = before.attachmentId?.split('/') ?? []
  const [bootNow] = now.attachmentId?.split('/') ?? []
  return bootNow !== undefined && bootBefore === bootNow && before.attachmentId !== now.attachmentId
}

/**
 * `server` with the disks that may have been replaced known as such, and `inventory` with those as they were before. Once it is known, a restart of
 * agent or machine changes nothing of it.
 */
export function withReplacedDisks(
  server: SourceServer,
  inventory: readonly SourceDisk[],
): { server: SourceServer; inventory: SourceDisk[] } {
  const known = new Map(
    sourcesOf(server.disks, server.sourceProperties.disks).map(({ disk, source }) => [disk, source]),
  )
  const kept = new Map<SourceDisk, SourceDisk>()
  const disks = sourcesOf(server.disks, inventory).map(({ disk, source }) => {
    const before = known.get(disk)
    if (before === undefined || source === undefined || !isNameless(disk, server.disks, source)) return disk
    if (before.attachmentId === source.attachmentId) return withoutReplacement(disk)
    if (disk.replacement === undefined && !isReplaced(before, source)) return disk
    kept.set(source, before)
    return { ...disk, replacement: source }
  })
  const isSame = disks.every((disk, index) => disk === server.disks[index])
  return {
    server: isSame ? server : { ...server, disks },
    inventory: inventory.map((disk) => kept.get(disk) ?? disk),
  }
}

/** `server` after its operator said that disks which may have been replaced are the same: the copies become what is there now. */
export function withReplacementsTaken(server: SourceServer): SourceServer {
  if (server.disks.every(({ replacement }) => replacement === undefined)) return server
  const taken = new Map<SourceDisk, SourceDisk>()
  for (const { disk, source } of sourcesOf(server.disks, server.sourceProperties.disks))
    if (source !== undefined && disk.replacement !== undefined) taken.set(source, disk.replacement)
  return {
    ...server,
    disks: server.disks.map(withoutReplacement),
    sourceProperties: {
      ...server.sourceProperties,
      disks: server.sourceProperties.disks.map((disk) => taken.get(disk) ?? disk),
    },
  }
}

function withoutReplacement(disk: ReplicatedDisk): ReplicatedDisk {
  if (disk.replacement === undefined) return disk
  const { replacement: _, ...rest } = disk
  return rest
}
