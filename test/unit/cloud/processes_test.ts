/**
 * Processes that live on: found again, never mistaken, ended for good. And the lock that a killed process gives back.
 * @module
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { withLock } from '../../../cloud/qemu/lock.ts'
import { processState, startDetached, stopProcess } from '../../../cloud/qemu/processes.ts'
import { stopEverything } from '../../../cloud/qemu/service_stops.ts'
import { createProvider } from '../../../cloud/registry.ts'
import { newId } from '../../../domain/ids.ts'
import { startHolder } from '../../fixtures/holder.ts'
import { processesBelow, qemuContext, qemuSettings } from '../../fixtures/qemu_cloud.ts'
import { until } from '../../fixtures/waiting.ts'

let folder: string
const enrolment = { gatewayUrl: 'https://127.0.0.1:8443', caPem: 'certificate', token: 'sesame' }

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'rehost-processes-'))
})
afterEach(async () => {
  await stopEverything(folder)
  await rm(folder, { recursive: true, force: true })
})

const sleeper = () => ({ folder, command: ['/bin/sleep', '600'], environment: {} })

test('startDetached() leaves a process that any other finds by its folder', async () => {
  const { tools } = qemuContext(folder)
  await startDetached(sleeper(), tools)
  const { pid } = await processState(folder)
  expect(pid).toBeDefined()
  await until('it has become the program', async () => {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8')
    return commandLine === '/bin/sleep\x00600\x00'
  })
  await stopProcess(folder, 'The test is over')
  expect(await processState(folder)).toEqual({ stopReason: 'The test is over' })
  await stopProcess(folder, 'again')
  expect(await processState(folder)).toEqual({ stopReason: 'The test is over' })
})

test('startDetached() tells why a program did not start', async () => {
  const { tools } = qemuContext(folder)
  const missing = { folder, command: ['/nowhere/program'], environment: {} }
  await startDetached(missing, tools).catch((error: unknown) => {
    expect(String(error)).toContain('/nowhere/program')
  })
  await until('it is seen to be gone', async () => (await processState(folder)).pid === undefined)
  expect(await readFile(path.join(folder, 'log'), 'utf8')).toContain('/nowhere/program')
})

describe('a starter that is too slow', () => {
  /** A folder of its own, as `processesBelow` looks below the data folder. */
  const home = () => path.join(folder, 'home')
  const program = () => ({ ...sleeper(), folder: home() })
  const go = () => path.join(folder, 'go')
  const started = () => path.join(folder, 'started')

  afterEach(() => stopProcess(home(), 'The test is over'))

  /**
   * A path on which `sh` says that it is there and does what it is told once the file `go` is. It waits without a child, as a starter
   * has none: one would be seen for a moment after its parent's end.
   */
  async function slowShell(): Promise<string> {
    const tools = path.join(folder, 'tools')
    await mkdir(tools)
    await mkdir(home())
    const script = `#!/bin/sh\necho > ${started()}\nuntil [ -e ${go()} ]; do :; done\nexec /bin/sh "$@"\n`
    await writeFile(path.join(tools, 'sh'), script, { mode: 0o755 })
    return `${tools}:/usr/bin:/bin`
  }

  /** One whose caller was killed while it waited. */
  async function orphan(toolPath: string): Promise<void> {
    const fixture = fileURLToPath(new URL('../../fixtures/start_holder.ts', import.meta.url))
    const holder = spawn(process.execPath, [fixture, home(), toolPath])
    await until('the starter is there', async () =>
      access(started()).then(
        () => true,
        () => false,
      ),
    )
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    await rm(started())
  }

  test('is ended before its caller is told, so that it never becomes the program', async () => {
    const { tools } = qemuContext(folder, { toolPath: await slowShell() })
    await expect(startDetached(program(), tools, 300)).rejects.toThrow(
      'Cannot start /bin/sleep: it was not under way in 0.3 s',
    )
    expect(await processesBelow(folder)).toEqual([])
    await writeFile(go(), '')
    await startDetached(program(), tools)
    const { pid } = await processState(home())
    expect(await processesBelow(folder)).toEqual([pid])
  })

  test('is told of when it ends between its pid and the word to go on', async () => {
    const tools = path.join(folder, 'tools')
    await mkdir(tools)
    await mkdir(home())
    const writePid = `read -r boot < /proc/sys/kernel/random/boot_id; read -r stat < /proc/$$/stat; printf '%s\\n%s\\n' "$boot" "$stat" > pid`
    await writeFile(path.join(tools, 'sh'), `#!/bin/sh\nexec 0<&-\n${writePid}\n`, { mode: 0o755 })
    const context = qemuContext(folder, { toolPath: `${tools}:/usr/bin:/bin` })
    await expect(startDetached(program(), context.tools)).rejects.toThrow(
      'Cannot start /bin/sleep: it ended too early (',
    )
  })

  test('never becomes the program when its caller has died', async () => {
    await orphan(await slowShell())
    await writeFile(go(), '')
    await until('it has ended', async () => (await processesBelow(folder)).length === 0)
    expect(await readFile(path.join(home(), 'pid'), 'utf8')).toMatch(/\(sh\) /)
    expect(await processState(home())).toEqual({})
  })

  test('ends itself where another has become the program meanwhile', async () => {
    await orphan(await slowShell())
    await startDetached(program(), qemuContext(folder).tools)
    const { pid } = await processState(home())
    await writeFile(go(), '')
    await until('only the program is left', async () => (await processesBelow(folder)).length === 1)
    expect(await processesBelow(folder)).toEqual([pid])
    expect(await processState(home())).toEqual({ pid })
  })

  test('is ended where it comes before a later one', async () => {
    const toolPath = await slowShell()
    await orphan(toolPath)
    const later = path.join(folder, 'later')
    await mkdir(later)
    await writeFile(path.join(later, 'sh'), `#!/bin/sh\necho > ${started()}\nexec sleep 600\n`, {
      mode: 0o755,
    })
    const { tools } = qemuContext(folder, { toolPath: `${later}:/usr/bin:/bin` })
    const start = startDetached(program(), tools, 60_000)
    const refused = expect(start).rejects.toThrow('one of an earlier start came first and was ended')
    await until('the later one is there', async () =>
      access(started()).then(
        () => true,
        () => false,
      ),
    )
    await writeFile(go(), '')
    await refused
    expect(await processesBelow(folder)).toEqual([])
  })
})

