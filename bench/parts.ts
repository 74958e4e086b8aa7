/**
 * What the parts of the path can do by themselves on this machine, measured in the run whose rows they explain: a figure of a row can't be better
 * than what its parts allow.
 * @module
 */
import { createCipheriv } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { blake3 } from '@napi-rs/blake-hash'
import { makeRandomFile } from './disk_files.ts'

/** How long each part is measured. */
const measureMs = 400

/** Bytes at once: an extent, a block, and as much for the cipher as makes what surrounds it small. */
const extentBytes = 2 ** 20
const blockBytes = 65_536
const cipheredBytes = 262_144
const fileExtents = 64

/** GB/s of one processor, all but `loopback`, for which both ends take one. */
export interface Parts {
  /** Processors of this machine. */
  cores: number
  /** Reading a file in memory. */
  read: number
  /** Writing a file in memory. */
  write: number
  /** BLAKE3 of blocks of 64 KiB. */
  blake3: number
  /** AES-256-GCM. */
  aesGcm: number
  /** A plain TCP connection to this machine itself. */
  loopback: number
}

/** GB/s of `once`, which handles `bytes`, again and again. */
async function rateOf(bytes: number, once: () => unknown): Promise<number> {
  const begin = performance.now()
  let done = 0
  while (performance.now() - begin < measureMs) {
    const work = once()
    if (work instanceof Promise) await work
    done += bytes
  }
  return done / 1e6 / (performance.now() - begin)
}

async function fileRates(folder: string): Promise<Pick<Parts, 'read' | 'write'>> {
  const path = join(folder, 'parts.bin')
  await makeRandomFile(path, fileExtents * extentBytes)
  const file = await open(path, 'r+')
  const bytes = Buffer.alloc(extentBytes, 1)
  let extent = 0
  const next = (): number => (extent++ % fileExtents) * extentBytes
  try {
    return {
      read: await rateOf(extentBytes, () => file.read(bytes, 0, extentBytes, next())),
      write: await rateOf(extentBytes, () => file.write(bytes, 0, extentBytes, next())),
    }
  } finally {
    await file.close()
    await rm(path)
  }
}

/** GB/s of one connection over loopback, both ends in this process. */
async function loopbackRate(): Promise<number> {
  let received = 0
  const server = createServer((socket) => socket.on('data', (chunk) => (received += chunk.length)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const bytes = Buffer.alloc(extentBytes, 1)
  const begin = performance.now()
  while (performance.now() - begin < measureMs)
    await new Promise<void>((resolve) => socket.write(bytes, () => resolve()))
  const rate = received / 1e6 / (performance.now() - begin)
  socket.destroy()
  await new Promise((resolve) => server.close(resolve))
  return rate
}

/** Measures the parts, one after the other. `folder` is in memory. */
export async function measureParts(folder: string): Promise<Parts> {
  const block = Buffer.alloc(blockBytes, 1)
  const record = Buffer.alloc(cipheredBytes, 1)
  const cipher = createCipheriv('aes-256-gcm', Buffer.alloc(32, 1), Buffer.alloc(12, 2))
  return {
    cores: cpus().length,
    ...(await fileRates(folder)),
    blake3: await rateOf(blockBytes, () => blake3(block)),
    aesGcm: await rateOf(cipheredBytes, () => cipher.update(record)),
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
  return Object.entries(each)
    .map(([what, rate]) => `${what} ${rate.toFixed(1)} GB/s`)
    .join(', ')
}
