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
  /** Whether the worker that took a task as `owner` is known to have died. One of another host never is. */
  isGone: (owner: string) => Promise<boolean>
}

/** This process as a worker. It has its name until it dies. */
export async function becomeOwner(): Promise<Owner> {
  const host = await leaseHostId()
  const name = `${host}/${randomUUID()}`
  await takeHostLease('worker', name)
  return {
    name,
    isGone: async (owner) => {
      const [ownHost, process] = owner.split('/')
      return ownHost === host && process !== undefined && !(await isLeased('worker', `${host}/${process}`))
    },
  }
}
