import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { agentUri } from '../../../wire/control_api.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'
import { until } from '../../fixtures/waiting.ts'
import { ReplicatorProcess } from './replicator_process.ts'
import type { Run } from './replicator_process.ts'
import { helloOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile } from './test_replicator.ts'

const sizeBytes = 48 * blockSizeBytes
const hour = 3_600_000
const isRoot = process.getuid?.() === 0

let replicator: ReplicatorProcess
beforeEach(async () => {
  replicator = await ReplicatorProcess.prepare(sizeBytes)
})
afterEach(async () => {
  await replicator.end()
})

async function serving(changes: Record<string, string> = {}): Promise<Run> {
  const run = replicator.start(changes)
  await run.line('Source server assigned')
  return run
}

async function sendAll(agent: TestAgent, source: Buffer): Promise<void> {
  await agent.ack(agent.sendImage(0, source))
}

/** The agent that connects is told what the log says and, if `isReported`, the gateway too. */
async function checkTold(
  run: Run,
  agent: TestAgent,
  told: { code: string; message: RegExp; isReported: boolean },
): Promise<void> {
  const error = await agent.closed()
  expect(error?.code).toBe(told.code)
  expect(error?.message).toMatch(told.message)
  const logged = await run.line(/^Connection (refused|ended): /)
  expect(logged['msg']).toMatch(new RegExp(told.message.source))
  expect(logged['code']).toBe(told.code)
  if (told.isReported) await replicator.reported(error?.message)
}

describe('who must not connect is told why, and what to do', () => {
  it('with a foreign certificate', async () => {
    const run = await serving()
    const foreign = await (await makeTestCa('Another CA')).issue({ uri: agentUri('s-1') })
    await checkTold(run, await replicator.connect(foreign), {
      code: 'NOT_ASSIGNED',
      message: /another authority issued it, not this Rehost; install the agent again/,
      isReported: false,
    })
  })

  it('with an expired certificate, and the gateway hears of it', async () => {
    const expired = await replicator.ca.issue({
      uri: agentUri('s-1'),
      notBefore: new Date(Date.now() - 2 * hour),
      notAfter: new Date(Date.now() - hour),
    })
    replicator.assign({ certificateSerials: [expired.serial] })
    const run = await serving()
    await checkTold(run, await replicator.connect(expired), {
      code: 'NOT_ASSIGNED',
      message: /it expired at \d{4}-.*install the agent again/,
      isReported: true,
    })
  })

  it('as an unknown server, and is served as soon as the gateway says so', async () => {
    const run = await serving()
    const certificate = await replicator.ca.issue({ uri: agentUri('s-2') })
    const stranger = await replicator.connect(certificate)
    await checkTold(run, stranger, {
      code: 'NOT_ASSIGNED',
      message: /s-2: it is not assigned to this replication server.*disconnect it and add it again/,
      isReported: false,
    })
    replicator.assign({ sourceServerId: 's-2', certificateSerials: [certificate.serial] })
    await until('it is assigned', async () => {
      const again = await replicator.connect(certificate)
      again.send({ type: 'HELLO', body: helloOf(sizeBytes, { sourceServerId: 's-2' }) })
      const isWelcome = await again.next('WELCOME').then(
        () => true,
        () => false,
      )
      again.destroy()
      return isWelcome
    })
  })

  it('with a disk that is smaller than before', async () => {
    const run = await serving()
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await agent.ack(agent.sendBlocks(0, randomBytes(sizeBytes), 0, 4))
    agent.send({ type: 'GOODBYE' })
    await agent.closed()
    const smaller = await replicator.connect()
    smaller.send({ type: 'HELLO', body: helloOf(sizeBytes - blockSizeBytes, { generation: 2 }) })
    await checkTold(run, smaller, {
      code: 'OUT_OF_RANGE',
      message: /disk 0 is smaller than before, 3080192 bytes instead of 3145728; disconnect the server/,
      isReported: true,
    })
  })
})