test('a process that got the pid of another is never taken for it, nor ended', async () => {
  const { tools } = qemuContext(folder)
  await startDetached(sleeper(), tools)
  const file = path.join(folder, 'pid')
  const genuine = await readFile(file, 'utf8')
  const [bootId = '', line = ''] = genuine.split('\n')
  const { pid } = await processState(folder)

  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  fields[19] = String(Number(fields[19]) + 1)
  const startedLater = `${line.slice(0, line.lastIndexOf(')') + 2)}${fields.join(' ')}`
  const earlierBoot = '00000000-0000-4000-8000-000000000000'
  for (const forged of [`${bootId}\n${startedLater}\n`, `${earlierBoot}\n${line}\n`, `${bootId}\n`, '']) {
    await writeFile(file, forged)
    expect(await processState(folder)).toEqual({})
    await stopProcess(folder, 'no')
    await access(`/proc/${pid}/stat`)
  }
  await writeFile(file, genuine)
  await stopProcess(folder, 'yes')
  await expect(access(`/proc/${pid}/stat`)).rejects.toThrow('ENOENT')
})

test('stopProcess() kills what does not end in order', async () => {
  const provider = createProvider('qemu', qemuSettings(folder))
  const replicationServerId = newId('replicationServer')
  const stubborn = { ...enrolment, token: 'ignore-sigterm' }
  await provider.createReplicationServer({ replicationServerId, enrolment: stubborn, tags: {} })
  await startsOf(replicationServerId)
  await provider.removeReplicationServer(replicationServerId)
  expect(await processesBelow(folder)).toEqual([])
  expect(await provider.describeReplicationServer(replicationServerId)).toBeUndefined()
})

