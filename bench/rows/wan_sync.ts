/**
 * Initial sync of a real Debian disk over slow links, beside what people use instead; and whether compressing ever makes it slower.
 * @module
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchContext } from '../context.ts'
import type { FirstCopy } from '../first_copy.ts'
import type { NbdPeer } from '../peers.ts'
import type { Bound, Row } from '../row.ts'
import { run } from '../command.ts'
import { compressedBytes, repeatSparsely } from '../disk_files.ts'
import { firstCopy, firstCopyOver } from '../first_copy.ts'
import { benchGuestPath, guestSizeBytes } from '../guest.ts'
import { openLink, stagingAddress } from '../link.ts'
import { nbdPeers, nbdPeerSeconds } from '../peers.ts'
import { alone, beside, median, middleOf } from '../row.ts'

const mostTimeRatio = 0.5
const mostWireShare = 0.45
const leastSpeedRatio = 0.97
/** In memory one disk takes less than a second: as many behind each other, and more runs, tell three in a hundred from chance. */
const memoryDisks = 4
const leastMemoryRuns = 5

/** Everything that was measured over one link. */
interface OverLink {
  mbitPerSecond: number
  own: FirstCopy[]
  plain: FirstCopy[]
  peers: Record<NbdPeer, number[]>
}

/** The peer's copy over the link. */
async function peerOver(
  mbitPerSecond: number,
  peer: NbdPeer,
  folder: string,
  sourcePath: string,
): Promise<number> {
  const link = await openLink(mbitPerSecond)
  try {
    const place = { sourcePath, sizeBytes: guestSizeBytes, folder }
    return await nbdPeerSeconds(peer, { ...place, host: stagingAddress, prefix: link.prefix })
  } finally {
    await link.close()
  }
}

async function measureOver(
  mbitPerSecond: number,
  context: BenchContext,
  sourcePath: string,
): Promise<OverLink> {
  const { folder, runs, say } = context
  const over: OverLink = { mbitPerSecond, own: [], plain: [], peers: { nbdcopy: [], 'qemu-img': [] } }
  for (let index = 0; index < runs; index++) {
    for (const peer of nbdPeers)
      over.peers[peer].push(await peerOver(mbitPerSecond, peer, folder, sourcePath))
    const options = { folder, device: sourcePath }
    over.own.push(await firstCopyOver(mbitPerSecond, options))
    over.plain.push(await firstCopyOver(mbitPerSecond, { ...options, isCompressionOff: true }))
    const theirs = nbdPeers.map((peer) => `${peer} ${over.peers[peer].at(-1)?.toFixed(1)} s`)
    say(
      `  ${mbitPerSecond} Mbit/s: ${theirs.join(', ')}, Rehost ${over.own.at(-1)?.seconds.toFixed(1)} s, ` +
        `without compression ${over.plain.at(-1)?.seconds.toFixed(1)} s`,
    )
  }
  await firstCopyOver(mbitPerSecond, { folder, device: sourcePath, profiler: context.profiler })
  return over
}

/** Speeds memory to memory, in MB of the disk's allocated bytes a second: with the agent's own choice, and without compression. */
async function measureInMemory(
  context: BenchContext,
  sourcePath: string,
  allocatedBytes: number,
): Promise<{ own: number[]; plain: number[] }> {
  const { folder, runs, say } = context
  const device = join(folder, 'repeated.img')
  await repeatSparsely(sourcePath, device, memoryDisks)
  const megabytes = (allocatedBytes * memoryDisks) / 1e6
  const speeds = { own: [] as number[], plain: [] as number[] }
  for (let index = 0; index < Math.max(leastMemoryRuns, runs); index++) {
    speeds.own.push(megabytes / (await firstCopy({ folder, device })).seconds)
    speeds.plain.push(megabytes / (await firstCopy({ folder, device, isCompressionOff: true })).seconds)
    say(
      `  in memory: Rehost ${speeds.own.at(-1)?.toFixed(0)} MB/s, without compression ${speeds.plain.at(-1)?.toFixed(0)} MB/s`,
    )
  }
  return speeds
}

