/**
 * Settings of the memory cloud.
 * @module
 */
import path from 'node:path'
import { z } from 'zod'

/** What the memory cloud needs to know. */
export const memoryConfigSchema = z.object({
  /** Disks are real files below it, so that conversion has paths to work on. */
  dataDir: z
    .string()
    .min(1)
    .transform((value) => path.resolve(value)),
  publicHost: z.string().min(1),
  replicationPort: z.number().int().min(0).max(65_535),
})
export type MemoryConfig = z.infer<typeof memoryConfigSchema>
