/**
 * What an agent notes for the shutdown of this boot, in its folder in `/run`: the program that seals finds everything there.
 * @module
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { sealPlacesSchema } from './seal_file.ts'
import { sealedRecordSchema } from './sealed_record.ts'

/** Beside the agent's folder: that one is emptied when nothing is tracked. */
function planPath(folder: string, key: string): string {
  return join(folder, `${key}${planSuffix}`)
}

/** How the names of these files end. */
export const planSuffix = '.reboot'

const sealPlanSchema = z.object({
  ...sealedRecordSchema.pick({ bootId: true, token: true }).shape,
  places: sealPlacesSchema,
})
/** What a shutdown needs. */
export type SealPlan = z.infer<typeof sealPlanSchema>

/** Notes it in `folder` for the agent named `key`, in one step. */
export function writePlan(folder: string, key: string, plan: SealPlan): void {
  const path = planPath(folder, key)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(`${path}.new`, JSON.stringify(plan), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** @throws Error when there is none. */
export function readPlan(folder: string, key: string): SealPlan {
  return sealPlanSchema.parse(JSON.parse(readFileSync(planPath(folder, key), 'utf8')))
}

/** A shutdown seals nothing. */
export function removePlan(folder: string, key: string): void {
  rmSync(planPath(folder, key), { force: true })
}
