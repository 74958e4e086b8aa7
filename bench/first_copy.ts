/**
 * The first copy of a disk, with a service and an agent of its own.
 * @module
 */
import type { Profiler } from './profiler.ts'
import type { Source } from './source.ts'
import { until } from './command.ts'
import { openLink, stagingAddress } from './link.ts'
import { Service } from './service.ts'

const firstByteTimeoutMs = 60_000

/** How a disk is copied. */
export interface FirstCopyOptions {
  folder: string
  device: string
  /** Blocks are not compressed, whatever that costs. Default: the agent finds out what is faster. */
  isCompressionOff?: boolean
  /** Takes a profile, from the first byte on. */
  profiler?: Profiler
  /** What disturbs it from the first byte on; answers with what ends that. */
  disturb?: () => { end(): void }
}

/** What a first copy took. */
export interface FirstCopy {
  seconds: number
  /** To the staging area, frame headers included; 0 where there is no link. */
  wireBytes: number
}

/** Waits until the copy is whole, looking on or disturbing as asked. */
async function copied(
  service: Service,
  source: Source,
  { profiler, disturb }: FirstCopyOptions,
  place: string,
): Promise<number> {
  if (profiler === undefined && disturb === undefined) return source.continuous()
  const isSending = async (): Promise<true | undefined> =>
    (await source.view()).lifecycle.firstByteAt === undefined ? undefined : true
  await until('its first byte was sent', firstByteTimeoutMs, isSending)
  const disturbance = disturb?.()
  try {
    if (profiler === undefined) return await source.continuous()
    return await profiler.during(
      `a first copy ${place}, from its first byte on`,
      () => source.continuous(),
      () => service.pidsWith(source),
    )
  } finally {
    disturbance?.end()
  }
}

/** Seconds from the first byte to the moment when all is durable. */
async function copySeconds(
  service: Service,
  options: FirstCopyOptions,
  { prefix, place }: { prefix: string[]; place: string },
): Promise<number> {
  const more = options.isCompressionOff === true ? ['--compression', 'off'] : []
  const source = await service.addSource({ devices: [options.device], prefix, more })
  const endedAtMs = await copied(service, source, options, place)
  const { firstByteAt } = (await source.view()).lifecycle
  if (firstByteAt === undefined) throw new Error('The server has no time of its first byte')
  return (endedAtMs - Date.parse(firstByteAt)) / 1000
}

/** Copies a disk, memory to memory. */
export async function firstCopy(options: FirstCopyOptions): Promise<FirstCopy> {
  const service = await Service.start(options.folder)
  try {
    return {
      seconds: await copySeconds(service, options, { prefix: [], place: 'memory to memory' }),
      wireBytes: 0,
    }
  } finally {
    await service.stop()
  }
}

/** Copies a disk over a link. */
export async function firstCopyOver(mbitPerSecond: number, options: FirstCopyOptions): Promise<FirstCopy> {
  const link = await openLink(mbitPerSecond)
  try {
    const service = await Service.start(options.folder, stagingAddress)
    try {
      const before = await link.bytes()
      const place = `over ${mbitPerSecond} Mbit/s`
      const seconds = await copySeconds(service, options, { prefix: link.prefix, place })
      return { seconds, wireBytes: (await link.bytes()).toStaging - before.toStaging }
    } finally {
      await service.stop()
    }
  } finally {
    await link.close()
  }
}
