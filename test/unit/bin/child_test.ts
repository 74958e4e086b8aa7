import { mkdtemp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SupervisedChild } from '../../../bin/supervisor/child.ts'
import { until } from '../../fixtures/waiting.ts'

let folder: string
let logFile: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-child-'))
  logFile = join(folder, 'child.log')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('SupervisedChild', () => {
  it('runs on, as its supervisor does, while its log cannot be written, and logs again afterwards', async () => {
    // Every write to it fails as on a full disk.
    await symlink('/dev/full', logFile)
    const said: string[] = []
    // More than a pipe holds: it would stand still if nobody read on.
    const script = `head -c 300000 /dev/zero | tr '\\0' x; touch '${folder}/ready'; while :; do echo still here; sleep 0.05; done`
    const child = new SupervisedChild(
      {
        name: 'talker',
        command: 'sh',
        args: ['-c', script],
        environment: process.env,
        logFile,
        isReady: () =>
          readFile(join(folder, 'ready')).then(
            () => true,
            () => false,
          ),
      },
      (line) => said.push(line),
    )
    try {
      await child.start()
      expect(said).toEqual([expect.stringMatching(/^Cannot write .*child\.log, lines are missing.*ENOSPC/)])
      await rename(logFile, join(folder, 'full'))
      await until('it logs again', async () =>
        (await readFile(logFile, 'utf8').catch(() => '')).includes('still here\n'),
      )
      expect(child.pid).toBeGreaterThan(0)
      expect(said).toHaveLength(1)
    } finally {
      await child.stop()
    }
  })

  it('that does not come up is told with what it said this time, not with what earlier starts said', async () => {
    const started = (script: string) =>
      new SupervisedChild(
        {
          name: 'gateway',
          command: 'sh',
          args: ['-c', script],
          environment: process.env,
          logFile,
          isReady: () => Promise.resolve(false),
        },
        () => undefined,
      ).start()
    const beginning = `Cannot start gateway; the end of ${logFile}:\n`
    await expect(started('echo The password is short; exit 1')).rejects.toThrow(
      new Error(`${beginning}The password is short`),
    )
    await expect(started('echo The port is taken; exit 1')).rejects.toThrow(
      new Error(`${beginning}The port is taken`),
    )
    await expect(started('exit 1')).rejects.toThrow(new Error(`${beginning}It has logged nothing`))
  })
})
