/**
 * The accelerator of this host, for whoever starts a machine outside the cloud.
 * @module
 */
import { chooseAccelerator } from './accelerator.ts'
import type { Accelerator } from './accelerator.ts'
import { hostContext } from './context.ts'

/** What machines on this host are started with; the verdict is remembered under `dataDir`. Programs are looked for on `toolPath`. */
export function hostAccelerator(dataDir: string, toolPath?: string): Promise<Accelerator> {
  return chooseAccelerator(hostContext(dataDir, toolPath))
}
