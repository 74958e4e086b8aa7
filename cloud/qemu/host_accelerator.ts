/**
 * The accelerator of this host, for whoever starts a machine outside the cloud.
 * @module
 */
import { chooseAccelerator } from './accelerator.ts'
import type { Accelerator } from './accelerator.ts'
import { qemuConfigSchema } from './config.ts'
import { contextOf } from './context.ts'

/** What machines on this host are started with; the verdict is remembered under `dataDir`. Programs are looked for on `toolPath`. */
export function hostAccelerator(dataDir: string, toolPath?: string): Promise<Accelerator> {
  const config = qemuConfigSchema.parse({
    dataDir,
    listenHost: '127.0.0.1',
    publicHost: '127.0.0.1',
    replicationPort: 0,
    redisUrl: 'unused:',
    ...(toolPath === undefined ? {} : { toolPath }),
  })
  return chooseAccelerator(contextOf(config))
}
