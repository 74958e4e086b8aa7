import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NoSpaceError } from '../../../cloud/qemu/space.ts'
import { PermanentError } from '../../../domain/errors.ts'
import { withRoom } from '../../../workers/conversion/room.ts'

const run = promisify(execFile)
let folder: string

/** A small file system of its own: mounting needs root. */
describe.runIf(process.getuid?.() === 0)('withRoom()', () => {
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rehost-room-'))
    await run('mount', ['-t', 'tmpfs', '-o', 'size=300m', 'rehost-test', folder])
  })
  afterEach(async () => {
    await run('umount', [folder])
    await rm(folder, { recursive: true })
  })

  const fill = (mebibytes: number) => writeFile(join(folder, 'full'), Buffer.alloc(mebibytes * 2 ** 20, 1))

  it('answers with what the work answers, and leaves its own trouble as it is', async () => {
    expect(await withRoom([folder], async () => 'done')).toBe('done')
    const verdict = new PermanentError('No boot loader')
    await expect(withRoom([folder], () => Promise.reject(verdict))).rejects.toBe(verdict)
  })

  it('does not begin where there is no room, and says what to do', async () => {
    await fill(100)
    let begun = false
    const work = async (): Promise<void> => {
      begun = true
    }
    await expect(withRoom(['/', folder], work)).rejects.toThrow(
      /^Cannot convert the disks: \S+ has 200 MiB free and 256 MiB are needed; free space there or move/,
    )
    expect(begun).toBe(false)
  })

  it('names a disk that filled up on the way instead of what the appliance said', async () => {
    const hung = new PermanentError('write /etc/fstab: no answer in 180 s')
    const work = async (): Promise<never> => {
      await fill(297)
      throw hung
    }
    const error: unknown = await withRoom([folder], work).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(NoSpaceError)
    expect((error as Error).message).toMatch(/^Cannot convert the disks: \S+ is full/)
    expect((error as Error).cause).toBe(hung)
  })
})
