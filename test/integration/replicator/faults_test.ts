import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { until } from '../../fixtures/waiting.ts'
import { helloOf, rootOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'

const sizeBytes = 32 * blockSizeBytes

let replicator: TestReplicator
beforeEach(async () => {
  replicator = await TestReplicator.start()
})
afterEach(async () => {
  await replicator.end()
})

function failure(code: string): Error {
  return Object.assign(new Error(`Injected ${code}`), { code })
}

const reportedError = (): string | undefined => replicator.registry.servers[0]?.report().error

async function sendAll(agent: TestAgent, source: Buffer): Promise<void> {
  await agent.ack(agent.sendImage(0, source))
}

async function checkRoot(agent: TestAgent, source: Buffer): Promise<void> {
  agent.send({
    type: 'BARRIER',
    body: { consistencyPointId: 'cp-1', hold: false, method: 'QUIET', frozenMs: 0 },
  })
  expect((await agent.next('BARRIER_REACHED')).body.roots[0]?.root).toBe(rootOf(source))
  expect(readFileSync(replicator.volumePath(0)).equals(source)).toBe(true)
}

describe('a disk that fails', () => {
  it.each([
    ['ENOSPC', 'write', 'NO_SPACE'],
    ['EDQUOT', 'write', 'NO_SPACE'],
    ['EIO', 'write', 'VOLUME_IO_ERROR'],
    ['EIO', 'flush', 'VOLUME_IO_ERROR'],
    ['ENOSPC', 'flush', 'NO_SPACE'],
  ] as const)(
    'with %s on %s ends the connection with %s, and goes on when it is well again',
    async (errno, call, code) => {
      let isFailing = false
      replicator.wrap = (disk) =>
        withCalls(disk, {
          [call]: (...args: [Uint8Array, number]) =>
            isFailing
              ? Promise.reject(failure(errno))
              : call === 'flush'
                ? disk.flush()
                : disk.write(...args),
        })
      makeSparseFile(replicator.volumePath(0), sizeBytes)
      await replicator.assign(replicator.assignment([sizeBytes]))
      const source = randomBytes(sizeBytes)
      const agent = await replicator.connect()
      await agent.hello(helloOf(sizeBytes))
      isFailing = true
      agent.sendBlocks(0, source, 0, 16)
      const error = await agent.closed()
      expect(error).toMatchObject({ code, retryable: true, diskIndex: 0 })
      expect(error?.message).toMatch(new RegExp(`volume vol-0: .*${errno}`))
      expect(error?.message).toMatch(/Nothing that was acknowledged is lost/)
      expect(agent.acked).toBeUndefined()
      expect(reportedError()).toBe(error?.message)
      isFailing = false
      const again = await replicator.connect()
      await again.hello(helloOf(sizeBytes))
      await sendAll(again, source)
      expect(reportedError()).toBeUndefined()
      await checkRoot(again, source)
      again.destroy()
    },
  )

  it('ends every connection of the server, and no other server', async () => {
    let isFailing = false
    replicator.wrap = (disk, volumeId) =>
      withCalls(disk, {
        write: (from, offset) =>
          isFailing && volumeId === 'vol-0' ? Promise.reject(failure('EIO')) : disk.write(from, offset),
      })
    makeSparseFile(replicator.volumePath(0), sizeBytes)
    makeSparseFile(replicator.volumePath(1), sizeBytes)
    const otherCertificate = await replicator.ca.issue({ uri: 'rehost://source-server/s-2' })
    const otherVolume = { diskIndex: 0, volumeId: 'vol-1', devicePath: replicator.volumePath(1), sizeBytes }
    await replicator.assign(replicator.assignment([sizeBytes]), {
      sourceServerId: 's-2',
      certificateSerials: [otherCertificate.serial],
      volumes: [otherVolume],
    })
    const agents = [await replicator.connect(), await replicator.connect()]
    for (const [connectionIndex, agent] of agents.entries())
      await agent.hello(helloOf(sizeBytes, { connectionIndex }))
    const other = await replicator.connect({ certificate: otherCertificate })
    await other.hello(
      helloOf(sizeBytes, { sourceServerId: 's-2', disks: [{ diskIndex: 0, volumeId: 'vol-1', sizeBytes }] }),
    )
    isFailing = true
    agents[0]?.sendBlocks(0, randomBytes(sizeBytes), 0, 1)
    for (const agent of agents) expect(await agent.closed()).toMatchObject({ code: 'VOLUME_IO_ERROR' })
    await other.ack(other.sendBlocks(0, randomBytes(sizeBytes), 0, 1))
    other.destroy()
  })

  it('that writes and reads short is filled up', async () => {
    replicator.wrap = (disk) =>
      withCalls(disk, {
        write: (from, offset) => disk.write(from.subarray(0, Math.min(from.length, 50_000)), offset),
        read: (into, offset) => disk.read(into.subarray(0, Math.min(into.length, 30_000)), offset),
      })
    makeSparseFile(replicator.volumePath(0), sizeBytes)
    await replicator.assign(replicator.assignment([sizeBytes]))
    const source = randomBytes(sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await sendAll(agent, source)
    await checkRoot(agent, source)
    agent.destroy()
  })

  it('whose state directory is full says so before anything is written', async () => {
    const state = join(replicator.folder, 'state', 'volumes')
    makeSparseFile(replicator.volumePath(0), sizeBytes)
    await replicator.assign(replicator.assignment([sizeBytes]))
    // A file where the volume's folder should be.
    writeFileSync(join(state, 'vol-0'), '')
    const agent = await replicator.connect()
    agent.send({ type: 'HELLO', body: helloOf(sizeBytes) })
    expect(await agent.closed()).toMatchObject({ code: 'VOLUME_IO_ERROR' })
    rmSync(join(state, 'vol-0'))
  })
})

const isRoot = process.getuid?.() === 0

/** Runs `work` with a file system of `size`, as mount writes it, and takes it away. */
async function onFileSystem(size: string, work: (mount: string) => Promise<void>): Promise<void> {
  const mount = join(replicator.folder, 'small')
  mkdirSync(mount)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'none', mount])
  try {
    await work(mount)
  } finally {
    execFileSync('umount', [mount])
  }
}

