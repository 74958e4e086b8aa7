import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { NewToken } from '../../bin/commands/tokens.ts'
import { processLeftovers, stagingLeftovers } from '../../bin/demo/leftovers.ts'
import type { ServerView } from '../../bin/demo/service_view.ts'
import { layoutOf } from '../../cloud/qemu/layout.ts'
import { guestTree, identity } from '../fixtures/guest_tree.ts'
import { grubServer } from '../fixtures/guests.ts'
import { readmeCommand } from '../fixtures/readme.ts'
import { servicePlace } from '../fixtures/service_place.ts'
import { until } from '../fixtures/waiting.ts'

/**
 * README's way for who has no server at hand, command by command: a disk image becomes a machine that runs.
 */
const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const replicateMs = 300_000

let folder: string
let dataDir: string
let environment: Record<string, string | undefined>
let agentPort: string
const children: ChildProcess[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-image-'))
  dataDir = join(folder, '.rehost')
  await guestTree()
  await grubServer(join(folder, 'disk.img'))
  const place = await servicePlace()
  agentPort = place.REHOST_AGENT_PORT
  environment = { ...process.env, ...place }
})

afterAll(async () => {
  for (const child of children) await ended(child, 'SIGINT')
  expect(await processLeftovers(folder)).toEqual([])
  await rm(folder, { recursive: true, force: true })
})

/** The end of a process, which is told to unless it came to it: its exit code. */
async function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, 'exit')
    if (signal !== undefined) child.kill(signal)
    await exit
  }
  return child.exitCode
}

/** Runs a command of README that goes on and on; what it says. */
async function begin(words: string[]): Promise<{ child: ChildProcess; said: () => string }> {
  const [program = '', ...args] = words
  const child = spawn(join(root, program), args, {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  return { child, said: () => said }
}

/** Runs `bin/rehost` to its end; what it prints. */
async function rehost(...args: string[]): Promise<string> {
  return (await run(join(root, 'bin/rehost'), args, { cwd: folder, env: environment })).stdout
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** The serial log of the machine that `server` runs as. */
async function serialLog(server: ServerView | undefined): Promise<string> {
  const { machineId } = server?.launchedInstance ?? {}
  if (machineId === undefined) throw new Error('No machine was launched')
  return readFile(join(layoutOf(dataDir).machine(machineId), 'serial.log'), 'latin1')
}

it('takes a disk image from nothing to a machine that was cut over, by the commands of README', async () => {
  const service = await begin((await readmeCommand('bin/rehost up')).filter((word) => word !== '&'))
  await until('the service is up', async () => service.said().includes('Ctrl-C stops everything'))
  const { token } = JSON.parse(
    await rehost(...(await readmeCommand('bin/rehost token')).slice(1)),
  ) as NewToken
  const agentWords = (await readmeCommand('bin/rehost agent run')).map((word) =>
    word === '…' ? token : word.replace(':8443', `:${agentPort}`),
  )
  const agent = await begin([...agentWords, '--state-dir', join(folder, 'agent')])
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
  expect(await ended(agent.child)).toBe(0)
  expect(await ended(service.child, 'SIGINT')).toBe(0)
})
