import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DataFolder } from '../../../bin/supervisor/data_folder.ts'
import { startHolder } from '../../fixtures/holder.ts'

let parent: string
let dataDir: string

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'rehost-folder-'))
  dataDir = join(parent, 'data')
})
afterEach(() => rm(parent, { recursive: true, force: true }))

describe('DataFolder', () => {
  it('is had by one of those who take it at the same time, and the others change nothing', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => DataFolder.take(dataDir)))
    const taken = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    expect(taken).toHaveLength(1)
    expect(await readFile(join(dataDir, 'supervisor.pid'), 'utf8')).toBe(String(process.pid))
    await taken[0]?.giveBack()
    expect(await readdir(dataDir)).toEqual([])
    await (await DataFolder.take(dataDir)).giveBack()
  })

  it('is the same folder under another name', async () => {
    const folder = await DataFolder.take(dataDir)
    const link = join(parent, 'link')
    await symlink(dataDir, link)
    await expect(DataFolder.take(link)).rejects.toThrow(
      `Rehost already runs on ${link} as process ${process.pid}: stop it, or set REHOST_DATA_DIR to another folder`,
    )
    await folder.giveBack()
  })

  it('says which variable names it where it cannot be made', async () => {
    await writeFile(dataDir, '')
    const problem = `Cannot make the data folder ${dataDir}; set REHOST_DATA_DIR to a folder that can be made`
    await expect(DataFolder.take(dataDir)).rejects.toThrow(problem)
  })

  it('is free once its holder is killed', async () => {
    const holder = await startHolder('folder_holder.ts', dataDir)
    try {
      await expect(DataFolder.take(dataDir)).rejects.toThrow(`as process ${holder.pid}`)
    } finally {
      await holder.kill()
    }
    const folder = await DataFolder.take(dataDir)
    expect(await readFile(join(dataDir, 'supervisor.pid'), 'utf8')).toBe(String(process.pid))
    await folder.giveBack()
  })

  it('is not held by a process that has got the number of a supervisor before it', async () => {
    const agent = spawn('sleep', ['600'], { argv0: 'bin/rehost.ts agent run' })
    try {
      await once(agent, 'spawn')
      await mkdir(dataDir)
      await writeFile(join(dataDir, 'supervisor.pid'), String(agent.pid))
      await (await DataFolder.take(dataDir)).giveBack()
    } finally {
      agent.kill('SIGKILL')
    }
  })

  it('can be emptied without others getting it', async () => {
    const folder = await DataFolder.take(dataDir)
    await mkdir(join(dataDir, 'cloud/volumes'), { recursive: true })
    await writeFile(join(dataDir, 'cloud/volumes/vol-1'), 'blocks')
    await folder.empty()
    expect(await readdir(dataDir)).toEqual(['supervisor.pid'])
    await expect(DataFolder.take(dataDir)).rejects.toThrow('already runs')
    await folder.giveBack()
  })
})
