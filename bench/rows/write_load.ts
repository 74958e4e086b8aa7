/**
 * Sustained random writes on a tracked disk: how far the replica is behind, whether anything is lost, what tracking costs the writer, and what both ends
 * of replication take for it.
 * @module
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchContext } from '../context.ts'
import type { Row } from '../row.ts'
import type { Source } from '../source.ts'
import { run, until } from '../command.ts'
import { makeRandomFile } from '../disk_files.ts'
import { processorSeconds } from '../process_facts.ts'
import { alone, beside, middleOf, percentileOf } from '../row.ts'
import { Service } from '../service.ts'

/**
 * A replication server keeps at most 64 segments of 64 MiB in use and settles the others meanwhile: a disk of 96 makes it do that all the time, as
 * a real one does. It is held twice in memory.
 */
const diskSizeBytes = 6 * 2 ** 30
const segmentBytes = 64 * 2 ** 20
const writeBytes = 4096
const loadBytesPerSecond = 50_000_000
const mostLagMs = 1000
const leastIopsShare = 0.95
const sampleEveryMs = 250
const settleTimeoutMs = 120_000

/** The load; resolves with its writes a second. */
async function writeRandomly(device: string, seconds: number, rate: number | undefined): Promise<number> {
  const { stdout } = await run('fio', [
    '--name=load',
    `--filename=${device}`,
    '--rw=randwrite',
    `--bs=${writeBytes}`,
    '--ioengine=libaio',
    '--iodepth=16',
    '--direct=1',
    '--time_based',
    `--runtime=${seconds}`,
    '--output-format=json',
    ...(rate === undefined ? [] : [`--rate=${rate}`]),
  ])
  const report = JSON.parse(stdout) as { jobs: { write: { iops: number } }[] }
  const iops = report.jobs[0]?.write.iops
  if (iops === undefined) throw new Error('Cannot find the writes a second in what fio reports')
  return iops
}

/** The lag of a server, again and again until `signal` is aborted. */
async function sampleLag(source: Source, signal: AbortSignal): Promise<number[]> {
  const lags: number[] = []
  while (!signal.aborted) {
    const { telemetry } = await source.view()
    if (telemetry?.lagMs != null) lags.push(telemetry.lagMs)
    await new Promise((resolve) => setTimeout(resolve, sampleEveryMs))
  }
  return lags
}

/** Waits until nothing is outstanding, then compares the volume with the disk, byte for byte. */
async function requireIdentical(source: Source, service: Service, device: string): Promise<void> {
  await until('the replica is current', settleTimeoutMs, async () => {
    const { telemetry } = await source.view()
    return telemetry?.backlogBytes === 0 && telemetry.lagMs !== null && telemetry.lagMs < mostLagMs
      ? true
      : undefined
  })
  const volumes = join(service.folder, 'cloud/volumes')
  const names = await readdir(volumes, { recursive: true })
  const images = names.filter((name) => name.endsWith('.raw'))
  const [image] = images
  if (image === undefined || images.length > 1)
    throw new Error(`Expected one volume and found ${names.join(', ')}`)
  await run('cmp', [device, join(volumes, image)])
}

/** What was seen while the load was on. */
interface Loaded {
  iops: number
  lags: number[]
  /** Processor seconds for each second of load. */
  agentShare: number
  replicatorShare: number
}

async function load(source: Source, service: Service, device: string, seconds: number): Promise<Loaded> {
  const pids = [source.agentPid, await service.replicatorPid()] as const
  const used = async (): Promise<[number, number]> => [
    await processorSeconds(pids[0]),
    await processorSeconds(pids[1]),
  ]
  const abort = new AbortController()
  const sampling = sampleLag(source, abort.signal)
  const begin = performance.now()
  const before = await used()
  const iops = await writeRandomly(device, seconds, loadBytesPerSecond)
  const after = await used()
  const elapsed = (performance.now() - begin) / 1000
  abort.abort()
  return {
    iops,
    lags: await sampling,
    agentShare: (after[0] - before[0]) / elapsed,
    replicatorShare: (after[1] - before[1]) / elapsed,
  }
}

