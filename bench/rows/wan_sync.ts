/**
 * Initial sync of a real Debian disk over slow links.
 * @module
 */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchContext } from '../context.ts'
import type { Row } from '../row.ts'
import { run } from '../command.ts'
import { makeSparseFile } from '../disk_files.ts'
import { benchGuestPath, guestSizeBytes } from '../guest.ts'
import { openLink, stagingAddress } from '../link.ts'
import { nbdcopySeconds } from '../peers.ts'
import { median } from '../row.ts'
import { Service } from '../service.ts'

const mostTimeRatio = 0.5
const mostWireShare = 0.45

interface Sync {
  seconds: number
  wireBytes: number
}

/** Our initial sync over the link. */
async function syncOver(mbitPerSecond: number, folder: string, device: string): Promise<Sync> {
  const link = await openLink(mbitPerSecond)
  try {
    const service = await Service.start(folder, stagingAddress)
    try {
      const before = await link.bytes()
      const source = await service.addSource({ devices: [device], prefix: link.prefix })
      const endedAtMs = await source.continuous()
      const after = await link.bytes()
      const { firstByteAt } = (await source.view()).lifecycle
      if (firstByteAt === undefined) throw new Error('The server has no time of its first byte')
      return {
        seconds: (endedAtMs - Date.parse(firstByteAt)) / 1000,
        wireBytes: after.toStaging - before.toStaging,
      }
    } finally {
      await service.stop()
    }
  } finally {
    await link.close()
  }
}

/** The peer's copy over the link. */
async function peerOver(mbitPerSecond: number, folder: string, sourcePath: string): Promise<number> {
  const targetPath = join(folder, 'peer.img')
  await makeSparseFile(targetPath, guestSizeBytes)
  const link = await openLink(mbitPerSecond)
  try {
    return await nbdcopySeconds({ sourcePath, targetPath, folder, host: stagingAddress, prefix: link.prefix })
  } finally {
    await link.close()
    await rm(targetPath)
  }
}

/** The row `wan_sync`. */
export async function wanSync(context: BenchContext): Promise<Row[]> {
  const { folder, root, runs, say } = context
  const guestPath = benchGuestPath(root)
  const sourcePath = join(folder, 'debian.img')
  const allocatedBytes = (await stat(guestPath)).blocks * 512
  // A block device has no holes that a copying program could skip.
  await run('cp', ['--sparse=never', guestPath, sourcePath])
  const rows: Row[] = []
  for (const mbitPerSecond of [1000, 100]) {
    const own: Sync[] = []
    const peer: number[] = []
    for (let index = 0; index < runs; index++) {
      peer.push(await peerOver(mbitPerSecond, folder, sourcePath))
      own.push(await syncOver(mbitPerSecond, folder, sourcePath))
      say(
        `  ${mbitPerSecond} Mbit/s: nbdcopy ${peer.at(-1)?.toFixed(1)} s, Rehost ${own.at(-1)?.seconds.toFixed(1)} s`,
      )
    }
    rows.push(...rowsOf(mbitPerSecond, own, peer, allocatedBytes))
  }
  await rm(sourcePath)
  return rows
}

function rowsOf(
  mbitPerSecond: number,
  own: readonly Sync[],
  peer: readonly number[],
  allocatedBytes: number,
): Row[] {
  const seconds = own.map((sync) => sync.seconds)
  const shares = own.map((sync) => (sync.wireBytes / allocatedBytes) * 100)
  const value = median(seconds)
  const peerValue = median(peer)
  const share = median(shares)
  const linkSeconds = ((share / 100) * allocatedBytes * 8) / (mbitPerSecond * 1e6)
  return [
    {
      name: 'wan_sync',
      what: `Debian disk of 3 GiB over ${mbitPerSecond} Mbit/s`,
      value,
      unit: 's',
      peer: 'nbdcopy with TLS',
      peerValue,
      ratio: value / peerValue,
      budget: `at most ${mostTimeRatio} ×`,
      met: value / peerValue <= mostTimeRatio,
      runs: seconds,
      limit: `the link takes ${linkSeconds.toFixed(1)} s for these bytes`,
    },
    {
      name: 'wan_sync',
      what: `on the wire over ${mbitPerSecond} Mbit/s`,
      value: share,
      unit: '% of allocated bytes',
      peer: null,
      peerValue: null,
      ratio: null,
      budget: `at most ${mostWireShare * 100} %`,
      met: share <= mostWireShare * 100,
      runs: shares,
      limit: 'zstd -1 of the allocated bytes: about 43 %',
    },
  ]
}
