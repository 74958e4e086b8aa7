/**
 * What every part of this cloud works with, made once per provider.
 * @module
 */
import type { CloudSettings } from '../factory.ts'
import { qemuConfigSchema, type QemuConfig } from './config.ts'
import { layoutOf, type Layout } from './layout.ts'
import { toolsOn, type Tools } from './tools.ts'

/** Settings, paths and programs of one QEMU cloud. */
export interface QemuContext {
  config: QemuConfig
  layout: Layout
  tools: Tools
  /** The device by which the kernel offers KVM. */
  kvmDevice: string
  /** Where this host keeps the kernels that it boots: KVM is tried with one. */
  kernelFolder: string
  /** A kernel comes to its end in two seconds with KVM, in four without; one that takes this long is no gain. */
  trialTimeoutMs: number
}

/** The context that follows from the settings. Touches nothing. */
export function contextOf(config: QemuConfig): QemuContext {
  return {
    config,
    layout: layoutOf(config.dataDir),
    tools: toolsOn(config.toolPath),
    kvmDevice: '/dev/kvm',
    kernelFolder: '/boot',
    trialTimeoutMs: 15_000,
  }
}

/** What of the settings matters to who only runs machines; the fields mean what they mean in `CloudSettings`. */
export type HostSettings = Pick<CloudSettings, 'dataDir' | 'toolPath' | 'accelerator'>

/** The context of whoever runs machines of `dataDir` and no replication servers. Programs are looked for on `toolPath`. */
export function hostContext({ dataDir, toolPath, accelerator }: HostSettings): QemuContext {
  return contextOf(
    qemuConfigSchema.parse({
      dataDir,
      listenHost: '127.0.0.1',
      publicHost: '127.0.0.1',
      replicationPort: 0,
      redisUrl: 'unused:',
      accelerator,
      toolPath,
    }),
  )
}
