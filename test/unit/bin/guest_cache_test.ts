import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { removeOldGuests } from '../../../bin/demo/guest.ts'

const nowMs = Date.UTC(2030, 0, 2)
const hourMs = 3_600_000
let cacheDir: string

beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'rehost-cache-'))
})
afterEach(() => rm(cacheDir, { recursive: true, force: true }))

it('removeOldGuests() removes guests and unfinished ones that are older than a day, and nothing else', async () => {
  const ages = {
    'guest-05afc39a4ae9fb4d.raw': 0,
    'guest-1758f7b9cb3bfe32.raw': 23,
    'guest-3dd5497d2963a68e.raw': 25,
    'guest-c2606468629d2f7d.raw.building': 25,
    'guest-c2606468629d2f7e.raw.building': 1,
    'guest-tree-04e8a44e9e5d693c.ext4': 25,
    'bench-guest.raw': 25,
  }
  for (const [name, hours] of Object.entries(ages)) {
    const path = join(cacheDir, name)
    await writeFile(path, name)
    const madeAt = new Date(nowMs - hours * hourMs)
    await utimes(path, madeAt, madeAt)
  }
  await removeOldGuests(cacheDir, nowMs)
  expect((await readdir(cacheDir)).toSorted()).toEqual([
    'bench-guest.raw',
    'guest-05afc39a4ae9fb4d.raw',
    'guest-1758f7b9cb3bfe32.raw',
    'guest-c2606468629d2f7e.raw.building',
    'guest-tree-04e8a44e9e5d693c.ext4',
  ])
})
