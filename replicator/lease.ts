/**
 * Leases: one process of this host at a time may write a volume or a state directory.
 * @module
 */
import type { HostLease } from '../host/lease.ts'
import { takeHostLease } from '../host/lease.ts'

/** Takes the lease of `name`, which must be the same for every way to reach the thing. @throws Error when somebody else has it. */
export type TakeLease = (name: string) => Promise<HostLease>

/** See the module. */
export const takeLease: TakeLease = async (name) => {
  try {
    return await takeHostLease('replicator', name)
  } catch (cause) {
    throw new Error(
      'another replication server on this host has it; end that one first ("pgrep -af replicator" finds it)',
      { cause },
    )
  }
}
