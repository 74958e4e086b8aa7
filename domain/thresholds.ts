/**
 * Lag and backlog that become too large, told when they cross a limit and again when they are well below it. In between nothing is told, so that
 * figures that swing around the limit do not make an event with every report.
 * @module
 */
import type { SourceServer } from './source_server.ts'
import { withEvent } from './source_server.ts'

/** Above these something is told; 0 for never. */
export interface Thresholds {
  lagMs: number
  backlogBytes: number
}

/** Nothing is told. */
export const noThresholds: Thresholds = { lagMs: 0, backlogBytes: 0 }

/** What was measured; `null` while nobody knows, as before the first copy is whole. */
export interface MeasuredFigures {
  lagMs: number | null
  backlogBytes: number | null
}

/** The share of a limit below which a figure counts as good again. */
const endShare = 0.5

/** The figures that have limits, each with its limit's name in {@link Thresholds}. */
const figures = { LAG: 'lagMs', BACKLOG: 'backlogBytes' } as const
type FigureName = keyof typeof figures

const words: Record<FigureName, (value: number) => string> = {
  LAG: (value) => `Lag of ${(value / 1000).toFixed(0)} s`,
  BACKLOG: (value) => `Backlog of ${(value / 2 ** 20).toFixed(0)} MiB`,
}

/** `server` with the events of the limits that `measured` crosses; the same object when it crosses none. Pure. */
export function withThresholds(
  server: SourceServer,
  measured: MeasuredFigures,
  thresholds: Thresholds,
  at: string,
): SourceServer {
  let next = server
  for (const name of Object.keys(figures) as FigureName[]) {
    const value = measured[figures[name]]
    const limit = thresholds[figures[name]]
    const isOver = next.replication.exceeded?.includes(name) ?? false
    if (value === null) continue
    if (!isOver && limit > 0 && value > limit) next = told(next, name, 'EXCEEDED', value, limit, at)
    // Without a limit nothing is too much.
    else if (isOver && (limit === 0 || value <= limit * endShare))
      next = told(next, name, 'OK', value, limit, at)
  }
  return next
}

/** `server` without figures that are told to be above their limit, each told to be that no more; the same object when there are none. Pure. */
export function withoutThresholds(server: SourceServer, because: string, at: string): SourceServer {
  const { exceeded = [], ...replication } = server.replication
  if (exceeded.length === 0) return server
  return exceeded.reduce<SourceServer>(
    (next, figure) =>
      withEvent(next, at, {
        type: 'THRESHOLD',
        message: `${because}; its ${figure.toLowerCase()} is not watched any more`,
        detail: { figure, state: 'OK', value: null, limit: null },
      }),
    { ...server, replication },
  )
}

function told(
  server: SourceServer,
  figure: FigureName,
  state: 'EXCEEDED' | 'OK',
  value: number,
  limit: number,
  at: string,
): SourceServer {
  const others = (server.replication.exceeded ?? []).filter((name) => name !== figure)
  const exceeded = state === 'EXCEEDED' ? [...others, figure] : others
  const { exceeded: _before, ...replication } = server.replication
  const changed = {
    ...server,
    replication: { ...replication, ...(exceeded.length === 0 ? {} : { exceeded }) },
  }
  const end = state === 'EXCEEDED' ? 'above' : 'well below'
  return withEvent(changed, at, {
    type: 'THRESHOLD',
    level: state === 'EXCEEDED' ? 'WARNING' : 'INFO',
    message:
      limit === 0
        ? `${words[figure](value)}: there is no limit any more`
        : `${words[figure](value)} is ${end} the limit of ${words[figure](limit).replace(/^.* of /, '')}`,
    detail: { figure, state, value, limit },
  })
}