test('stopEverything() ends replication servers, and a restart brings them back with the same settings', async () => {
  const provider = createProvider('qemu', qemuSettings(folder))
  const ids = [newId('replicationServer'), newId('replicationServer')]
  for (const replicationServerId of ids) {
    await provider.createReplicationServer({ replicationServerId, enrolment, tags: {} })
    await startsOf(replicationServerId)
  }
  const bystander = spawn('/bin/sleep', ['600'], { cwd: folder })
  await once(bystander, 'spawn')
  expect((await stopEverything(folder)).map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
  expect(await stopEverything(folder)).toEqual([])
  expect(bystander.exitCode).toBeNull()
  bystander.kill()

  const [id = newId('replicationServer')] = ids
  expect(await provider.describeReplicationServer(id)).toMatchObject({
    state: 'STOPPED',
    stateReason: 'Rehost was stopped',
  })
  await provider.restartReplicationServer(id)
  const starts = await startsOf(id, 2)
  const { pid: _first, ...before } = starts[0] ?? {}
  const { pid: _second, ...after } = starts[1] ?? {}
  expect(after).toEqual(before)
})

test('a replication server gets its settings by environment and files, its secrets readable by this user alone', async () => {
  const provider = createProvider('qemu', qemuSettings(folder))
  const replicationServerId = newId('replicationServer')
  const { port } = await provider.createReplicationServer({
    replicationServerId,
    enrolment,
    tags: { a: 'b' },
  })
  const home = path.join(folder, 'cloud', 'replication-servers', replicationServerId)
  const [given] = await startsOf(replicationServerId)
  expect(given).toMatchObject({
    REHOST_REPLICATION_PORT: String(port),
    REHOST_LISTEN_HOST: '127.0.0.1',
    REHOST_GATEWAY_URL: 'https://127.0.0.1:8443',
    REHOST_CA_PEM_FILE: path.join(home, 'ca.pem'),
    REHOST_REPLICATOR_TOKEN_FILE: path.join(home, 'token'),
    REHOST_REPLICATION_SERVER_ID: replicationServerId,
    REHOST_REPLICATOR_STATE_DIR: path.join(home, 'state'),
    REDIS_URL: 'redis://:secret@127.0.0.1:6379',
  })
  expect(await readFile(path.join(home, 'token'), 'utf8')).toBe('sesame')
  expect(await readFile(path.join(home, 'spec.json'), 'utf8')).not.toContain('sesame')
  for (const name of ['token', 'spec.json', 'ca.pem', 'log']) {
    expect((await stat(path.join(home, name))).mode & 0o777).toBe(0o600)
  }
  expect((await stat(home)).mode & 0o777).toBe(0o700)
})

test('a replication server that ends by itself is STOPPED with its last words', async () => {
  const provider = createProvider('qemu', qemuSettings(folder))
  const replicationServerId = newId('replicationServer')
  const refused = { ...enrolment, token: 'fail' }
  await provider.createReplicationServer({ replicationServerId, enrolment: refused, tags: {} })
  const stopped = await until('it has ended', async () => {
    const seen = await provider.describeReplicationServer(replicationServerId)
    return seen?.state === 'STOPPED' ? seen : undefined
  })
  expect(stopped.stateReason).toBe('Cannot enrol: the token is wrong')
  // Created again with another token it comes up: the first one may have expired.
  await provider.createReplicationServer({ replicationServerId, enrolment, tags: {} })
  expect(await startsOf(replicationServerId)).toHaveLength(1)
})

test('withLock() lets one in at a time, and a killed holder gives it back', async () => {
  const name = path.join(folder, 'thing')
  const holder = await startHolder('lock_holder.ts', name)
  const order: string[] = []
  const waiting = [1, 2, 3].map((turn) =>
    withLock(name, async () => {
      order.push(`in ${turn}`)
      await new Promise((resolve) => setImmediate(resolve))
      order.push(`out ${turn}`)
    }),
  )
  expect(await withLock(`${name}-other`, async () => 'another lock is free')).toBe('another lock is free')
  expect(order).toEqual([])
  await holder.kill()
  await Promise.all(waiting)
  expect(order).toHaveLength(6)
  for (let turn = 0; turn < 6; turn += 2) expect(order[turn + 1]).toBe(order[turn]?.replace('in', 'out'))
})

/** What the stand-in noted at each of its starts, once there are `count`. */
async function startsOf(id: string, count = 1): Promise<Record<string, unknown>[]> {
  const file = path.join(folder, 'cloud', 'replication-servers', id, 'state', 'starts')
  return await until(`${id} has started ${count} times`, async () => {
    const text = await readFile(file, 'utf8').catch(() => '')
    const lines = text.split('\n').filter((line) => line !== '')
    return lines.length >= count && lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  })
}

test('a program that a killed process was running does not go on', async () => {
  const pidFile = path.join(folder, 'tool.pid')
  const script = `#!/bin/sh\necho $$ > ${pidFile}.new && mv ${pidFile}.new ${pidFile}\nexec sleep 600\n`
  await writeFile(path.join(folder, 'qemu-img'), script, { mode: 0o755 })
  const holder = spawn(process.execPath, [
    fileURLToPath(new URL('../../fixtures/tool_holder.ts', import.meta.url)),
    `${folder}:/usr/bin:/bin`,
  ])
  const pid = await until('the tool runs', async () =>
    readFile(pidFile, 'utf8').then(
      (text) => Number(text),
      () => undefined,
    ),
  )
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await until('the tool has ended', async () => {
    const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
    return state === undefined || / [ZX] /.test(state)
  })
})
