/**
 * SELinux labels of files that conversion wrote.
 * @module
 */
import type { Change, Guest } from '../types.ts'

/** New files have no labels; SELinux would refuse them, so it is told to label everything at the first start. */
export function planRelabel(guest: Guest, changes: readonly Change[]): Change | undefined {
  const writes = changes.some(({ operations }) =>
    operations.some(({ kind }) => kind !== 'remove' && kind !== 'extendInitramfs'),
  )
  if (!guest.hasSelinux || !writes) return undefined
  return {
    name: 'selinux-relabel',
    what: 'Labels all files at the first start, which takes longer than usual',
    because: 'Files written here have no SELinux labels',
    operations: [{ kind: 'write', path: '/.autorelabel', text: '' }],
  }
}
