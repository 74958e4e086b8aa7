import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ownWorkFolder } from '../../../workers/conversion/work_folder.ts'
import type { Fate } from '../../../workers/owner.ts'

const now = new Date()
let parent: string
let warnings: string[]

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'rehost-work-'))
  warnings = []
})
afterEach(() => rm(parent, { recursive: true, force: true }))

/** The folder of `name`, who thinks of the others so. */
const folderOf = (name: string, fates: Record<string, Fate> = {}) =>
  ownWorkFolder(parent, {
    owner: { name, fateOf: async (owner) => fates[owner] ?? 'UNKNOWN' },
    now,
    warn: (message) => warnings.push(message),
  })

async function age(folder: string, milliseconds: number): Promise<void> {
  const at = new Date(now.getTime() - milliseconds)
  await utimes(folder, at, at)
}

const names = async () => (await readdir(parent)).toSorted()

describe('ownWorkFolder()', () => {
  it('is kept while its worker lives, and removed with all that is in it by the next one after its death', async () => {
    const first = await folderOf('host/a')
    await mkdir(join(first, 'appliance-1'))
    await writeFile(join(first, 'appliance-1/initrd'), 'half of it')
    await age(first, 100_000_000)
    await folderOf('host/b', { 'host/a': 'ALIVE' })
    expect(await names()).toEqual(['host_a', 'host_b'])
    await folderOf('host/c', { 'host/a': 'GONE', 'host/b': 'ALIVE' })
    expect(await names()).toEqual(['host_b', 'host_c'])
    expect(warnings).toEqual([])
  })

  it('of a worker that nobody can ask about is removed after a day', async () => {
    const stranger = await folderOf('before the restart/a')
    await age(stranger, 86_000_000)
    await folderOf('host/b')
    expect(await names()).toEqual(['before the restart_a', 'host_b'])
    await age(stranger, 86_500_000)
    expect(await folderOf('host/b')).toBe(join(parent, 'host_b'))
    expect(await names()).toEqual(['host_b'])
  })

  it('is there although one that is left cannot be removed, which is told', async () => {
    await writeFile(join(parent, 'host_a'), '')
    const own = await ownWorkFolder(parent, {
      owner: { name: 'host/b', fateOf: () => Promise.reject(new Error('no answer')) },
      now,
      warn: (message) => warnings.push(message),
    })
    expect(await readdir(own)).toEqual([])
    expect(warnings).toEqual([`Cannot remove ${parent}/host_a, which a killed worker left: no answer`])
  })
})
