import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { openDataDisk } from '../../../replicator/file_disk.ts'
import { takeLease } from '../../../replicator/lease.ts'
import { StateDirectory } from '../../../replicator/state_directory.ts'
import { blockHashes } from '../../../wire/hash.ts'
import type { WireErrorBody } from '../../../wire/message.ts'
import { helloOf, rootOf } from './test_agent.ts'
import type { TestAgent } from './test_agent.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'

const blockCount = 8
const sizeBytes = blockCount * blockSizeBytes

let replicator: TestReplicator
let source: Buffer
let path: string
beforeEach(async () => {
  replicator = await TestReplicator.start()
  path = replicator.volumePath(0)
  makeSparseFile(path, sizeBytes)
  await replicator.assign(replicator.assignment([sizeBytes]))
  source = randomBytes(sizeBytes)
})
afterEach(async () => {
  await replicator.end()
})

const point = (hold: boolean) =>
  ({
    type: 'BARRIER',
    body: { consistencyPointId: 'cp-1', hold, method: 'QUIET', frozenMs: 0 },
  }) as const
const reportedError = (): string | undefined => replicator.registry.servers[0]?.report().error

/** An agent whose whole source is on the volume, durable. */
async function copied(generation = 1): Promise<TestAgent> {
  const agent = await replicator.connect()
  await agent.hello(helloOf(sizeBytes, { generation }))
  await agent.ack(agent.sendBlocks(0, source, 0, blockCount))
  return agent
}

/** Goes on writing; answers the ERROR that ends it. */
async function writingUntilClosed(agent: TestAgent): Promise<WireErrorBody | undefined> {
  const timer = setInterval(() => agent.sendBlocks(0, source, 0, 1), 50)
  try {
    return await agent.closed()
  } finally {
    clearInterval(timer)
  }
}

async function differences(agent: TestAgent, bytes: Buffer): Promise<number[]> {
  agent.send({ type: 'HASHES', diskIndex: 0, firstBlock: 0, blockCount, hashes: blockHashes(bytes) })
  return [...(await agent.next('DIFFERENCES')).bitmap]
}

/** Stops the replicator, does something, starts it again. */
async function restarted(meanwhile: () => void): Promise<void> {
  await replicator.close()
  meanwhile()
  await replicator.open()
  await replicator.assign(replicator.assignment([sizeBytes]))
}

describe('a volume that is changed behind the back of the replication server', () => {
  it.each([
    ['removed', /was removed while it was in use.*copied again/, () => rmSync(path)],
    [
      'replaced',
      /was replaced by another one while/,
      () => {
        writeFileSync(`${path}.new`, randomBytes(sizeBytes))
        renameSync(`${path}.new`, path)
      },
    ],
    ['cut', /was cut to \d+ bytes while/, () => truncateSync(path, 1000)],
  ])('being %s: soon nothing more is acknowledged, and it says so', async (_name, message, change) => {
    const agent = await copied()
    change()
    const error = await writingUntilClosed(agent)
    expect(error).toMatchObject({ code: 'VOLUME_IO_ERROR', retryable: true })
    expect(error?.message).toMatch(message)
    expect(reportedError()).toBe(error?.message)
  })

  it('being cut: a write up to its end does not make it look whole', async () => {
    const agent = await copied()
    truncateSync(path, 1000)
    const before = agent.acked
    agent.sendBlocks(0, source, blockCount - 1, 1)
    expect((await agent.closed())?.message).toMatch(/was cut to 1000 bytes while/)
    expect(agent.acked).toBe(before)
  })

  it('reaches no consistency point, even though nothing was written since', async () => {
    const agent = await copied()
    agent.send(point(false))
    await agent.next('BARRIER_REACHED')
    writeFileSync(`${path}.new`, randomBytes(sizeBytes))
    renameSync(`${path}.new`, path)
    agent.send(point(true))
    expect((await agent.closed())?.message).toMatch(/replaced by another one/)
    expect(replicator.announced).toEqual([])
  })

  it('being replaced: the run that counts on it is refused, the next one compares everything', async () => {
    const agent = await copied()
    writeFileSync(`${path}.new`, randomBytes(sizeBytes))
    renameSync(`${path}.new`, path)
    await writingUntilClosed(agent)
    for (let attempt = 0; attempt < 2; attempt++) {
      const again = await replicator.connect()
      again.send({ type: 'HELLO', body: helloOf(sizeBytes) })
      const error = await again.closed()
      expect(error).toMatchObject({ code: 'VOLUME_IO_ERROR', diskIndex: 0 })
      expect(error?.message).toMatch(/another file stands where it was.*restart the agent/)
      expect(reportedError()).toBe(error?.message)
    }
    const next = await replicator.connect()
    expect((await next.hello(helloOf(sizeBytes, { generation: 2 }))).disks[0]?.contents).toBe('PARTIAL')
    expect(await differences(next, source)).toEqual([255])
    await next.ack(next.sendBlocks(0, source, 0, blockCount))
    next.send(point(false))
    expect((await next.next('BARRIER_REACHED')).body.roots[0]?.root).toBe(rootOf(source))
    expect(readFileSync(path).equals(source)).toBe(true)
    next.destroy()
  })

  it('being replaced while the replication server was off: the same', async () => {
    await copied()
    await restarted(() => {
      rmSync(path)
      writeFileSync(path, randomBytes(sizeBytes))
    })
    const again = await replicator.connect()
    again.send({ type: 'HELLO', body: helloOf(sizeBytes) })
    expect((await again.closed())?.message).toMatch(/another file stands where it was/)
    const next = await replicator.connect()
    await next.hello(helloOf(sizeBytes, { generation: 2 }))
    expect(await differences(next, source)).toEqual([255])
    next.destroy()
  })

  it('being emptied: it says EMPTY, and its index claims nothing of before', async () => {
    const agent = await copied()
    agent.destroy()
    await restarted(() => {
      truncateSync(path, 0)
      truncateSync(path, sizeBytes)
    })
    const again = await replicator.connect()
    expect((await again.hello(helloOf(sizeBytes))).disks[0]?.contents).toBe('EMPTY')
    expect(await differences(again, source)).toEqual([255])
    expect(await differences(again, Buffer.alloc(sizeBytes))).toEqual([0])
    again.send(point(false))
    expect((await again.next('BARRIER_REACHED')).body.roots[0]?.root).toBe(rootOf(Buffer.alloc(sizeBytes)))
    again.destroy()
  })

  it('being cut for good: the disk does not fit any more', async () => {
    await copied()
    await restarted(() => truncateSync(path, sizeBytes - 512))
    const again = await replicator.connect()
    again.send({ type: 'HELLO', body: helloOf(sizeBytes) })
    expect(await again.closed()).toMatchObject({ code: 'VOLUME_TOO_SMALL', actual: `${sizeBytes - 512}` })
    expect(reportedError()).toMatch(/has 523776 bytes and disk 0 has 524288; a larger one must be attached/)
  })
})

