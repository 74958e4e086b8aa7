/**
 * Figures of one source server for telemetry: what became durable here, and what its agent last said of itself.
 * @module
 */
import type { Status } from '../wire/message.ts'
import type { ServerTelemetry } from '../wire/telemetry.ts'

/** How much of a second's figure goes into the smoothed throughput. */
const smoothing = 0.4

/** Counts since the replicator began to serve the server. */
export class ServerStats {
  readonly #durableByDisk = new Map<number, number>()
  #durableBytes = 0
  #wireBytes = 0
  #bytesPerSecond = 0
  #lastSample: { atMs: number; durableBytes: number } | undefined
  #status: Status | undefined

  addWire(bytes: number): void {
    this.#wireBytes += bytes
  }

  addDurable(diskIndex: number, bytes: number): void {
    this.#durableBytes += bytes
    this.#durableByDisk.set(diskIndex, (this.#durableByDisk.get(diskIndex) ?? 0) + bytes)
  }

  setStatus(status: Status): void {
    this.#status = status
  }

  /** The figures now; call it about once a second, as the throughput is measured between calls. */
  sample(
    sourceServerId: string,
    disks: readonly { diskIndex: number; sizeBytes: number }[],
    nowMs: number,
  ): ServerTelemetry {
    const last = this.#lastSample
    if (last !== undefined && nowMs > last.atMs) {
      const rate = ((this.#durableBytes - last.durableBytes) * 1000) / (nowMs - last.atMs)
      this.#bytesPerSecond += smoothing * (rate - this.#bytesPerSecond)
    }
    this.#lastSample = { atMs: nowMs, durableBytes: this.#durableBytes }
    const status = this.#status
    return {
      sourceServerId,
      at: new Date(nowMs).toISOString(),
      state: status?.state ?? 'INITIATING',
      lagMs: status?.lagMs ?? null,
      backlogBytes: status?.backlogBytes ?? 0,
      bytesPerSecond: Math.round(this.#bytesPerSecond),
      durableBytes: this.#durableBytes,
      wireBytes: this.#wireBytes,
      rescans: status?.disks.reduce((sum, disk) => sum + disk.rescans, 0) ?? 0,
      disks: disks.map(({ diskIndex, sizeBytes }) => {
        const said = status?.disks.find((disk) => disk.diskIndex === diskIndex)
        return {
          diskIndex,
          sizeBytes,
          scannedBytes: said?.scannedBytes ?? 0,
          backlogBytes: said?.backlogBytes ?? 0,
          durableBytes: this.#durableByDisk.get(diskIndex) ?? 0,
        }
      }),
    }
  }
}
