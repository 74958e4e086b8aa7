/**
 * Sustained random writes on a tracked disk: how far the replica is behind, whether anything is lost, and what tracking costs the writer.
 * @module
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchContext } from '../context.ts'
import type { Row } from '../row.ts'
import type { Source } from '../service.ts'
import { run, until } from '../command.ts'
import { makeRandomFile } from '../disk_files.ts'
import { percentile } from '../row.ts'
import { Service } from '../service.ts'

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
    '--bs=4k',
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

/** The row `write_load`. */
export async function writeLoad(context: BenchContext): Promise<Row[]> {
  const { folder, sizeBytes, loadSeconds, say } = context
  const sourcePath = join(folder, 'loaded.img')
  await makeRandomFile(sourcePath, sizeBytes)
  const device = (await run('losetup', ['--find', '--show', '--direct-io=off', sourcePath])).stdout.trim()
  try {
    const untracked = await writeRandomly(device, loadSeconds, loadBytesPerSecond)
    const untrackedMost = await writeRandomly(device, loadSeconds / 3, undefined)
    const service = await Service.start(folder)
    try {
      const source = await service.addSource({ devices: [device] })
      await source.continuous()
      const [disk] = (await source.view()).disks
      if (disk?.tracker?.kind !== 'tracefs')
        throw new Error(`The disk is not tracked by tracefs: ${disk?.tracker?.reason ?? 'unknown'}`)
      const abort = new AbortController()
      const sampling = sampleLag(source, abort.signal)
      const tracked = await writeRandomly(device, loadSeconds, loadBytesPerSecond)
      abort.abort()
      const lags = await sampling
      await requireIdentical(source, service, device)
      const trackedMost = await writeRandomly(device, loadSeconds / 3, undefined)
      await requireIdentical(source, service, device)
      say(
        `  lag p50 ${percentile(lags, 0.5)} ms, most ${Math.max(...lags)} ms; writes ${untracked.toFixed(0)} and ${tracked.toFixed(0)} a second`,
      )
      return [lagRow(lags), iopsRow(untracked, tracked), mostRow(untrackedMost, trackedMost)]
    } finally {
      await service.stop()
    }
  } finally {
    await run('losetup', ['--detach', device])
    await rm(sourcePath)
  }
}

function lagRow(lags: readonly number[]): Row {
  const value = percentile(lags, 0.99)
  return {
    name: 'write_load',
    what: 'lag, 99th percentile, at 50 MB/s of random 4 KiB writes; the volume is identical afterwards',
    value,
    unit: 'ms',
    peer: null,
    peerValue: null,
    ratio: null,
    budget: `at most ${mostLagMs} ms`,
    met: value <= mostLagMs,
    runs: [percentile(lags, 0.5), percentile(lags, 0.9), Math.max(...lags)],
    limit:
      'processor time: each write of 4 KiB is traced, read, hashed, encrypted, verified and written again, on the cores that the writer uses too',
  }
}

function iopsRow(untracked: number, tracked: number): Row {
  return {
    name: 'write_load',
    what: 'writes a second at that load',
    value: tracked,
    unit: 'IOPS',
    peer: 'untracked',
    peerValue: untracked,
    ratio: tracked / untracked,
    budget: `at least ${leastIopsShare} ×`,
    met: tracked / untracked >= leastIopsShare,
    runs: [tracked],
    limit: 'the load itself: 12,200 writes a second',
  }
}

function mostRow(untracked: number, tracked: number): Row {
  return {
    name: 'write_load',
    what: 'most writes a second, with both ends of replication on the same two cores',
    value: tracked,
    unit: 'IOPS',
    peer: 'untracked',
    peerValue: untracked,
    ratio: tracked / untracked,
    budget: 'none: to be seen',
    met: true,
    runs: [tracked],
    limit: 'the processor time that writer, agent and replication server share here',
  }
}
