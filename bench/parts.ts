/**
 * What the parts of the path can do by themselves on this machine, measured in the run whose rows they explain: a figure of a row can't be better
 * than what its parts allow.
 * @module
 */
import { createCipheriv } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { blake3 } from '@napi-rs/blake-hash'
import { makeRandomFile } from './disk_files.ts'
import { median } from './row.ts'

/** Each part is measured so often and so long, after as long a warm-up. The best counts: whatever else runs only makes it slower. */
const rounds = 3
const roundMs = 150
const cipherPairs = 9

/** Bytes at once: an extent, and a block, which makes a call from JavaScript small beside what it does. */
const extentBytes = 2 ** 20
const blockBytes = 65_536
const fileExtents = 64

/** GB for each second of processor time, whichever processors that was on: others who use them too don't change it. */
export interface Parts {
  /** Processors of this machine. */
  cores: number
  /** Reading a file in memory. */
  read: number
  /** Writing a file in memory. */
  write: number
  /** BLAKE3 of blocks of 64 KiB. */
  blake3: number
  /** AES-256-GCM, as the connections use it where the processor has instructions for it. */
  aesGcm: number
  /** A plain TCP connection to this machine itself, both ends. */
  loopback: number
}

/** Milliseconds of processor time that this process has used. */
function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** The best rate of several rounds. `work` goes on for a round and says how many bytes it has handled. */
async function bestRate(work: () => Promise<number> | number, of = rounds): Promise<number> {
  await work()
  let best = 0
  for (let round = 0; round < of; round++) {
    const begin = processorMs()
    const bytes = await work()
    best = Math.max(best, bytes / 1e6 / (processorMs() - begin))
  }
  return best
}

/** The rate of `once`, which handles `bytes`, again and again. */
function rateOf(bytes: number, once: () => void, of = rounds): Promise<number> {
  return bestRate(() => {
    const end = performance.now() + roundMs
    let done = 0
    while (performance.now() < end) {
      once()
      done += bytes
    }
    return done
  }, of)
}

async function fileRates(folder: string): Promise<Pick<Parts, 'read' | 'write'>> {
  const path = join(folder, 'parts.bin')
  await makeRandomFile(path, fileExtents * extentBytes)
  const file = openSync(path, 'r+')
  const bytes = Buffer.alloc(extentBytes, 1)
  let extent = 0
  const next = (): number => (extent++ % fileExtents) * extentBytes
  try {
    return {
      read: await rateOf(extentBytes, () => void readSync(file, bytes, 0, extentBytes, next())),
      write: await rateOf(extentBytes, () => void writeSync(file, bytes, 0, extentBytes, next())),
    }
  } finally {
    closeSync(file)
    await rm(path)
  }
}

/** The rate of one connection over loopback, both ends in this process. What comes is read into one buffer: new ones would cost more than TCP. */
async function loopbackRate(): Promise<number> {
  const bytes = Buffer.alloc(extentBytes, 1)
  const server = createServer((sender) => {
    // The other end hangs up in the middle of a write.
    sender.on('error', () => sender.destroy())
    const fill = (): void => {
      while (sender.write(bytes));
    }
    sender.on('drain', fill)
    fill()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  let received = 0
  const callback = (length: number): boolean => {
    received += length
    return true
  }
  const { port } = server.address() as AddressInfo
  const receiver = connect({
    port,
    host: '127.0.0.1',
    onread: { buffer: Buffer.alloc(extentBytes), callback },
  })
  try {
    return await bestRate(async () => {
      const before = received
      await new Promise((resolve) => setTimeout(resolve, roundMs))
      return received - before
    })
  } finally {
    receiver.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}

/**
 * The rate of the cipher alone. Called from JavaScript it puts each result into new memory, which TLS does not, and which costs about a third of
 * the time: that is measured by itself and taken off. Both swing when others use the processor, so they are measured side by side, and the middle
 * of the differences counts; where noise leaves none, the time with memory does.
 */
async function cipherRate(): Promise<number> {
  const block = Buffer.alloc(blockBytes, 1)
  const cipher = createCipheriv('aes-256-gcm', Buffer.alloc(32, 1), Buffer.alloc(12, 2))
  const pairs: { withMemory: number; memory: number }[] = []
  for (let pair = 0; pair < cipherPairs; pair++) {
    pairs.push({
      withMemory: await rateOf(blockBytes, () => void cipher.update(block), 1),
      memory: await rateOf(blockBytes, () => void Buffer.allocUnsafeSlow(blockBytes), 1),
    })
  }
  const cost = median(pairs.map(({ withMemory, memory }) => 1 / withMemory - 1 / memory))
  return cost > 0 ? 1 / cost : Math.max(...pairs.map(({ withMemory }) => withMemory))
}

/** Measures the parts, one after the other. `folder` is in memory. */
export async function measureParts(folder: string): Promise<Parts> {
  const block = Buffer.alloc(blockBytes, 1)
  return {
    cores: cpus().length,
    ...(await fileRates(folder)),
    blake3: await rateOf(blockBytes, () => void blake3(block)),
    aesGcm: await cipherRate(),
    loopback: await loopbackRate(),
  }
}

/** GB/s at which a byte that costs each of `rates` one after the other passes `processors` of them that share the work evenly. */
export function combined(rates: readonly number[], processors: number): number {
  return processors / rates.reduce((sum, rate) => sum + 1 / rate, 0)
}

/** The parts in a sentence. */
export function partsInWords({ read, write, blake3: hash, aesGcm, loopback }: Parts): string {
  const each = {
    'reading a file in memory': read,
    'writing one': write,
    'BLAKE3 of 64 KiB': hash,
    'AES-256-GCM': aesGcm,
    'TCP over loopback, both ends': loopback,
  }
  const inWords = Object.entries(each).map(([what, rate]) => `${what} ${rate.toFixed(1)} GB`)
  return `for each second of processor time ${inWords.join(', ')}`
}
