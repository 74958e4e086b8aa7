/**
 * Initial sync of random data, memory to memory: mutual TLS, hashed, verified, durable.
 * @module
 */
import { join } from 'node:path'
import type { BenchContext } from '../context.ts'
import type { Parts } from '../parts.ts'
import type { NbdPeer } from '../peers.ts'
import type { Row } from '../row.ts'
import { combined } from '../parts.ts'
import { makeRandomFile } from '../disk_files.ts'
import { firstCopy } from '../first_copy.ts'
import { nbdPeers, nbdPeerSeconds } from '../peers.ts'
import { beside, median, middleOf } from '../row.ts'

const leastRatio = 3

/** Every byte is read, hashed and encrypted by one end, crosses loopback, and is decrypted, hashed and written by the other. */
function boundOf(parts: Parts): Pick<Row, 'bound' | 'limit'> {
  const { cores, read, write, blake3, aesGcm, loopback } = parts
  const most = combined([read, blake3, aesGcm, loopback, aesGcm, blake3, write], cores)
  return {
    bound: { kind: 'MOST', value: most },
    limit:
      `Each byte is read, hashed, encrypted, moved, decrypted, hashed again and written: the limit is the speed of these parts on ${cores} processors, ` +
      'if nothing else ran and the work were spread evenly',
  }
}

/** The row `initial_sync`. */
export async function initialSync(context: BenchContext): Promise<Row[]> {
  const { folder, runs, sizeBytes, say } = context
  const sourcePath = join(folder, 'random.img')
  await makeRandomFile(sourcePath, sizeBytes)
  const gigabytes = sizeBytes / 1e9
  const own: number[] = []
  const peers: Record<NbdPeer, number[]> = { nbdcopy: [], 'qemu-img': [] }
  for (let index = 0; index < runs; index++) {
    for (const peer of nbdPeers)
      peers[peer].push(gigabytes / (await nbdPeerSeconds(peer, { sourcePath, sizeBytes, folder })))
    own.push(gigabytes / (await firstCopy({ folder, device: sourcePath })).seconds)
    const theirs = nbdPeers.map((peer) => `${peer} ${peers[peer].at(-1)?.toFixed(3)} GB/s`)
    say(`  ${theirs.join(', ')}, Rehost ${own.at(-1)?.toFixed(3)} GB/s`)
  }
  await firstCopy({ folder, device: sourcePath, profiler: context.profiler })
  const measured = middleOf(own)
  const row = {
    name: 'initial_sync',
    ...measured,
    unit: 'GB/s',
    ...boundOf(context.parts),
  } as const
  const what = `${sizeBytes / 2 ** 30} GiB of random data, memory to memory`
  const ratio = measured.value / median(peers.nbdcopy)
  return [
    {
      ...row,
      what,
      ...beside('nbdcopy with TLS', measured.value, median(peers.nbdcopy)),
      budget: `at least ${leastRatio} ×`,
      met: ratio >= leastRatio,
    },
    {
      ...row,
      what: `the same beside another peer`,
      ...beside('qemu-img convert with TLS', measured.value, median(peers['qemu-img'])),
      budget: 'none: to be seen',
      met: null,
    },
  ]
}
