/**
 * Initial sync of random data, memory to memory: mutual TLS, hashed, verified, durable.
 * @module
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchContext } from '../context.ts'
import type { Parts } from '../parts.ts'
import type { Row } from '../row.ts'
import { combined } from '../parts.ts'
import { makeRandomFile, makeSparseFile } from '../disk_files.ts'
import { nbdcopySeconds } from '../peers.ts'
import { median } from '../row.ts'
import { Service } from '../service.ts'

const leastRatio = 3

/** Seconds from the first byte to the moment when all is durable, with a service of its own. */
async function syncSeconds(folder: string, device: string): Promise<number> {
  const service = await Service.start(folder)
  try {
    const source = await service.addSource({ devices: [device] })
    const endedAtMs = await source.continuous()
    const { firstByteAt } = (await source.view()).lifecycle
    if (firstByteAt === undefined) throw new Error('The server has no time of its first byte')
    return (endedAtMs - Date.parse(firstByteAt)) / 1000
  } finally {
    await service.stop()
  }
}

/** Every byte is read, hashed and encrypted by one end, crosses loopback, and is decrypted, hashed and written by the other. */
function limitOf(parts: Parts, value: number): string {
  const { cores, read, write, blake3, aesGcm, loopback } = parts
  const most = combined([read, blake3, aesGcm, loopback, aesGcm, blake3, write], cores)
  return (
    `Each byte is read, hashed, encrypted, moved, decrypted, hashed again and written: by the speed of these parts ${cores} processors ` +
    `do ${most.toFixed(2)} GB/s at most, if nothing else ran and the work were spread evenly. ${Math.round((value / most) * 100)} % of that is reached; ` +
    'the rest is outside these parts'
  )
}

/** The row `initial_sync`. */
export async function initialSync(context: BenchContext): Promise<Row[]> {
  const { folder, runs, sizeBytes, say } = context
  const sourcePath = join(folder, 'random.img')
  const targetPath = join(folder, 'peer.img')
  await makeRandomFile(sourcePath, sizeBytes)
  const own: number[] = []
  const peer: number[] = []
  for (let index = 0; index < runs; index++) {
    await makeSparseFile(targetPath, sizeBytes)
    peer.push(sizeBytes / 1e9 / (await nbdcopySeconds({ sourcePath, targetPath, folder })))
    await rm(targetPath)
    own.push(sizeBytes / 1e9 / (await syncSeconds(folder, sourcePath)))
    say(`  nbdcopy ${peer.at(-1)?.toFixed(3)} GB/s, Rehost ${own.at(-1)?.toFixed(3)} GB/s`)
  }
  await rm(sourcePath)
  const value = median(own)
  const peerValue = median(peer)
  return [
    {
      name: 'initial_sync',
      what: `${sizeBytes / 2 ** 30} GiB of random data, memory to memory`,
      value,
      unit: 'GB/s',
      peer: 'nbdcopy with TLS',
      peerValue,
      ratio: value / peerValue,
      budget: `at least ${leastRatio} ×`,
      met: value / peerValue >= leastRatio,
      runs: own,
      limit: limitOf(context.parts, value),
    },
  ]
}
