/**
 * Joins the conversion room to the step: where its appliance works, and what of its report the launch needs.
 * @module
 */
import { access, constants } from 'node:fs/promises'
import { convert } from '../../conversion/convert.ts'
import type { Convert } from './seam.ts'

/** Whether hardware virtualization may be tried; libguestfs falls back by itself only where the device is missing. */
async function hasKvm(): Promise<boolean> {
  return access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
}

/** The conversion of real guests, working in `workDir`. */
export function convertGuest(workDir: string, environment: Record<string, string | undefined>): Convert {
  return async ({ disks, target, signal, log }) => {
    const report = await convert({
      disks,
      target,
      appliance: { workDir, forceTcg: !(await hasKvm()), environment },
      signal,
      log,
      now: () => performance.now(),
    })
    // The job's page shows each change by its name and one sentence.
    const changes = report.changes.map((change) => ({
      ...change,
      detail: `${change.what}: ${change.because}`,
    }))
    return { firmware: report.guest.firmware, report: { ...report, changes } }
  }
}
