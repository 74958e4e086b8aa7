/**
 * Who a worker is, so that another one of the same host can see that it has died: what it held is taken over at once then, and not only
 * when its lease has run out.
 * @module
 */
import { randomUUID } from 'node:crypto'
import { isLeased, leaseHostId, takeHostLease } from '../host/lease.ts'

/** A worker's name as leases of tasks have it: `host/process`, to which each run adds its number. */
export interface Owner {
  name: string
  /** What is known of the worker that took a task as `owner`. Of one of another host, or from before this one was started, nothing is. */
  fateOf: (owner: string) => Promise<Fate>
}

/** What is known of a worker. */
export type Fate = 'ALIVE' | 'GONE' | 'UNKNOWN'

/** This process as a worker. It has its name until it dies. */
export async function becomeOwner(): Promise<Owner> {
  const host = await leaseHostId()
  const name = `${host}/${randomUUID()}`
  await takeHostLease('worker', name)
  return {
    name,
    fateOf: async (owner) => {
      const [ownHost, process] = owner.split('/')
      if (ownHost !== host || process === undefined) return 'UNKNOWN'
      return (await isLeased('worker', `${host}/${process}`)) ? 'ALIVE' : 'GONE'
    },
  }
}
