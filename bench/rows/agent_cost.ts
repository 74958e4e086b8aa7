/**
 * What the agent costs the source server: memory with many large disks, processor time while nothing changes.
 * @module
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchContext } from '../context.ts'
import type { Row } from '../row.ts'
import { run, sleep, until } from '../command.ts'
import { makeRandomFile, makeSparseFile } from '../disk_files.ts'
import { peakMemoryMb, processorSeconds } from '../process_facts.ts'
import { Service } from '../service.ts'

/** Volumes are raised one after the other. */
const beginTimeoutMs = 120_000
const mostMemoryMb = 150
const mostIdleShare = 0.05
const diskCount = 50
const diskSizeBytes = 2 ** 40
const idleDiskBytes = 256 * 2 ** 20

/** Peak memory while the first copy of fifty disks of a tebibyte goes on. */
async function memoryWithManyDisks(folder: string, seconds: number): Promise<number> {
  const disks = join(folder, 'disks')
  await mkdir(disks)
  const devices = Array.from({ length: diskCount }, (_, index) => join(disks, `disk-${index}.img`))
  for (const path of devices) await makeSparseFile(path, diskSizeBytes)
  const service = await Service.start(folder)
  try {
    const source = await service.addSource({ devices })
    const isCopying = async (): Promise<boolean> => (await source.view()).replication.state === 'INITIAL_SYNC'
    await until('the first copy has begun', beginTimeoutMs, async () => (await isCopying()) || undefined)
    await sleep(seconds)
    if (!(await isCopying()))
      throw new Error(`The first copy of ${diskCount} disks ended before it was measured for ${seconds} s`)
    return await peakMemoryMb(source.agentPid)
  } finally {
    await service.stop()
    await rm(disks, { recursive: true })
  }
}

/** Share of one core while a tracked disk does not change. */
async function idleShare(folder: string, seconds: number): Promise<number> {
  const path = join(folder, 'idle.img')
  await makeRandomFile(path, idleDiskBytes)
  const device = (await run('losetup', ['--find', '--show', path])).stdout.trim()
  try {
    const service = await Service.start(folder)
    try {
      const source = await service.addSource({ devices: [device] })
      await source.continuous()
      await sleep(2)
      const before = await processorSeconds(source.agentPid)
      const begin = performance.now()
      await sleep(seconds)
      const used = (await processorSeconds(source.agentPid)) - before
      return used / ((performance.now() - begin) / 1000)
    } finally {
      await service.stop()
    }
  } finally {
    await run('losetup', ['--detach', device])
    await rm(path)
  }
}

/** The row `agent_cost`. */
export async function agentCost(context: BenchContext): Promise<Row[]> {
  const { folder, loadSeconds, say } = context
  const memoryMb = await memoryWithManyDisks(folder, loadSeconds)
  const share = await idleShare(folder, loadSeconds)
  say(`  ${memoryMb.toFixed(0)} MB, ${(share * 100).toFixed(2)} % of a core`)
  return [
    {
      name: 'agent_cost',
      what: `most memory with ${diskCount} disks of 1 TiB in their first copy`,
      value: memoryMb,
      unit: 'MB',
      peer: null,
      peerValue: null,
      ratio: null,
      budget: `at most ${mostMemoryMb} MB`,
      met: memoryMb <= mostMemoryMb,
      runs: [memoryMb],
      limit: 'a bit for each block of 64 KiB is 2 MiB a disk where blocks changed all over it',
    },
    {
      name: 'agent_cost',
      what: 'processor time while nothing changes, continuous',
      value: share * 100,
      unit: '% of a core',
      peer: null,
      peerValue: null,
      ratio: null,
      budget: `under ${mostIdleShare * 100} %`,
      met: share < mostIdleShare,
      runs: [share * 100],
      limit: 'ten looks a second at the tracker, a heartbeat a second',
    },
  ]
}
