/**
 * The whole conversion: open, inspect, plan, apply, report.
 * @module
 */
import { Appliance } from './appliance.ts'
import type { ApplianceSettings } from './appliance.ts'
import { apply, pathsOf } from './apply.ts'
import { inspect } from './inspect.ts'
import { kept, plan } from './plan.ts'
import type { ConversionReport, DiskToConvert, TargetHardware } from './types.ts'

/** What a conversion needs. */
export interface ConversionInput {
  disks: readonly DiskToConvert[]
  target: TargetHardware
  appliance: ApplianceSettings
  signal: AbortSignal
  log: (line: string) => void
  /** Milliseconds from any point. */
  now: () => number
}

/**
 * Converts the disks in place: give it a throw-away view. An aborted or failed conversion leaves them half changed.
 * @throws PermanentError with a verdict when the guest can't be converted; nothing has been written then, unless the message names a
 *   change; ApplianceError when the appliance fails, which a retry may help; the signal's reason when aborted.
 */
export async function convert(input: ConversionInput): Promise<ConversionReport> {
  const { disks, target, signal, log, now } = input
  const begun = now()
  log('Opening the disks')
  const appliance = await Appliance.start(disks, input.appliance, signal, log)
  try {
    const launched = now()
    const guest = await inspect(appliance, disks, target)
    log(
      `Found ${guest.productName}, started by ${guest.bootLoader} (${guest.firmware}), network by ${guest.networkStack}`,
    )
    const { changes, warnings } = plan(guest, target)
    for (const warning of warnings) log(`Warning: ${warning}`)
    const planned = now()
    await apply(appliance, changes, log)
    await appliance.finish()
    const { files: _texts, ...found } = guest
    return {
      guest: found,
      changes: changes.map(({ name, what, because, operations }) => ({
        name,
        what,
        because,
        paths: operations.flatMap(pathsOf),
      })),
      warnings,
      kept,
      seconds: {
        launch: (launched - begun) / 1000,
        inspect: (planned - launched) / 1000,
        apply: (now() - planned) / 1000,
      },
    }
  } finally {
    await appliance.stop()
  }
}
