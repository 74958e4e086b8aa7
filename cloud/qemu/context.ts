/**
 * What every part of this cloud works with, made once per provider.
 * @module
 */
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
}

/** The context that follows from the settings. Touches nothing. */
export function contextOf(config: QemuConfig): QemuContext {
  return {
    config,
    layout: layoutOf(config.dataDir),
    tools: toolsOn(config.toolPath),
    kvmDevice: '/dev/kvm',
  }
}

/** The context of whoever runs machines of `dataDir` and no replication servers. Programs are looked for on `toolPath`. */
export function hostContext(dataDir: string, toolPath?: string): QemuContext {
  return contextOf(
    qemuConfigSchema.parse({
      dataDir,
      listenHost: '127.0.0.1',
      publicHost: '127.0.0.1',
      replicationPort: 0,
      redisUrl: 'unused:',
      ...(toolPath === undefined ? {} : { toolPath }),
    }),
  )
}
