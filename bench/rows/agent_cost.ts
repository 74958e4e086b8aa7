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
import { alone, middleOf } from '../row.ts'
import { Service } from '../service.ts'

/** Volumes are raised one after the other. */
const beginTimeoutMs = 120_000
const mostMemoryMb = 150
const mostIdleShare = 0.05
const diskCount = 50
const diskSizeBytes = 2 ** 40
/** Of all idle disks together. */
const idleBytes = 256 * 2 ** 20
/** After the first copy, before the processor time of an idle agent is counted. */
const settleSeconds = 5

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

/** Runs `use` with so many disks of random data as block devices, which the agent can track. */
async function withDevices<T>(
  folder: string,
  count: number,
  use: (devices: string[]) => Promise<T>,
): Promise<T> {
  const devices: string[] = []
  try {
    for (let index = 0; index < count; index++) {
      const path = join(folder, `idle-${index}.img`)
      await makeRandomFile(path, Math.ceil(idleBytes / count))
      devices.push((await run('losetup', ['--find', '--show', path])).stdout.trim())
    }
    return await use(devices)
  } finally {
    for (const device of devices) await run('losetup', ['--detach', device])
  }
}

/** Share of one core while `count` tracked disks do not change. */
function idleShare({ folder, profiler }: BenchContext, seconds: number, count: number): Promise<number> {
  return withDevices(folder, count, async (devices) => {
    const service = await Service.start(folder)
    try {
      const source = await service.addSource({ devices })
      await source.continuous()
      const { disks } = await source.view()
      const untracked = disks.find(({ tracker }) => tracker?.kind !== 'tracefs')
      if (untracked !== undefined)
        throw new Error(
          `${untracked.deviceName} is not tracked by tracefs: ${untracked.tracker?.reason ?? 'unknown'}`,
        )
      await sleep(settleSeconds)
      const before = await processorSeconds(source.agentPid)
      const begin = performance.now()
      await sleep(seconds)
      const used = (await processorSeconds(source.agentPid)) - before
      const share = used / ((performance.now() - begin) / 1000)
      if (share >= mostIdleShare)
        await profiler.during(
          `nothing changes on ${count} disks`,
          () => sleep(seconds),
          () => service.pidsWith(source),
        )
      return share
    } finally {
      await service.stop()
    }
  })
}

/** The row `agent_cost`. */
export async function agentCost(context: BenchContext): Promise<Row[]> {
  const { folder, loadSeconds, say } = context
  const memoryMb = await memoryWithManyDisks(folder, loadSeconds)
  const shares = [
    { count: 1, share: await idleShare(context, loadSeconds, 1) },
    { count: diskCount, share: await idleShare(context, loadSeconds, diskCount) },
  ]
  say(
    `  ${memoryMb.toFixed(0)} MB, idle ${shares.map(({ count, share }) => `${(share * 100).toFixed(2)} % of a core with ${count} disks`).join(', ')}`,
  )
  return [
    {
      name: 'agent_cost',
      what: `most memory with ${diskCount} disks of 1 TiB in their first copy`,
      ...middleOf([memoryMb]),
      ...alone,
      unit: 'MB',
      budget: `at most ${mostMemoryMb} MB`,
      met: memoryMb <= mostMemoryMb,
      bound: null,
      limit: 'A bit for each block of 64 KiB is 2 MiB a disk where blocks changed all over it',
    },
    ...shares.map(({ count, share }) => idleRow(count, share)),
  ]
}

function idleRow(count: number, share: number): Row {
  return {
    name: 'agent_cost',
    what: `processor time while nothing changes, continuous, ${count === 1 ? '1 disk' : `${count} disks`}`,
    ...middleOf([share * 100]),
    ...alone,
    unit: '% of a core',
    budget: `under ${mostIdleShare * 100} %`,
    met: share < mostIdleShare,
    bound: null,
    limit:
      "Twenty looks a second at the kernel's events, ten turns of the engine, figures told each second, and a heartbeat every two",
  }
}
