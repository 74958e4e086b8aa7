import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '../../..')
const rehost = join(root, 'bin/rehost')
let folder: string

/** A folder that is first on PATH, with a `node` that nothing runs on. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-script-'))
  await writeFile(join(folder, 'node'), '#!/bin/sh\necho "the wrong Node" >&2\nexit 1\n')
  await chmod(join(folder, 'node'), 0o755)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const version = async (command: string): Promise<{ stdout: string; stderr: string }> => {
  const env = { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH']}` }
  await expect(promisify(execFile)('node', ['--version'], { env })).rejects.toThrow('the wrong Node')
  return promisify(execFile)(command, ['--version'], { env, timeout: 30_000 })
}

/** What the command line answers, whichever way it was found. */
const answer = async () => {
  const { version: own } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    version: string
  }
  return { stdout: `${own}\n`, stderr: '' }
}

describe('bin/rehost with a broken Node first on PATH', () => {
  it('runs on the Node of the installation', async () => {
    expect(await version(rehost)).toEqual(await answer())
  })

  it('finds its installation through a symlink to a relative symlink', async () => {
    await symlink(rehost, join(folder, 'rehost-here'))
    await symlink('rehost-here', join(folder, 'rehost'))
    expect(await version(join(folder, 'rehost'))).toEqual(await answer())
  })
})
