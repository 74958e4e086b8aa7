/**
 * The first copy of a disk, with a service and an agent of its own.
 * @module
 */
import type { Profiler } from './profiler.ts'
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
}

/** What a first copy took. */
export interface FirstCopy {
  seconds: number
  /** To the staging area, frame headers included; 0 where there is no link. */
  wireBytes: number
}

/** Seconds from the first byte to the moment when all is durable. */
async function copySeconds(
  service: Service,
  { device, isCompressionOff = false, profiler }: FirstCopyOptions,
  prefix: string[],
): Promise<number> {
  const more = isCompressionOff ? ['--compression', 'off'] : []
  const source = await service.addSource({ devices: [device], prefix, more })
  if (profiler !== undefined) {
    const isSending = async (): Promise<true | undefined> =>
      (await source.view()).lifecycle.firstByteAt === undefined ? undefined : true
    await until('its first byte was sent', firstByteTimeoutMs, isSending)
    await profiler.during(
      'from the first byte on',
      () => source.continuous(),
      () => service.pidsWith(source),
    )
  }
  const endedAtMs = await source.continuous()
  const { firstByteAt } = (await source.view()).lifecycle
  if (firstByteAt === undefined) throw new Error('The server has no time of its first byte')
  return (endedAtMs - Date.parse(firstByteAt)) / 1000
}

/** Copies a disk, memory to memory. */
export async function firstCopy(options: FirstCopyOptions): Promise<FirstCopy> {
  const service = await Service.start(options.folder)
  try {
    return { seconds: await copySeconds(service, options, []), wireBytes: 0 }
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
      const seconds = await copySeconds(service, options, link.prefix)
      return { seconds, wireBytes: (await link.bytes()).toStaging - before.toStaging }
    } finally {
      await service.stop()
    }
  } finally {
    await link.close()
  }
}
