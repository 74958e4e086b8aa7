import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stagingLeftovers } from '../../bin/demo/leftovers.ts'
import type { ServerView } from '../../bin/demo/service_view.ts'
import { layoutOf } from '../../cloud/qemu/layout.ts'
import { identity } from '../fixtures/guest_tree.ts'
import { ImageMigration } from '../fixtures/image_migration.ts'
import { readmeCommand } from '../fixtures/readme.ts'
import { until } from '../fixtures/waiting.ts'

/**
 * README's way for who has no server at hand, command by command: a disk image becomes a machine that runs.
 */
const root = join(import.meta.dirname, '../..')
const replicateMs = 300_000

let migration: ImageMigration

beforeAll(async () => {
  migration = await ImageMigration.prepare()
})

afterAll(async () => {
  expect(await migration.stop()).toEqual([])
})

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** The serial log of the machine that `server` runs as. */
async function serialLog(server: ServerView | undefined): Promise<string> {
  const { machineId } = server?.launchedInstance ?? {}
  if (machineId === undefined) throw new Error('No machine was launched')
  return migration.serialLog(machineId)
}

it('takes a disk image from nothing to a machine that was cut over, by the commands of README', async () => {
  const service = await migration.startService()
  const agent = await migration.startAgent()
  const { dataDir, folder } = migration
  const rehost = (...args: string[]) => migration.rehost(...args)
  const list = async () => JSON.parse(await rehost('servers', '--json')) as ServerView[]
  const listed = await until(
    'the image is replicated',
    async () => (await list()).find(({ lifecycle }) => lifecycle.state === 'READY_FOR_TEST'),
    replicateMs,
    1000,
  )
  const id = listed.sourceServerId
  expect(await rehost('servers')).toContain(id)

  const [, ...testWords] = await readmeCommand('bin/rehost test')
  const tested = await rehost(...testWords.map((word) => (word === 's-…' ? id : word)))
  expect(tested).toContain(`${id}: TESTING`)
  const [server] = await list()
  expect(await serialLog(server)).toContain(`${identity.hostname} login:`)
  const { snapshots } = layoutOf(dataDir)
  const copies = (await readdir(snapshots)).filter((name) => name.endsWith('.raw'))
  expect(copies).toHaveLength(1)
  expect(await hashOf(join(snapshots, copies[0] ?? ''))).toBe(await hashOf(join(folder, 'disk.img')))

  const line = (await readFile(join(root, 'README.md'), 'utf8'))
    .split('\n')
    .find((candidate) => candidate.startsWith('bin/rehost test'))
  const then = /# then: (.*)$/.exec(line ?? '')?.[1]?.split(', ') ?? []
  expect(then.length).toBe(3)
  for (const step of then) {
    const [command = '', ...flags] = step.split(' ')
    await rehost(command, id, ...flags)
  }
  const [cutOver] = await list()
  expect(cutOver).toMatchObject({
    lifecycle: { state: 'CUTOVER' },
    replication: { state: 'DISCONNECTED' },
  })
  expect(await serialLog(cutOver)).toContain(`${identity.hostname} login:`)
  expect(await stagingLeftovers(dataDir)).toEqual([])
  // It was told to uninstall itself.
  expect(await migration.ended(agent)).toBe(0)
  expect(await migration.ended(service, 'SIGINT')).toBe(0)
})