/** The row `wan_sync`. */
export async function wanSync(context: BenchContext): Promise<Row[]> {
  const { folder, root, guestRefusal } = context
  if (guestRefusal !== undefined) throw new Error(`There is no Debian disk to measure with: ${guestRefusal}`)
  const guestPath = benchGuestPath(root)
  const sourcePath = join(folder, 'debian.img')
  const allocatedBytes = (await stat(guestPath)).blocks * 512
  // A block device has no holes that a copying program could skip.
  await run('cp', ['--sparse=never', guestPath, sourcePath])
  const zstdBytes = await compressedBytes(sourcePath)
  const zstdShare = (zstdBytes / allocatedBytes) * 100
  const rows: Row[] = []
  const speedRows: Row[] = []
  for (const mbitPerSecond of [1000, 100]) {
    const over = await measureOver(mbitPerSecond, context, sourcePath)
    rows.push(...timeRows(over, zstdBytes), wireRow(over, allocatedBytes, zstdShare))
    speedRows.push(speedRowOver(over, { allocatedBytes, zstdBytes }))
  }
  const { own, plain } = await measureInMemory(context, sourcePath, allocatedBytes)
  const inMemory = speedRow(`memory to memory, ${memoryDisks} such disks behind each other`, own, plain)
  return [
    ...rows,
    ...speedRows,
    {
      ...inMemory,
      bound: null,
      limit: 'The processor time of both ends: every byte that is compressed takes some of it away',
    },
  ]
}

/** Seconds that the link takes for the disk as zstd makes it, if compressing took no time. */
function linkSeconds({ mbitPerSecond }: OverLink, zstdBytes: number): number {
  return (zstdBytes * 8) / (mbitPerSecond * 1e6)
}

function timeRows(over: OverLink, zstdBytes: number): Row[] {
  const measured = middleOf(over.own.map((copy) => copy.seconds))
  const nbdcopy = beside('nbdcopy with TLS', measured.value, median(over.peers.nbdcopy))
  const row = {
    name: 'wan_sync',
    ...measured,
    unit: 's',
    bound: { kind: 'LEAST', value: linkSeconds(over, zstdBytes) },
    limit: 'The time that the link takes for the disk as zstd makes it, if compressing took none',
  } as const
  const what = `Debian disk of 3 GiB over ${over.mbitPerSecond} Mbit/s`
  return [
    {
      ...row,
      what,
      ...nbdcopy,
      budget: `at most ${mostTimeRatio} ×`,
      met: (nbdcopy.ratio ?? Infinity) <= mostTimeRatio,
    },
    {
      ...row,
      what: `${what}, beside another peer, which skips zeros`,
      ...beside('qemu-img convert with TLS', measured.value, median(over.peers['qemu-img'])),
      budget: 'none: to be seen',
      met: null,
    },
  ]
}

function wireRow({ mbitPerSecond, own }: OverLink, allocatedBytes: number, zstdShare: number): Row {
  const measured = middleOf(own.map((copy) => (copy.wireBytes / allocatedBytes) * 100))
  return {
    name: 'wan_sync',
    what: `on the wire over ${mbitPerSecond} Mbit/s`,
    ...measured,
    ...alone,
    unit: '% of allocated bytes',
    budget: `at most ${mostWireShare * 100} %`,
    met: measured.value <= mostWireShare * 100,
    bound: { kind: 'LEAST', value: zstdShare },
    limit:
      'What zstd -1 makes of the disk, a mebibyte at a time. Where compressing makes nothing faster, blocks go as they are, and this is missed',
  }
}

function speedRowOver(
  over: OverLink,
  { allocatedBytes, zstdBytes }: { allocatedBytes: number; zstdBytes: number },
): Row {
  const speeds = (copies: readonly FirstCopy[]): number[] =>
    copies.map(({ seconds }) => allocatedBytes / 1e6 / seconds)
  const bound: Bound = { kind: 'MOST', value: allocatedBytes / 1e6 / linkSeconds(over, zstdBytes) }
  return {
    ...speedRow(`the same disk over ${over.mbitPerSecond} Mbit/s`, speeds(over.own), speeds(over.plain)),
    bound,
    limit: 'The time that the link takes for the disk as zstd makes it, if compressing took none',
  }
}

/** Compressing, where the agent chooses it, beside a copy for which it was switched off. */
function speedRow(
  where: string,
  own: readonly number[],
  plain: readonly number[],
): Omit<Row, 'bound' | 'limit'> {
  const measured = middleOf(own)
  const compared = beside('without compression', measured.value, median(plain))
  return {
    name: 'wan_sync',
    what: `compression is never slower than none: ${where}`,
    ...measured,
    ...compared,
    unit: 'MB/s of allocated bytes',
    budget: `at least ${leastSpeedRatio} ×`,
    met: (compared.ratio ?? 0) >= leastSpeedRatio,
  }
}