/** A volume below `mount`, and an agent of which eight blocks are durable there. */
async function begunOn(mount: string) {
  const path = join(mount, 'disk.raw')
  makeSparseFile(path, sizeBytes)
  const volumes = [{ diskIndex: 0, volumeId: 'vol-0', devicePath: path, sizeBytes }]
  await replicator.assign(replicator.assignment([], { volumes }))
  const source = randomBytes(sizeBytes)
  const agent = await replicator.connect()
  await agent.hello(helloOf(sizeBytes))
  await agent.ack(agent.sendBlocks(0, source, 0, 8))
  return { path, volumes, source, agent }
}

/** Has the replicator close the volume of an agent that goes. */
async function letGo(agent: TestAgent): Promise<void> {
  agent.destroy()
  await until('it has left', () => Promise.resolve(replicator.registry.servers[0]?.isConnected === false))
  await replicator.assign()
}

describe.runIf(isRoot)('a file system that is full', () => {
  it('ends in NO_SPACE, keeps what was acknowledged, and goes on when there is room', async () => {
    await onFileSystem('1m', async (mount) => {
      const { path, source, agent } = await begunOn(mount)
      agent.sendBlocks(0, source, 8, 16)
      const error = await agent.closed()
      expect(error).toMatchObject({ code: 'NO_SPACE', retryable: true })
      expect(error?.message).toMatch(/free space there/)
      expect(
        readFileSync(path)
          .subarray(0, 8 * blockSizeBytes)
          .equals(source.subarray(0, 8 * blockSizeBytes)),
      ).toBe(true)
      execFileSync('mount', ['-o', 'remount,size=8m', mount])
      const again = await replicator.connect()
      await again.hello(helloOf(sizeBytes))
      await sendAll(again, source)
      expect(readFileSync(path).equals(source)).toBe(true)
      await letGo(again)
    })
  })
})

describe.runIf(isRoot)('a file system that became read-only', () => {
  it('is told as the reason, and the copy goes on when it can be written again', async () => {
    await onFileSystem('8m', async (mount) => {
      const { path, volumes, source, agent } = await begunOn(mount)
      agent.destroy()
      await replicator.close()
      // Linux lets nobody do this while a file of it is open for writing.
      execFileSync('mount', ['-o', 'remount,ro', mount])
      await replicator.open()
      await replicator.assign(replicator.assignment([], { volumes }))
      const refused = await replicator.connect()
      refused.send({ type: 'HELLO', body: helloOf(sizeBytes) })
      const error = await refused.closed()
      expect(error).toMatchObject({ code: 'VOLUME_IO_ERROR', retryable: true })
      expect(error?.message).toMatch(/open volume vol-0.*EROFS.*check the staging disk/)
      expect(reportedError()).toBe(error?.message)
      execFileSync('mount', ['-o', 'remount,rw', mount])
      const again = await replicator.connect()
      await again.hello(helloOf(sizeBytes))
      expect(readFileSync(path).subarray(0, 8 * blockSizeBytes)).toEqual(
        source.subarray(0, 8 * blockSizeBytes),
      )
      await sendAll(again, source)
      expect(readFileSync(path).equals(source)).toBe(true)
      await letGo(again)
    })
  })
})