/** Measures on a block device. */
async function measure(context: BenchContext, device: string): Promise<Row[]> {
  const { folder, loadSeconds, say } = context
  const untracked = await writeRandomly(device, loadSeconds, loadBytesPerSecond)
  const untrackedMost = await writeRandomly(device, loadSeconds / 3, undefined)
  const service = await Service.start(folder)
  try {
    const source = await service.addSource({ devices: [device] })
    await source.continuous()
    const [disk] = (await source.view()).disks
    if (disk?.tracker?.kind !== 'tracefs')
      throw new Error(`The disk is not tracked by tracefs: ${disk?.tracker?.reason ?? 'unknown'}`)
    const loaded = await load(source, service, device, loadSeconds)
    await requireIdentical(source, service, device)
    const trackedMost = await writeRandomly(device, loadSeconds / 3, undefined)
    await requireIdentical(source, service, device)
    const { iops, agentShare, replicatorShare } = loaded
    const lag = lagRow(loaded.lags)
    say(
      `  lag ${lag.runs.map((each) => `${each} ms`).join(', ')} (middle, 95 %, most); writes ${untracked.toFixed(0)} and ${iops.toFixed(0)} a second; ` +
        `agent ${agentShare.toFixed(2)}, replicator ${replicatorShare.toFixed(2)} processor seconds a second`,
    )
    return [
      lag,
      iopsRow(untracked, iops),
      mostRow(untrackedMost, trackedMost),
      costRow('agent', agentShare),
      costRow('replication server', replicatorShare),
    ]
  } finally {
    await service.stop()
  }
}

/** The row `write_load`. */
export async function writeLoad(context: BenchContext): Promise<Row[]> {
  const sourcePath = join(context.folder, 'loaded.img')
  await makeRandomFile(sourcePath, diskSizeBytes)
  const device = (await run('losetup', ['--find', '--show', '--direct-io=off', sourcePath])).stdout.trim()
  try {
    return await measure(context, device)
  } finally {
    await run('losetup', ['--detach', device])
  }
}

const disk = `a disk of ${diskSizeBytes / 2 ** 30} GiB (${diskSizeBytes / segmentBytes} segments)`

function lagRow(lags: readonly number[]): Row {
  const measured = percentileOf(lags, 99, 'looks')
  return {
    name: 'write_load',
    what: `lag, 99th percentile, at 50 MB/s of random 4 KiB writes on ${disk}; the volume is identical afterwards`,
    ...measured,
    ...alone,
    unit: 'ms',
    budget: `at most ${mostLagMs} ms`,
    met: measured.value <= mostLagMs,
    bound: null,
    limit:
      'Processor time: each write of 4 KiB is traced, read, hashed, encrypted, verified and written again, on the cores that the writer uses too',
  }
}

function iopsRow(untracked: number, tracked: number): Row {
  return {
    name: 'write_load',
    what: 'writes a second at that load',
    ...middleOf([tracked]),
    ...beside('untracked', tracked, untracked),
    unit: 'IOPS',
    budget: `at least ${leastIopsShare} ×`,
    met: tracked / untracked >= leastIopsShare,
    bound: { kind: 'MOST', value: loadBytesPerSecond / writeBytes },
    limit: 'The load itself',
  }
}

function mostRow(untracked: number, tracked: number): Row {
  return {
    name: 'write_load',
    what: 'most writes a second, with both ends of replication on the same processors; the volume is identical afterwards',
    ...middleOf([tracked]),
    ...beside('untracked', tracked, untracked),
    unit: 'IOPS',
    budget: 'none: to be seen',
    met: null,
    bound: null,
    limit: 'The processor time that writer, agent and replication server share here',
  }
}

function costRow(who: string, share: number): Row {
  return {
    name: 'write_load',
    what: `processor time of the ${who} at 50 MB/s of random 4 KiB writes`,
    ...middleOf([share]),
    ...alone,
    unit: 'processor seconds a second',
    budget: 'none: to be seen',
    met: null,
    bound: null,
    limit: 'Work for each write, of which there are 12,200 a second, and not for each byte',
  }
}
