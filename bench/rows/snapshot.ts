/**
 * How long a snapshot of a volume takes as volumes become larger: on a file system with reflinks, and what it costs on one without.
 * @module
 */
import { open } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { VolumeId } from '../../domain/ids.ts'
import type { CloudProvider } from '../../cloud/provider.ts'
import type { BenchContext } from '../context.ts'
import type { Row } from '../row.ts'
import { createProvider } from '../../cloud/registry.ts'
import { run } from '../command.ts'
import { withReflinks } from '../disk_files.ts'
import { combined } from '../parts.ts'
import { alone, beside, figure, median, middleOf } from '../row.ts'

const sizesGib = [1, 10, 100] as const

/** Every volume holds as much, spread over all of it: only its size differs. */
const extents = 1024
const extentBytes = 65_536

/** Time of the largest by that of the smallest. Twice is within what single runs differ by; growing with the size would be a hundred times. */
const mostGrowth = 2
const fileSystemBytes = 130 * 2 ** 30

/** Writes the extents of a volume. */
async function fill(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const stride = Math.floor(sizeBytes / extents / extentBytes) * extentBytes
    for (let index = 0; index < extents; index++)
      await file.write(randomBytes(extentBytes), 0, extentBytes, index * stride)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A volume of `gib` with its extents written. */
async function filledVolume(cloud: CloudProvider, gib: number, folder: string): Promise<VolumeId> {
  const sizeBytes = gib * 2 ** 30
  const volumeId = await cloud.createVolume({ clientToken: `bench-${gib}`, sizeBytes, tags: {} })
  await fill((await run('find', [folder, '-name', `${volumeId}.raw`])).stdout.trim(), sizeBytes)
  return volumeId
}

/** Milliseconds of each of `runs` snapshots of volumes of `sizes`; the sizes take turns, so that whatever else goes on slows all of them. */
async function snapshotMs(
  cloud: CloudProvider,
  sizes: readonly number[],
  runs: number,
  folder: string,
): Promise<number[][]> {
  const volumes: VolumeId[] = []
  for (const gib of sizes) volumes.push(await filledVolume(cloud, gib, folder))
  const times = volumes.map((): number[] => [])
  for (let index = 0; index < runs; index++) {
    for (const [place, volumeId] of volumes.entries()) {
      const begin = performance.now()
      const snapshotId = await cloud.createSnapshot({
        clientToken: `${volumeId}-${index}`,
        volumeId,
        tags: {},
      })
      times[place]?.push(performance.now() - begin)
      await cloud.deleteSnapshot(snapshotId)
    }
  }
  for (const volumeId of volumes) await cloud.deleteVolume(volumeId)
  return times
}

function cloudIn(dataDir: string): CloudProvider {
  const host = '127.0.0.1'
  return createProvider('qemu', {
    dataDir,
    listenHost: host,
    publicHost: host,
    replicationPort: 0,
    redisUrl: 'unused:',
  })
}

/** The row `snapshot`. */
export async function snapshot(context: BenchContext): Promise<Row[]> {
  const { folder, say } = context
  const { read, write } = context.parts
  // They take milliseconds.
  const runs = Math.max(9, context.runs)
  const shared = await withReflinks(folder, fileSystemBytes, async (place) => {
    const cloud = cloudIn(place)
    if (!cloud.capabilities.instantSnapshots)
      throw new Error('A btrfs file system has reflinks, and the cloud says that there are none')
    return snapshotMs(cloud, sizesGib, runs, place)
  })
  const [copied = []] = await snapshotMs(
    cloudIn(join(folder, 'copied')),
    sizesGib.slice(0, 1),
    context.runs,
    folder,
  )
  const middles = shared.map(median)
  const [smallest = Number.NaN] = middles
  const largest = middles.at(-1) ?? Number.NaN
  const copiedMs = median(copied)
  const filledMib = (extents * extentBytes) / 2 ** 20
  const inWords = sizesGib.map((gib, index) => `${gib} GiB ${figure(middles[index] ?? Number.NaN)} ms`)
  say(`  with reflinks ${inWords.join(', ')}; 1 GiB copied ${copiedMs.toFixed(0)} ms`)
  return [
    {
      name: 'snapshot',
      what: `volume of 100 GiB on btrfs, ${filledMib} MiB of it in use in ${extents} places`,
      ...middleOf(shared.at(-1) ?? []),
      unit: 'ms',
      ...beside('the same in 1 GiB', largest, smallest),
      budget: `does not grow: at most ${mostGrowth} ×`,
      met: largest / smallest <= mostGrowth,
      bound: null,
      limit: `Sharing ${extents} extents and writing the record of it out; by size: ${inWords.join(', ')}`,
    },
    {
      name: 'snapshot',
      what: `volume of 1 GiB without reflinks (tmpfs), ${filledMib} MiB of it in use`,
      ...middleOf(copied),
      unit: 'ms',
      ...alone,
      budget: 'none: every block in use is copied, and the time grows with them',
      met: null,
      bound: { kind: 'LEAST', value: (extents * extentBytes) / 1e6 / combined([read, write], 1) },
      limit: `A copy of ${filledMib} MiB, read and written in memory by one processor; holes stay holes and cost nothing`,
    },
  ]
}
