/**
 * The figures that a report is made of, in a file beside it: each row as it was measured last, whenever and on whatever machine that was, so that a
 * single row can be measured again without losing the others.
 * @module
 */
import { readFile, rename, writeFile } from 'node:fs/promises'
import * as z from 'zod'
import { errorMessage } from '../domain/errors.ts'
import { rowNames } from './row.ts'

const rowSchema = z.strictObject({
  name: z.enum(rowNames),
  what: z.string(),
  value: z.number(),
  runs: z.array(z.number()),
  how: z.string(),
  unit: z.string(),
  peer: z.string().nullable(),
  peerValue: z.number().nullable(),
  ratio: z.number().nullable(),
  budget: z.string(),
  met: z.boolean().nullable(),
  bound: z.strictObject({ kind: z.enum(['MOST', 'LEAST']), value: z.number() }).nullable(),
  limit: z.string(),
})

const hostSchema = z.strictObject({
  processor: z.string(),
  cores: z.number(),
  memoryGib: z.number(),
  kernel: z.string(),
  node: z.string(),
  peers: z.array(z.string()),
})

const partsSchema = z.strictObject({
  cores: z.number(),
  read: z.number(),
  write: z.number(),
  blake3: z.number(),
  aesGcm: z.number(),
  loopback: z.number(),
})

const profileSchema = z.strictObject({
  what: z.string(),
  seconds: z.number(),
  processes: z.array(z.string()),
  kinds: z.array(z.strictObject({ name: z.string(), percents: z.array(z.number()) })),
  busiestThreads: z.array(z.strictObject({ process: z.string(), percent: z.number() })).optional(),
})

const takenSchema = z.strictObject({
  name: z.enum(rowNames),
  /** When measuring began. */
  at: z.iso.datetime(),
  commit: z.string(),
  tookSeconds: z.number(),
})

const measurementSchema = takenSchema.extend({
  settings: z.strictObject({ runs: z.int(), sizeMib: z.number(), loadSeconds: z.int() }),
  host: hostSchema,
  parts: partsSchema,
  rows: z.array(rowSchema).min(1),
  /** Where the processor time went; none where `perf` could not be run. */
  profiles: z.array(profileSchema),
})
const failureSchema = takenSchema.extend({ reason: z.string() })
const figuresSchema = z.strictObject({
  measurements: z.array(measurementSchema),
  failures: z.array(failureSchema),
})

/** One row of the budget table as it was measured, with what its figures depend on. */
export type Measurement = z.infer<typeof measurementSchema>
/** An attempt at a row that ended with an error. */
export type FailedMeasurement = z.infer<typeof failureSchema>
/** Of each row the last measurement, and the attempt after it if that failed. */
export type Figures = z.infer<typeof figuresSchema>

/** Where the figures of a report stand. */
export function figuresPath(reportPath: string): string {
  return reportPath.replace(/\.md$/, '.json')
}

/** What a report has so far; nothing where there is none. @throws Error saying what to do with a file that can't be used. */
export async function readFigures(path: string): Promise<Figures> {
  try {
    return figuresSchema.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      return { measurements: [], failures: [] }
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : errorMessage(error)
    throw new Error(
      `Cannot go on from the figures in ${path}: ${reason}. Measure every row anew after removing that file, or write no report: --report none`,
      { cause: error },
    )
  }
}

/** Writes them so that a run that is broken off leaves the old or the new ones. */
export async function writeFigures(path: string, figures: Figures): Promise<void> {
  await writeFile(`${path}.new`, `${JSON.stringify(figures, null, 2)}\n`)
  await rename(`${path}.new`, path)
}

/** `figures` after another attempt at a row: what it measured takes the place of what there was; a failure stands beside it. */
export function withOutcome(figures: Figures, outcome: Measurement | FailedMeasurement): Figures {
  const { name } = outcome
  const isOther = (entry: { name: string }): boolean => entry.name !== name
  const inOrder = <T extends { name: (typeof rowNames)[number] }>(entries: T[]): T[] =>
    entries.toSorted((left, right) => rowNames.indexOf(left.name) - rowNames.indexOf(right.name))
  const failures = figures.failures.filter(isOther)
  if ('reason' in outcome) return { ...figures, failures: inOrder([...failures, outcome]) }
  return { measurements: inOrder([...figures.measurements.filter(isOther), outcome]), failures }
}
