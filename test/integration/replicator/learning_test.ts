import { randomBytes } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { blockHashes } from '../../../wire/hash.ts'
import { until } from '../../fixtures/waiting.ts'
import type { TestAgent } from './test_agent.ts'
import { helloOf, rootOf } from './test_agent.ts'
import type { Assignment } from './test_replicator.ts'
import { makeSparseFile, TestReplicator } from './test_replicator.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'

const sizeBytes = 40 * blockSizeBytes

let replicator: TestReplicator
let source: Buffer
/** Bytes of the data that were read, and what reads wait for. */
let readBytes = 0
let held: Promise<void> | undefined

/** A replica that is whole, and a replicator that knows nothing of it: its index was lost. */
beforeEach(async () => {
  replicator = await TestReplicator.start()
  makeSparseFile(replicator.volumePath(0), sizeBytes)
  await replicator.assign(assignment())
  source = randomBytes(sizeBytes)
  const agent = await replicator.connect()
  await agent.hello(helloOf(sizeBytes))
  await agent.ack(agent.sendImage(0, source))
  agent.destroy()
  await replicator.close()
  rmSync(join(replicator.folder, 'state', 'volumes', 'vol-0'), { recursive: true })
  readBytes = 0
  held = undefined
  replicator.wrap = (disk) =>
    withCalls(disk, {
      read: async (into, offset) => {
        readBytes += into.length
        await held
        return await disk.read(into, offset)
      },
    })
  await replicator.open()
  await replicator.assign(assignment())
})
afterEach(async () => {
  await replicator.end()
})

function assignment(state?: NonNullable<Assignment['consistencyPoint']>['state']): Assignment {
  return replicator.assignment(
    [sizeBytes],
    state === undefined ? {} : { consistencyPoint: { consistencyPointId: 'cp-1', state } },
  )
}

const index = (): Buffer => readFileSync(join(replicator.folder, 'state', 'volumes', 'vol-0', 'hashes'))
const isKnown = (): Promise<boolean> => Promise.resolve(index().equals(blockHashes(source)))

function askForPoint(agent: TestAgent): void {
  agent.send({
    type: 'BARRIER',
    body: { consistencyPointId: 'cp-1', hold: true, method: 'FROZEN', frozenMs: 12 },
  })
}

describe('hashes that are not known', () => {
  it('become known from admission on, without a barrier, and the log tells of it', async () => {
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await until('all hashes are known', isKnown)
    expect(readBytes).toBe(sizeBytes)
    await until('it is told', () =>
      Promise.resolve(
        replicator.logLines.some(
          ({ msg, bytes }) => msg === 'The hashes of all blocks are known' && bytes === sizeBytes,
        ),
      ),
    )
    agent.destroy()
  })

  it('do not keep a write from being applied', async () => {
    const reading = Promise.withResolvers<void>()
    held = reading.promise
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await until('the first extent is being read', () => Promise.resolve(readBytes > 0))
    const changed = Buffer.from(source)
    changed.fill(7, 20 * blockSizeBytes, 21 * blockSizeBytes)
    await agent.ack(agent.sendBlocks(0, changed, 20, 1))
    reading.resolve()
    source = changed
    await until('all hashes are known', isKnown)
    expect(readFileSync(replicator.volumePath(0)).equals(changed)).toBe(true)
    agent.destroy()
  })

  it.each(['EXPIRED', 'FAILED'] as const)(
    'hold writes back no longer than the gateway waits for the point: %s',
    async (state) => {
      const reading = Promise.withResolvers<void>()
      held = reading.promise
      const [agent, other] = [await replicator.connect(), await replicator.connect()]
      await agent.hello(helloOf(sizeBytes))
      await other.hello(helloOf(sizeBytes, { connectionIndex: 1 }))
      const stale = replicator.registry.beginBeat()
      await replicator.assign(assignment('REQUESTED'))
      askForPoint(agent)
      const [server] = replicator.registry.servers
      await until('the gate is closed', () => Promise.resolve(server?.hold.gate.isClosed === true))
      // The answer to a heartbeat from before the request says nothing of it.
      const desired = { assignments: [assignment()], renewCertificate: false, heartbeatIntervalMs: 1000 }
      replicator.registry.apply(desired, stale.beat)
      await replicator.registry.applied()
      const sequence = other.sendBlocks(0, source, 0, 1)
      await replicator.assign(assignment(state))
      reading.resolve()
      expect(await agent.closed()).toMatchObject({ code: 'VOLUME_IO_ERROR', retryable: true })
      await other.ack(sequence)
      expect(replicator.announced).toEqual([])
      expect(server?.report().heldConsistencyPointId).toBeUndefined()

      const again = await replicator.connect()
      await again.hello(helloOf(sizeBytes, { connectionIndex: 2 }))
      await replicator.assign(assignment('REQUESTED'))
      askForPoint(again)
      expect((await again.next('BARRIER_REACHED')).body.roots).toEqual([
        { diskIndex: 0, root: rootOf(source) },
      ])
      // What was read for the first is not read for the second.
      expect(readBytes).toBeLessThanOrEqual(sizeBytes)
      other.destroy()
      again.destroy()
    },
  )

  it('are of no moment to a barrier whose connection is gone: writes of the next go on', async () => {
    const reading = Promise.withResolvers<void>()
    held = reading.promise
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    await replicator.assign(assignment('REQUESTED'))
    askForPoint(agent)
    const [server] = replicator.registry.servers
    await until('the gate is closed', () => Promise.resolve(server?.hold.gate.isClosed === true))
    agent.destroy()
    await until('it is gone', () => Promise.resolve(server?.isConnected === false))
    reading.resolve()
    const next = await replicator.connect()
    await next.hello(helloOf(sizeBytes))
    await next.ack(next.sendBlocks(0, source, 0, 1))
    expect(replicator.announced).toEqual([])
    next.destroy()
  })
})
