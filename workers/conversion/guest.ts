/**
 * Joins the conversion room to the step: where its appliance works, and what of its report the launch needs.
 * @module
 */
import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ApplianceSettings } from '../../conversion/appliance.ts'
import { convert } from '../../conversion/convert.ts'
import type { Convert } from './seam.ts'
import { withRoom } from './room.ts'

/**
 * The conversion of real guests, working in these folders. `accelerator` tells what machines of this host run with: asked anew each time,
 * because a machine that KVM lets down changes it.
 */
export function convertGuest(
  folders: Pick<ApplianceSettings, 'workDir' | 'cacheDir'>,
  environment: Record<string, string | undefined>,
  accelerator: () => Promise<'kvm' | 'tcg'>,
): Convert {
  return async ({ disks, target, signal, log }) => {
    await mkdir(folders.workDir, { recursive: true, mode: 0o700 })
    const appliance = { ...folders, accelerator: await accelerator(), environment }
    const filled = [...new Set([folders.workDir, ...disks.map(({ path }) => dirname(path))])]
    const report = await withRoom(filled, () =>
      convert({ disks, target, appliance, signal, log, now: () => performance.now() }),
    )
    // The job's page shows each change by its name and one sentence.
    const changes = report.changes.map((change) => ({
      ...change,
      detail: `${change.what}: ${change.because}`,
    }))
    return { firmware: report.guest.firmware, report: { ...report, changes } }
  }
}
