/**
 * Figures of a first copy, collected in the server's item with writes that are made anyway: none is made for them, so they are as fine as those
 * writes, some seconds, and survive every restart. Counters of the agent begin anew with each of its runs; sums over the runs are kept. What an
 * agent counted after its last written report and before it died is not in them.
 * @module
 */
import type { Allowance } from './bandwidth.ts'
import type { SourceServer } from './source_server.ts'
import type { RunCounter, SyncFigures } from './replication_record.ts'
import { heldBackUntil } from './held_back.ts'
import { usageOfCopied } from './inventory.ts'
import { makeRecord } from './initial_replication.ts'

/** What a heartbeat says of it. */
export interface CountedReport {
  generation: number
  /** Payload as it crossed the wire since the agent started. */
  sentBytes?: number | undefined
  /** Bytes of blocks that changed since the agent started. */
  changedBytes?: number | undefined
  /** What the server may send from now on, as the gateway answers to it. */
  allowance?: Allowance | undefined
}

/** Speeds are those of stretches of at least this length: shorter ones say how acknowledgements come, not what the link carries. */
const leastStretchMs = 5000

/**
 * `server`, which `report` is about to be written of, with the figures up to it; with its record once the first copy is over. The same object when
 * there is nothing to collect.
 */
export function withSyncFigures(server: SourceServer, report: CountedReport, at: string): SourceServer {
  const { initialReplication: known, lifecycle } = server
  if (known !== undefined && known.state !== 'COPYING') return server
  const isReadyNow = lifecycle.readyForTestAt === at
  const isCopying = lifecycle.state === 'NOT_READY' && lifecycle.firstByteAt !== undefined
  if (!isReadyNow && !isCopying) return server
  const figures = figuresAfter(known?.figures, server, report, at)
  return {
    ...server,
    initialReplication: isReadyNow
      ? { state: 'READY', record: makeRecord(server, at, figures) }
      : { state: 'COPYING', figures },
  }
}

function figuresAfter(
  known: SyncFigures | undefined,
  server: SourceServer,
  report: CountedReport,
  at: string,
): SyncFigures {
  const { generation, sentBytes = 0, changedBytes } = report
  const wire = counted(known?.wire, generation, sentBytes)
  const changed =
    changedBytes === undefined ? known?.changed : counted(known?.changed, generation, changedBytes)
  const replicatedBytes = server.disks.reduce((sum, disk) => sum + disk.replicatedBytes, 0)
  const usage = known?.usage ?? usageOfCopied(server)
  const here = { at, replicatedBytes, wireBytes: wire.totalBytes }
  const isPaused = server.agent.desired === 'PAUSE'
  const heldBack = heldBackUntil(known?.heldBack, here, report.allowance, isPaused)
  return {
    wire,
    ...(heldBack === undefined ? {} : { heldBack }),
    ...(changed === undefined ? {} : { changed }),
    ...stretch(known, here),
    ...(usage === undefined ? {} : { usage }),
    disks: server.disks.map((disk) => {
      const seen = known?.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)
      const startedAt = seen?.startedAt ?? (disk.replicatedBytes > 0 ? at : undefined)
      const isWhole = disk.backlogBytes === 0 && disk.replicatedBytes >= disk.sizeBytes
      const copiedAt = seen?.copiedAt ?? (isWhole ? at : undefined)
      return {
        diskIndex: disk.diskIndex,
        ...(startedAt === undefined ? {} : { startedAt }),
        ...(copiedAt === undefined ? {} : { copiedAt }),
      }
    }),
  }
}

function counted(known: RunCounter | undefined, generation: number, runBytes: number): RunCounter {
  const before = known?.generation === generation ? known.runBytes : 0
  return {
    generation,
    runBytes,
    totalBytes: (known?.totalBytes ?? 0) + Math.max(0, runBytes - before),
  }
}

/** The stretch under way, or the next one when this is long enough to be a speed. */
function stretch(
  known: SyncFigures | undefined,
  here: SyncFigures['mark'],
): Pick<SyncFigures, 'mark' | 'peakBytesPerSecond' | 'peakWireBytesPerSecond'> {
  if (known === undefined) return { mark: here, peakBytesPerSecond: 0, peakWireBytesPerSecond: 0 }
  const { mark, peakBytesPerSecond, peakWireBytesPerSecond } = known
  const elapsedMs = Date.parse(here.at) - Date.parse(mark.at)
  // A clock that was set back: the stretch begins again.
  if (elapsedMs < 0) return { mark: here, peakBytesPerSecond, peakWireBytesPerSecond }
  if (elapsedMs < leastStretchMs) return { mark, peakBytesPerSecond, peakWireBytesPerSecond }
  const perSecond = (bytes: number): number => Math.round((bytes * 1000) / elapsedMs)
  return {
    mark: here,
    peakBytesPerSecond: Math.max(peakBytesPerSecond, perSecond(here.replicatedBytes - mark.replicatedBytes)),
    peakWireBytesPerSecond: Math.max(peakWireBytesPerSecond, perSecond(here.wireBytes - mark.wireBytes)),
  }
}
