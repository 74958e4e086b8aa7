import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { shortStart } from '../../../conversion/short_start.ts'

let folder: string
let supply: string
let cache: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rehost-short-start-'))
  supply = join(folder, 'guestfs', 'supermin.d')
  cache = join(folder, 'cache')
  mkdirSync(supply, { recursive: true })
  for (const name of ['base.tar.gz', 'daemon.tar.gz', 'init.tar.gz', 'packages'])
    writeFileSync(join(supply, name), name)
})
afterEach(() => rmSync(folder, { recursive: true }))

describe('shortStart()', () => {
  it("makes a supply of libguestfs's own parts with another start", async () => {
    const own = await shortStart(`/nowhere:${join(folder, 'guestfs')}`, cache)
    const parts = join(own ?? '', 'supermin.d')
    expect(readdirSync(parts).sort()).toEqual(['base.tar.gz', 'daemon.tar.gz', 'init.tar.gz', 'packages'])
    expect(readlinkSync(join(parts, 'base.tar.gz'))).toBe(join(supply, 'base.tar.gz'))
    const listed = execFileSync('tar', ['-tvzf', join(parts, 'init.tar.gz')]).toString()
    expect(listed).toMatch(/^-rwxr-xr-x root\/root .* init\n$/)
    execFileSync('tar', ['-C', folder, '-xzf', join(parts, 'init.tar.gz')])
    execFileSync('sh', ['-n', join(folder, 'init')])
  })

  it('makes it once, even when several ask at the same time', async () => {
    const path = join(folder, 'guestfs')
    const made = await Promise.all(Array.from({ length: 5 }, () => shortStart(path, cache)))
    expect(new Set([...made, await shortStart(path, cache)]).size).toBe(1)
    expect(readdirSync(cache)).toHaveLength(1)
  })

  it('leaves a finished appliance as it is', async () => {
    rmSync(join(supply, 'init.tar.gz'))
    expect(await shortStart(join(folder, 'guestfs'), cache)).toBeUndefined()
  })
})
