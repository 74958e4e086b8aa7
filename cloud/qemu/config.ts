/**
 * Settings of the QEMU cloud.
 * @module
 */
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const replicatorMain = fileURLToPath(new URL('../../replicator/main.ts', import.meta.url))

/**
 * Blocks come in buffers of 16 KiB that are garbage at once. A small young generation is collected often and cheaply, and frees them; with the
 * usual one, and little room for the old one, the whole heap was searched eight times a second: a third of all the processor time of a copy.
 */
const replicatorOptions = ['--max-semi-space-size=1', '--initial-old-space-size=64']

/** What the QEMU cloud needs to know; `CloudSettings` says what each field means. */
export const qemuConfigSchema = z.object({
  dataDir: z
    .string()
    .min(1)
    .transform((value) => path.resolve(value)),
  listenHost: z.string().min(1),
  publicHost: z.string().min(1),
  replicationPort: z.number().int().min(0).max(65_535),
  redisUrl: z.string().min(1),
  replicatorCommand: z
    .array(z.string())
    .min(1)
    .default([process.execPath, ...replicatorOptions, replicatorMain]),
  /** Where Node keeps what it has compiled: a process that finds it there starts in half the time. */
  compileCacheDir: z.string().optional(),
  toolPath: z.string().default('/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'),
  accelerator: z.enum(['auto', 'tcg']).default('auto'),
  minFreeBytes: z
    .number()
    .int()
    .min(0)
    .default(256 * 2 ** 20),
})
export type QemuConfig = z.infer<typeof qemuConfigSchema>
