/**
 * The accelerator of this host, for whoever starts a machine outside the cloud.
 * @module
 */
import { chooseAccelerator } from './accelerator.ts'
import type { Accelerator } from './accelerator.ts'
import { hostContext, type HostSettings } from './context.ts'

/** What machines on this host are started with; the verdict is remembered under `dataDir`. */
export function hostAccelerator(settings: HostSettings): Promise<Accelerator> {
  return chooseAccelerator(hostContext(settings))
}
