/**
 * What the convert step asks of the conversion room: disks in, a verdict and a report out.
 * @module
 */
import type { ConversionDisk, GuestHardware } from '../../cloud/provider.ts'

/** What the conversion room tells; kept whole for the job's page. */
export interface ConversionResult {
  /** How the machine must start. */
  firmware: 'BIOS' | 'UEFI'
  /** Everything found and done, for people. JSON. */
  report: unknown
}

/** A disk to convert and what the source calls it, e.g. `/dev/sdb`. */
export type DiskToConvert = ConversionDisk & { sourceDeviceName?: string | undefined }

/** Converts the disks in place. @throws PermanentError with a verdict when the guest can't be converted. */
export type Convert = (input: {
  disks: readonly DiskToConvert[]
  target: GuestHardware
  signal: AbortSignal
  log: (line: string) => void
}) => Promise<ConversionResult>
