import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { matchReplica } from '../../../bin/demo/write_log.ts'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'

const sector = 512
const diskSectors = 64
let folder: string
let paths: { initialImagePath: string; logPath: string; replicaPath: string }

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-log-'))
  paths = {
    initialImagePath: join(folder, 'initial'),
    logPath: join(folder, 'log'),
    replicaPath: join(folder, 'replica'),
  }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

interface LoggedWrite {
  at: number
  data: Buffer
  flags?: number
}

/** The layout QEMU 7.2 was seen to write: super block, then per write one header sector and the data. */
function logOf(writes: readonly LoggedWrite[]): Buffer {
  const head = Buffer.alloc(sector)
  head.writeBigUInt64LE(0x6a736677736872n, 0)
  head.writeBigUInt64LE(1n, 8)
  head.writeBigUInt64LE(BigInt(writes.length), 16)
  head.writeUInt32LE(sector, 24)
  const entries = writes.map(({ at, data, flags = 0 }) => {
    const header = Buffer.alloc(sector)
    header.writeBigUInt64LE(BigInt(at), 0)
    header.writeBigUInt64LE(BigInt(data.length / sector), 8)
    header.writeBigUInt64LE(BigInt(flags), 16)
    return flags === 4 ? header : Buffer.concat([header, data])
  })
  return Buffer.concat([head, ...entries])
}

async function judge(initial: Buffer, writes: readonly LoggedWrite[], replica: Buffer) {
  await writeFile(paths.initialImagePath, initial)
  await writeFile(paths.logPath, logOf(writes))
  await writeFile(paths.replicaPath, replica)
  return matchReplica(paths)
}

describe('matchReplica()', () => {
  const random = seededRandom(seedFor('write log'))
  const initial = randomBytesFrom(random, diskSectors * sector)
  const writes: LoggedWrite[] = Array.from({ length: 40 }, () => {
    const length = randomInt(random, 1, 4)
    return { at: randomInt(random, 0, diskSectors - length), data: randomBytesFrom(random, length * sector) }
  })
  const stateAfter = (count: number): Buffer => {
    const disk = Buffer.from(initial)
    for (const { at, data } of writes.slice(0, count)) data.copy(disk, at * sector)
    return disk
  }

  it('finds every state the disk went through', async () => {
    for (let count = 0; count <= writes.length; count++) {
      expect(await judge(initial, writes, stateAfter(count))).toEqual({
        identical: true,
        entry: count,
        entries: writes.length,
      })
    }
  })

  it('refuses a replica that lacks a write but has a later one', async () => {
    const disk = stateAfter(20)
    const missed = writes[20]
    const later = writes[21]
    if (missed === undefined || later === undefined) throw new Error('The sample is too small')
    later.data.copy(disk, later.at * sector)
    const overlaps =
      later.at <= missed.at &&
      later.at + later.data.length / sector >= missed.at + missed.data.length / sector
    expect((await judge(initial, writes, disk)).identical).toBe(overlaps)
  })

  it('refuses a replica with one wrong bit, and says where it comes closest', async () => {
    const disk = stateAfter(writes.length)
    disk[777] = (disk[777] ?? 0) ^ 1
    const result = await judge(initial, writes, disk)
    expect(result.identical).toBe(false)
    expect(result).toMatchObject({
      nearest: expect.stringContaining('1 sectors differ after write 40, the first at byte 512'),
    })
  })

  it('passes over flushes and discards', async () => {
    const extra = [
      { at: 0, data: Buffer.alloc(0), flags: 1 },
      ...writes,
      { at: 3, data: Buffer.alloc(2 * sector), flags: 4 },
    ]
    expect(await judge(initial, extra, stateAfter(writes.length))).toEqual({
      identical: true,
      entry: 41,
      entries: 42,
    })
  })

  it('refuses a file that is no log, and images of different sizes', async () => {
    await judge(initial, writes, stateAfter(1))
    await writeFile(paths.logPath, Buffer.alloc(4096))
    await expect(matchReplica(paths)).rejects.toThrow('is no log of writes')
    await expect(judge(initial, writes, initial.subarray(sector))).rejects.toThrow('Cannot compare images')
  })
})