describe('a volume of two replication servers', () => {
  it('is served by the first until it lets go', async () => {
    const agent = await copied()
    const other = await TestReplicator.start()
    try {
      const certificate = other.agentCertificate
      const volumes = [{ diskIndex: 0, volumeId: 'vol-0', devicePath: path, sizeBytes }]
      await other.assign(other.assignment([], { volumes }))
      const early = await other.connect({ certificate })
      early.send({ type: 'HELLO', body: helloOf(sizeBytes) })
      const error = await early.closed()
      expect(error).toMatchObject({ code: 'VOLUME_IO_ERROR', retryable: true })
      expect(error?.message).toMatch(/another replication server on this host has it; end that one first/)
      await agent.ack(agent.sendBlocks(0, source, 0, 1))
      await replicator.assign()
      const late = await other.connect({ certificate })
      await late.hello(helloOf(sizeBytes))
      expect(await differences(late, source)).toEqual([0])
      late.destroy()
    } finally {
      await other.end()
    }
  })

  it('can not come from one state directory: the second process is refused', async () => {
    const folder = join(replicator.folder, 'other-state')
    mkdirSync(folder)
    const first = new StateDirectory(folder, takeLease)
    await first.prepare()
    const second = new StateDirectory(join(folder, '..', 'other-state'), takeLease)
    await expect(second.prepare()).rejects.toThrow(
      /Cannot use .*other-state as the state directory: another replication server on this host has it/,
    )
    await first.close()
    await second.prepare()
    await second.close()
  })

  it.runIf(process.getuid?.() === 0)('on a block device is refused by the kernel too', async () => {
    const image = join(replicator.folder, 'device.raw')
    makeSparseFile(image, sizeBytes)
    const device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim()
    try {
      const { disk, identity, isZero } = await openDataDisk(device, takeLease)
      expect([disk.sizeBytes, identity, await isZero()]).toEqual([sizeBytes, undefined, false])
      await expect(
        openDataDisk(device, () => Promise.resolve({ release: () => Promise.resolve() })),
      ).rejects.toThrow(/EBUSY/)
      await disk.write(source, 0)
      await disk.flush()
      await disk.close()
      const again = await openDataDisk(device, takeLease)
      await again.disk.close()
      expect(readFileSync(image).equals(source)).toBe(true)
    } finally {
      execFileSync('losetup', ['--detach', device])
    }
  })
})
