import { describe, expect, it } from 'vitest'
import { planFreeze } from '../../../agent/consistency/freeze_plan.ts'
import { btrfs, debian, rhel, treeFiles } from './captured_trees.ts'

describe('planFreeze()', () => {
  it('freezes the deepest first and the root last, and only flushes what cannot be frozen', async () => {
    expect(await planFreeze(treeFiles(rhel), new Set(['sda', 'sdb']))).toEqual({
      freeze: ['/boot', '/var', '/'],
      flushOnly: ['/boot/efi'],
    })
  })

  it('leaves out file systems on other disks, and those mounted read-only', async () => {
    expect(await planFreeze(treeFiles(rhel), new Set(['sdc']))).toEqual({ freeze: [], flushOnly: [] })
    expect(await planFreeze(treeFiles(rhel), new Set(['sda']))).toEqual({
      freeze: ['/boot', '/'],
      flushOnly: ['/boot/efi'],
    })
  })

  it('freezes a file system once, however often it is mounted', async () => {
    expect(await planFreeze(treeFiles(debian), new Set(['vda']))).toEqual({ freeze: ['/'], flushOnly: [] })
    expect(await planFreeze(treeFiles(btrfs), new Set(['vdb']))).toEqual({ freeze: ['/'], flushOnly: [] })
  })

  it('leaves out a mount that a later one hides', async () => {
    const hidden = {
      ...debian,
      '/proc/self/mountinfo': `${debian['/proc/self/mountinfo'] ?? ''}50 27 0:50 / / rw - tmpfs tmpfs rw\n`,
    }
    expect((await planFreeze(treeFiles(hidden), new Set(['vda']))).freeze).toEqual(['/mnt/same again'])
  })
})
