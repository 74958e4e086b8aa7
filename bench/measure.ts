/**
 * Measures one row after the other. One that fails loses nothing of the others.
 * @module
 */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchContext } from './context.ts'
import type { FailedMeasurement, Measurement } from './figures.ts'
import type { Row, RowName } from './row.ts'
import { errorMessage } from '../domain/errors.ts'

/** What measures a row. */
export type Measure = (context: BenchContext) => Promise<Row[]>

/** What is the same for all rows of a run. */
export interface MeasuringContext {
  only: readonly RowName[]
  measures: Record<RowName, Measure>
  context: BenchContext
  about: Pick<Measurement, 'commit' | 'settings' | 'host' | 'parts'>
  /** Told of each row at once: whatever ends the run, the rows before are kept. */
  onOutcome(outcome: Measurement | FailedMeasurement): Promise<void>
}

/** Measures; each row has a folder of its own, so that one that fails leaves no memory taken. */
export async function measureRows(input: MeasuringContext): Promise<(Measurement | FailedMeasurement)[]> {
  const { only, measures, context, about, onOutcome } = input
  const outcomes: (Measurement | FailedMeasurement)[] = []
  for (const name of only) {
    context.say(`▶ ${name}`)
    const folder = join(context.folder, name)
    const begin = performance.now()
    const at = new Date().toISOString()
    const taken = () => ({ name, at, commit: about.commit, tookSeconds: (performance.now() - begin) / 1000 })
    let outcome: Measurement | FailedMeasurement
    try {
      await mkdir(folder)
      const rows = await measures[name]({ ...context, folder })
      outcome = { ...taken(), ...about, rows: requireFinite(rows), profiles: context.profiler.take() }
    } catch (error) {
      outcome = { ...taken(), reason: errorMessage(error) }
      context.profiler.take()
      context.say(`  FAILED after ${outcome.tookSeconds.toFixed(0)} s: ${outcome.reason}`)
    }
    await rm(folder, { recursive: true, force: true }).catch((error: unknown) => {
      context.say(`  Cannot remove ${folder}: ${errorMessage(error)}`)
    })
    outcomes.push(outcome)
    await onOutcome(outcome)
  }
  return outcomes
}

/** JSON has no other numbers: one would be read as missing. @throws Error naming the figure. */
function requireFinite(rows: Row[]): Row[] {
  for (const { what, value, peerValue, ratio, bound, runs } of rows) {
    const isFinite = [value, peerValue, ratio, bound?.value ?? null, ...runs].every(
      (each) => each === null || Number.isFinite(each),
    )
    if (!isFinite)
      throw new Error(`"${what}" was not measured: value ${value}, peer ${peerValue}, ratio ${ratio}`)
  }
  return rows
}