describe('trouble with the staging area', () => {
  it.runIf(isRoot)('a full staging disk stops nothing for good and loses nothing', async () => {
    const mount = join(replicator.folder, 'small')
    mkdirSync(mount)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', mount])
    try {
      const devicePath = join(mount, 'disk.raw')
      makeSparseFile(devicePath, sizeBytes)
      replicator.assign({ volumes: [{ diskIndex: 0, volumeId: 'vol-0', devicePath, sizeBytes }] })
      const run = await serving()
      const source = randomBytes(sizeBytes)
      const agent = await replicator.connect()
      await agent.hello(helloOf(sizeBytes))
      await agent.ack(agent.sendBlocks(0, source, 0, 8))
      agent.sendBlocks(0, source, 8, 16)
      await checkTold(run, agent, {
        code: 'NO_SPACE',
        message: /volume vol-0: no space is left in the staging area \(ENOSPC\).*free space there/,
        isReported: true,
      })
      expect(readFileSync(devicePath).subarray(0, 8 * blockSizeBytes)).toEqual(
        source.subarray(0, 8 * blockSizeBytes),
      )
      execFileSync('mount', ['-o', 'remount,size=8m', mount])
      const again = await replicator.connect()
      await again.hello(helloOf(sizeBytes))
      await sendAll(again, source)
      expect(readFileSync(devicePath).equals(source)).toBe(true)
      await replicator.reported(undefined)
      again.destroy()
      expect(await run.terminate()).toBe(0)
    } finally {
      execFileSync('umount', [mount])
    }
  })

  it('a volume that is not there is named, and served once it is', async () => {
    rmSync(replicator.diskPath)
    const run = await serving()
    const agent = await replicator.connect()
    agent.send({ type: 'HELLO', body: helloOf(sizeBytes) })
    await checkTold(run, agent, {
      code: 'VOLUME_IO_ERROR',
      message: /Cannot open volume vol-0: nothing is at .*disk\.raw \(ENOENT\)\. Put it back.*copied again/,
      isReported: true,
    })
    makeSparseFile(replicator.diskPath, sizeBytes)
    const again = await replicator.connect()
    await again.hello(helloOf(sizeBytes))
    await replicator.reported(undefined)
    again.destroy()
  })

  it.runIf(isRoot)('no space for its own state ends it before its token is used up', async () => {
    const mount = join(replicator.folder, 'full')
    mkdirSync(mount)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32k', 'none', mount])
    try {
      const run = replicator.start({ REHOST_REPLICATOR_STATE_DIR: mount })
      expect(await run.exit).toBe(1)
      expect(run.lastMessage).toMatch(
        /Cannot use .*full as the state directory: .*ENOSPC.*Free space there.*REHOST_REPLICATOR_STATE_DIR/,
      )
      expect(replicator.gateway.enrolments).toBe(0)
    } finally {
      execFileSync('umount', [mount])
    }
  })

  it('a state directory that another replication server has is not touched', async () => {
    await serving()
    const second = replicator.start({ REHOST_REPLICATION_PORT: '0' })
    expect(await second.exit).toBe(1)
    expect(second.lastMessage).toMatch(/state directory: another replication server on this host has it/)
  })
})

describe('Redis', () => {
  it('killed and started again costs figures, not blocks', async () => {
    const socket = join(replicator.folder, 'redis.sock')
    const startRedis = () => {
      const redis = spawn(
        'redis-server',
        ['--port', '0', '--unixsocket', socket, '--save', '', '--dir', replicator.folder],
        { stdio: 'ignore' },
      )
      replicator.own(redis)
      return redis
    }
    const redis = startRedis()
    const run = await serving({ REDIS_URL: `unix://${socket}` })
    const source = randomBytes(sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await agent.ack(agent.sendBlocks(0, source, 0, 16))
    redis.kill('SIGKILL')
    await once(redis, 'exit')
    await run.line('Redis is away: live figures are not reported, replication goes on')
    await sendAll(agent, source)
    expect(readFileSync(replicator.diskPath).equals(source)).toBe(true)
    startRedis()
    await run.line('Redis is back')
    expect(await run.terminate()).toBe(0)
  })

  it('that is away does not keep the process from ending', async () => {
    const run = await serving({ REDIS_URL: `unix://${join(replicator.folder, 'nowhere.sock')}` })
    await run.line('Redis is away')
    expect(await run.terminate()).toBe(0)
    expect(run.stderr.join('')).toBe('')
  })
})

describe('its own certificate', () => {
  it('that expired while it was off is replaced, or it says what to do', async () => {
    replicator.gateway.validityMs = 1500
    const first = await serving()
    first.child.kill('SIGKILL')
    await first.exit
    await until('it has expired', () => Promise.resolve(Date.now() > replicator.gateway.expiresAtMs))
    const second = replicator.start()
    expect(await second.exit).toBe(1)
    await second.line(/certificate of this replication server expired at .*enrolling anew/)
    expect(second.lastMessage).toMatch(
      /403: Refused: The token is unknown or used up; have the replication server made anew/,
    )
    replicator.gateway.validityMs = hour
    replicator.gateway.enrolments = 0
    writeFileSync(join(replicator.folder, 'token'), replicator.gateway.token)
    await serving()
  })

  it('that the gateway no longer accepts is logged with what to do, and agents are served on', async () => {
    const run = await serving()
    replicator.gateway.isRefusing = true
    expect((await run.line('Heartbeat failed'))['msg']).toMatch(
      /401: Refused: No certificate\. Agents are served as before.*end this process/,
    )
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await agent.ack(agent.sendBlocks(0, randomBytes(sizeBytes), 0, 1))
    agent.destroy()
  })
})
