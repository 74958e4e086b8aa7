import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import type { DocumentStore } from '../../../replicator/checkpoint.ts'
import type { ScrubRecord } from '../../../replicator/scrubber.ts'
import { runScrubber } from '../../../replicator/scrubber.ts'
import { until } from '../../fixtures/waiting.ts'
import { helloOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'

const blockCount = 40
const sizeBytes = blockCount * blockSizeBytes

let replicator: TestReplicator
let agent: TestAgent
let source: Buffer
let ending: AbortController
let running: Promise<void>
let now: number
let record: ScrubRecord | undefined
let intervalMs: number

beforeEach(async () => {
  replicator = await TestReplicator.start()
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
  source = randomBytes(sizeBytes)
  agent = await replicator.connect()
  await agent.hello(helloOf(sizeBytes))
  for (let first = 0; first < blockCount; first += 16)
    await agent.ack(agent.sendBlocks(0, source, first, Math.min(16, blockCount - first)))
  now = 1_000_000
  record = undefined
  intervalMs = 1000
  ending = new AbortController()
  const document: DocumentStore<ScrubRecord> = {
    read: () => Promise.resolve(record),
    write: (next) => {
      record = next
      return Promise.resolve()
    },
    remove: () => Promise.resolve(),
  }
  running = runScrubber(
    {
      servers: () => replicator.registry.servers,
      policy: () => ({ intervalMs, bytesPerSecond: 1e12 }),
      recordOf: () => document,
      nowMs: () => now,
      log: pino({ level: 'silent' }),
      lookIntervalMs: 5,
    },
    ending.signal,
  )
})
afterEach(async () => {
  ending.abort()
  await running
  agent.destroy()
  await replicator.end()
})

function spoil(offset: number): void {
  const file = openSync(replicator.volumePath(0), 'r+')
  writeSync(file, Buffer.from([255 - (source[offset] ?? 0)]), 0, 1, offset)
  closeSync(file)
}

/** A scrub that begins now and ends. */
async function scrubbed(): Promise<void> {
  await until('the first look was taken', () => Promise.resolve(record), 10_000, 5)
  now += 1000
  await until(
    'a scrub has ended',
    () => Promise.resolve(record?.endedAtMs === now && record.nextBlock === 0),
    10_000,
    5,
  )
}

/** What the next heartbeat says; it is answered. */
async function notes(): Promise<string[]> {
  const { sessions } = replicator.registry.beginBeat()
  const said = (sessions[0]?.notes ?? []).map(({ level, message }) => `${level} ${message}`)
  await replicator.assign(replicator.assignment([sizeBytes]))
  return said
}

it('finds nothing in a volume that is well, and reads it only when it is due', async () => {
  await scrubbed()
  expect(await notes()).toEqual([])
  const ended = record
  now += 900
  spoil(5)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(record).toBe(ended)
  expect(await notes()).toEqual([])
})

it('tells of each damaged place once, and asks the agent for it until it has come', async () => {
  spoil(3 * blockSizeBytes)
  spoil(4 * blockSizeBytes + 77)
  spoil(sizeBytes - 1)
  await scrubbed()
  const told = await notes()
  expect(told).toHaveLength(2)
  expect(told[0]).toMatch(
    /^ERROR The copy of disk 0 \(volume vol-0\) is damaged on the staging disk at byte 196608 \(131072 bytes\)/,
  )
  expect(told[1]).toContain(`at byte ${39 * blockSizeBytes} (65536 bytes)`)
  await scrubbed()
  expect(await notes()).toEqual([])
  agent.send({ type: 'STATUS', body: { state: 'CONTINUOUS', backlogBytes: 0, lagMs: 0, disks: [] } })
  for (const [firstBlock, count] of [
    [3, 2],
    [39, 1],
  ] as const) {
    expect(await agent.next('DAMAGED')).toMatchObject({ diskIndex: 0, firstBlock, blockCount: count })
    await agent.ack(agent.sendBlocks(0, source, firstBlock, count))
  }
  expect(readFileSync(replicator.volumePath(0)).equals(source)).toBe(true)
  await scrubbed()
  expect(await notes()).toEqual([])
  expect(replicator.registry.servers[0]?.scrub.damagedBlocks).toBe(0)
})

it('repeats what it found until a heartbeat is answered', async () => {
  spoil(0)
  await scrubbed()
  const saying = () => replicator.registry.beginBeat().sessions[0]?.notes?.length
  expect([saying(), saying()]).toEqual([1, 1])
  await replicator.assign(replicator.assignment([sizeBytes]))
  expect(saying()).toBeUndefined()
})

it('reads nothing when it is switched off', async () => {
  intervalMs = 0
  spoil(0)
  now += 1e9
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(await notes()).toEqual([])
})
