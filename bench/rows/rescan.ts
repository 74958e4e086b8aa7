/**
 * Rescan of an unchanged disk, memory to memory: the agent reads and hashes, the replicator answers from its index.
 * @module
 */
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { blockSizeBytes } from '../../domain/units.ts'
import { defaultHashThreads } from '../../agent/disk/hash_threads.ts'
import type { BenchContext } from '../context.ts'
import type { Source } from '../source.ts'
import type { Parts } from '../parts.ts'
import type { Row } from '../row.ts'
import { combined } from '../parts.ts'
import { makeRandomFile } from '../disk_files.ts'
import { openLink, stagingAddress } from '../link.ts'
import { rsyncSeconds } from '../peers.ts'
import { alone, beside, median, middleOf } from '../row.ts'
import { Service } from '../service.ts'

const leastRatio = 2
const mostWireShare = 0.001
const hashSizeBytes = 32
const rescanTimeoutMs = 300_000
/** An agent that was stopped at once after its first copy calls the comparison a part of that. */
const wentThrough = /^(?:Rescan|Initial sync) of .* went through in ([\d.]+) s, (\d+) blocks differed/

/** Restarts the agent, which must then compare everything; answers how long it says that took. */
async function rescanSeconds(source: Source): Promise<number> {
  const last = (await source.events()).at(-1)?.sequence ?? 0
  await source.stopAgent()
  source.startAgent()
  const found = await source.event(
    'the rescan is through',
    { afterSequence: last, timeoutMs: rescanTimeoutMs },
    ({ message }) => wentThrough.exec(message) ?? undefined,
  )
  if (found[2] !== '0') throw new Error(`The disk did not change, and ${found[2]} blocks differed`)
  return Number(found[1])
}

/** Every byte is read and hashed once; hashes are all that crosses. */
function boundOf({ cores, read, blake3 }: Parts): Pick<Row, 'bound' | 'limit'> {
  const processors = Math.min(defaultHashThreads, cores)
  return {
    bound: { kind: 'MOST', value: combined([read, blake3], processors) },
    limit: `Each byte is read and hashed once, by ${processors} threads: the limit is the speed of these parts`,
  }
}

/** The row `rescan`. */
export async function rescan(context: BenchContext): Promise<Row[]> {
  const { folder, runs, sizeBytes, say } = context
  const sourcePath = join(folder, 'random.img')
  const targetPath = join(folder, 'peer.img')
  await makeRandomFile(sourcePath, sizeBytes)
  await copyFile(sourcePath, targetPath)
  const peer: number[] = []
  for (let index = 0; index < runs; index++)
    peer.push(sizeBytes / 1e9 / (await rsyncSeconds(sourcePath, targetPath)))
  await rm(targetPath)

  const own: number[] = []
  const wireShares: number[] = []
  const link = await openLink(undefined)
  try {
    const service = await Service.start(folder, stagingAddress)
    try {
      const source = await service.addSource({ devices: [sourcePath], prefix: link.prefix })
      await source.continuous()
      for (let index = 0; index < runs; index++) {
        const before = await link.bytes()
        own.push(sizeBytes / 1e9 / (await rescanSeconds(source)))
        const after = await link.bytes()
        wireShares.push((after.toStaging - before.toStaging + after.toSource - before.toSource) / sizeBytes)
        say(`  rsync ${peer[index]?.toFixed(2)} GB/s, Rehost ${own.at(-1)?.toFixed(2)} GB/s`)
      }
      await context.profiler.during(
        'a rescan, from the start of the agent on',
        () => rescanSeconds(source),
        () => service.pidsWith(source),
      )
    } finally {
      await service.stop()
    }
  } finally {
    await link.close()
  }
  await rm(sourcePath)
  const value = median(own)
  const peerValue = median(peer)
  const share = median(wireShares)
  return [
    {
      name: 'rescan',
      what: `${sizeBytes / 2 ** 30} GiB unchanged, memory to memory`,
      ...middleOf(own),
      unit: 'GB/s',
      ...beside('rsync --checksum', value, peerValue),
      budget: `at least ${leastRatio} ×`,
      met: value / peerValue >= leastRatio,
      ...boundOf(context.parts),
    },
    {
      name: 'rescan',
      what: 'on the wire, both ways, frame headers and heartbeats included',
      ...middleOf(wireShares.map((each) => each * 100)),
      unit: '% of the disk',
      ...alone,
      budget: `under ${mostWireShare * 100} %`,
      met: share < mostWireShare,
      bound: { kind: 'LEAST', value: (hashSizeBytes / blockSizeBytes) * 100 },
      limit: 'A hash of 32 bytes crosses for each block of 64 KiB',
    },
  ]
}
