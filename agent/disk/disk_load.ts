/**
 * How busy the source's disks are with what others do: the time that the kernel says writes take. The agent itself never writes to them, so its own
 * reading shows only where it makes others wait.
 * @module
 */

/** Where it looks. */
export interface DiskLoadContext {
  /** The text of /proc/diskstats. */
  readStatistics(): Promise<string>
  /** `8:0` for a block device; undefined for a file. */
  deviceNumberOf(deviceName: string): Promise<string | undefined>
}

/** The disk whose writes take longest. */
export interface SlowestWrites {
  deviceName: string
  /** Of one write, from being handed to the disk until it is done, on average since the last sample. */
  writeMs: number
}

/** Fewer writes than this tell nothing. */
const leastWrites = 5

interface Counters {
  writes: number
  writtenSectors: number
  writeMs: number
}

/** Completed writes, what they wrote and the milliseconds they took together, by device number. Lines of another shape are passed over. */
export function readDiskStatistics(text: string): Map<string, Counters> {
  const found = new Map<string, Counters>()
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/)
    const [writes = NaN, writtenSectors = NaN, writeMs = NaN] = [fields[7], fields[9], fields[10]].map(Number)
    if (fields.length >= 14 && [writes, writtenSectors, writeMs].every(Number.isFinite))
      found.set(`${fields[0]}:${fields[1]}`, { writes, writtenSectors, writeMs })
  }
  return found
}

/** Compares one sample with the next. */
export class DiskLoad {
  readonly #context: DiskLoadContext
  #before = new Map<string, Counters>()

  constructor(context: DiskLoadContext) {
    this.#context = context
  }

  /** The slowest of these disks since the last call; undefined where too little is written to tell, and at first. */
  async sample(deviceNames: readonly string[]): Promise<SlowestWrites | undefined> {
    const now = readDiskStatistics(await this.#context.readStatistics())
    const before = this.#before
    this.#before = now
    let slowest: SlowestWrites | undefined
    for (const deviceName of deviceNames) {
      const number = await this.#context.deviceNumberOf(deviceName)
      const [is, was] = [now.get(number ?? ''), before.get(number ?? '')]
      if (is === undefined || was === undefined || is.writes - was.writes < leastWrites) continue
      const writeMs = (is.writeMs - was.writeMs) / (is.writes - was.writes)
      if (slowest === undefined || writeMs > slowest.writeMs) slowest = { deviceName, writeMs }
    }
    return slowest
  }
}
