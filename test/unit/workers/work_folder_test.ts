import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ownWorkFolder } from '../../../workers/conversion/work_folder.ts'

const now = new Date('2026-03-01T12:00:00Z')
let parent: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'rehost-work-'))
})
afterEach(() => rm(parent, { recursive: true, force: true }))

const ownerOf = (name: string, gone: string[]) => ({
  name,
  isGone: async (owner: string) => gone.includes(owner),
})

describe('ownWorkFolder()', () => {
  it('is kept while its worker lives, and removed with all that is in it by the next one after its death', async () => {
    const first = await ownWorkFolder(parent, ownerOf('host/a', []), now)
    await mkdir(join(first, 'appliance-1'))
    await writeFile(join(first, 'appliance-1/initrd'), 'half of it')
    await ownWorkFolder(parent, ownerOf('host/b', []), now)
    expect((await readdir(parent)).toSorted()).toEqual(['host_a', 'host_b'])
    await ownWorkFolder(parent, ownerOf('host/c', ['host/a']), now)
    expect((await readdir(parent)).toSorted()).toEqual(['host_b', 'host_c'])
  })

  it('of a worker that nobody can ask about is removed after a day', async () => {
    const stranger = await ownWorkFolder(parent, ownerOf('before the restart/a', []), now)
    const at = (agoMs: number) => new Date(now.getTime() - agoMs)
    await utimes(stranger, at(86_000_000), at(86_000_000))
    await ownWorkFolder(parent, ownerOf('host/b', []), now)
    expect((await readdir(parent)).length).toBe(2)
    await utimes(stranger, at(86_500_000), at(86_500_000))
    expect(await ownWorkFolder(parent, ownerOf('host/b', []), now)).toBe(join(parent, 'host_b'))
    expect(await readdir(parent)).toEqual(['host_b'])
  })
})
