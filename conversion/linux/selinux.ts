/**
 * SELinux labels of files that conversion made.
 * @module
 */
import { dirname } from 'node:path'
import type { Change, Guest, Operation } from '../types.ts'

/** The path that an operation may have made. */
function madeBy(operation: Operation): string[] {
  switch (operation.kind) {
    case 'write':
    case 'link':
      return [operation.path]
    case 'rename':
    case 'copy':
      return [operation.to]
    default:
      return []
  }
}

/**
 * Made without SELinux, files have no labels, and SELinux would refuse them. They get those of the folders they are in, as if the guest
 * itself had made them; labelling everything at the first start would take minutes and another start.
 */
export function planLabels(guest: Guest, changes: readonly Change[]): Change | undefined {
  const made = changes.flatMap(({ operations }) => operations.flatMap(madeBy))
  if (!guest.hasSelinux || made.length === 0) return undefined
  const paths = new Set(made.flatMap((path) => [dirname(path), path]))
  return {
    name: 'selinux-labels',
    what: 'Gives new files the SELinux labels of their folders',
    because: 'The guest would not be let at files without labels',
    operations: [...paths].map((path) => ({ kind: 'label', path })),
  }
}
