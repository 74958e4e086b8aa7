import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../agent/clock.ts'
import { LineLog } from '../../../agent/log.ts'
import { Meter } from '../../../agent/sync/meter.ts'
import type { SendCounters } from '../../../agent/sync/frame_queue.ts'
import { Sender } from '../../../agent/sync/sender.ts'
import { Throttle } from '../../../agent/sync/throttle.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { blockHashes, equalHashes } from '../../../wire/hash.ts'
import { encodings } from '../../../wire/message.ts'
import { randomBytesFrom, seededRandom } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { ScriptedReplicator } from './scripted_replicator.ts'

const noise = randomBytesFrom(seededRandom(3), 16 * blockSizeBytes)

describe('Sender', () => {
  let replicator: ScriptedReplicator
  let sender: Sender
  let counters: SendCounters

  beforeEach(async () => {
    replicator = new ScriptedReplicator()
    counters = { sentBytes: 0 }
    const input = await replicator.start()
    sender = await Sender.open(input, {
      throttle: new Throttle(systemClock),
      meter: new Meter(systemClock),
      counters,
      isCompressionOff: false,
      log: new LineLog({ write: () => undefined }, () => 0),
    })
  })

  afterEach(() => {
    sender.destroy(new Error('The test is over'))
    replicator.stop()
  })

  /** An extent of noise in which the blocks named are zero. */
  function extentAt(firstBlock: number, zeroBlocks: readonly number[] = [8]) {
    const bytes = Uint8Array.from(noise)
    for (const block of zeroBlocks) bytes.fill(0, block * blockSizeBytes, (block + 1) * blockSizeBytes)
    return { diskIndex: 0, firstBlock, blockCount: 16, bytes, isBlank: false }
  }

  it('gives no memory back that is still being written when the session ends in the middle of an extent', async () => {
    const everySecond = [1, 3, 5, 7, 9, 11, 13]
    const seen = { good: 0, bad: 0 }
    replicator.onMessage = ({ message }) => {
      if (message.type === 'GOODBYE') replicator.hangUp()
      if (message.type !== 'BLOCKS' || message.encoding !== encodings.RAW) return
      seen[equalHashes(blockHashes(message.payload), message.hashes) ? 'good' : 'bad'] += 1
    }
    replicator.pause()
    const sending: Promise<unknown>[] = []
    const sendNext = () => {
      const extent = extentAt(sending.length * 16, everySecond)
      // Whatever became of it, the memory is its owner's again, who reads something else into it.
      const own = sender.sendExtent(extent).finally(() => extent.bytes.fill(0xee))
      sending.push(own.catch(() => 'given up'))
      return own.then(() => true)
    }
    // First until the network takes no more, then until the queue of this process is full: some extent has been handed over in part.
    while (await Promise.race([sendNext(), sleep(500, false)]));
    for (let count = 0; count < 16; count++) sendNext().catch(() => undefined)
    let before = -1
    while (counters.sentBytes !== before) {
      before = counters.sentBytes
      await sleep(300)
    }
    const leaving = sender.goodbye()
    await sleep(100)
    replicator.resume()
    await Promise.all([leaving, ...sending])
    expect(seen.good).toBeGreaterThan(5)
    expect(seen.bad).toBe(0)
  })

  describe('leaves out', () => {
    /** Blocks and pieces that came, by their numbers. */
    let came: string[]
    /** What VERIFY is answered with: a block that differs; then one whose data are right, and what is known of them is not. */
    let verdicts: { differing: Uint8Array; damaged: Uint8Array }[]

    beforeEach(() => {
      came = []
      verdicts = [
        { differing: Uint8Array.of(0b01), damaged: Uint8Array.of(0) },
        { differing: Uint8Array.of(0), damaged: Uint8Array.of(0b10) },
      ]
      replicator.onMessage = ({ message, sequence }) => {
        if (message.type === 'BLOCKS' || message.type === 'ZEROS')
          for (let index = 0; index < message.blockCount; index++)
            came.push(`${message.type} ${message.firstBlock + index}`)
        else if (message.type === 'PIECES') came.push(`PIECES ${message.pieces.join()}`)
        else if (message.type === 'HASHES')
          replicator.send({ ...message, type: 'DIFFERENCES', bitmap: Uint8Array.of(0b10) })
        else if (message.type === 'VERIFY')
          replicator.send({
            ...message,
            type: 'VERIFIED',
            root: new Uint8Array(32),
            differing: Uint8Array.of(0),
            damaged: Uint8Array.of(0),
            ...verdicts.shift(),
          })
        else return
        replicator.send({ type: 'ACK', upToSequence: sequence })
      }
    })

    /** Sends two blocks of the disk, by what they hold, and answers what came of them. */
    async function send(...contents: number[]): Promise<string[]> {
      const bytes = Buffer.concat(contents.map((content) => Buffer.alloc(blockSizeBytes, content)))
      await sender.sendExtent({ diskIndex: 0, firstBlock: 4, blockCount: 2, bytes, isBlank: false })
      await sender.allAcknowledged()
      return came.splice(0)
    }

    const hashes = blockHashes(Buffer.alloc(2 * blockSizeBytes, 1))
    const question = { diskIndex: 0, firstBlock: 4, blockCount: 2, hashes }

    it('blocks that are as they were sent last, and no others', async () => {
      expect(await send(1, 2)).toEqual(['BLOCKS 4', 'BLOCKS 5'])
      expect(await send(1, 2)).toEqual([])
      expect(await send(1, 3)).toEqual(['BLOCKS 5'])
      expect(await send(0, 3)).toEqual(['ZEROS 4'])
      expect(await send(0, 2)).toEqual(['BLOCKS 5'])
      expect(await send(1, 2)).toEqual(['BLOCKS 4'])
    })

    it('no block of another disk, or in the same place of the table', async () => {
      const bytes = Buffer.alloc(blockSizeBytes, 1)
      const block = { blockCount: 1, bytes, isBlank: false }
      for (const other of [
        { diskIndex: 1, firstBlock: 4 + 65_536 - 7919 },
        { diskIndex: 0, firstBlock: 4 + 65_536 },
      ]) {
        await send(1, 2)
        await sender.sendExtent({ ...block, ...other })
        await sender.allAcknowledged()
        expect(came.splice(0)).toEqual([`BLOCKS ${other.firstBlock}`])
        expect(await send(1, 2)).toEqual(['BLOCKS 4'])
      }
    })

    it('no block of which pieces were sent since', async () => {
      await send(1, 2)
      await sender.sendPieces({ diskIndex: 0, pieces: [4 * 16 + 3], bytes: Buffer.alloc(4096, 9) })
      expect(await send(1, 2)).toEqual(['PIECES 67', 'BLOCKS 4'])
    })

    it('no block that the replicator says is another one', async () => {
      await send(1, 2)
      await sender.queryHashes(question)
      expect(await send(1, 2)).toEqual(['BLOCKS 5'])
      await sender.verify(question)
      expect(await send(1, 2)).toEqual(['BLOCKS 4'])
      await sender.verify(question)
      expect(await send(1, 2)).toEqual(['BLOCKS 5'])
      replicator.send({ type: 'DAMAGED', diskIndex: 0, firstBlock: 5, blockCount: 1 })
      await until('it is told', () => Promise.resolve(sender.takeDamaged().length > 0), 5000, 5)
      expect(await send(1, 2)).toEqual(['BLOCKS 5'])
    })

    it('and counts them: they are as good as durable', async () => {
      await send(1, 2)
      expect(sender.leftOutBytes).toBe(0)
      await send(1, 3)
      await send(1, 3)
      expect(sender.leftOutBytes).toBe(3 * blockSizeBytes)
    })

    it('nothing that was not handed over', async () => {
      await send(1, 2)
      void sender.goodbye()
      await expect(send(5, 6)).rejects.toThrow('The session is ending')
      await expect(send(5, 6)).rejects.toThrow('The session is ending')
      await expect(send(1, 2)).rejects.toThrow('The session is ending')
    })

    it('nothing once the session is over', async () => {
      await send(1, 2)
      replicator.hangUp()
      const over = await sender.closed
      await expect(send(1, 2)).rejects.toThrow(over.message)
    })
  })

  it('has a bounded number of frames of zeros on its way', async () => {
    const zeros = new Uint8Array(blockSizeBytes)
    let sent = 0
    const zero = (firstBlock: number) =>
      sender
        .sendExtent({ diskIndex: 0, firstBlock, blockCount: 1, bytes: zeros, isBlank: false })
        .then(() => (sent += 1))
    const sending = Array.from({ length: 4200 }, (_, index) => zero(index * 2))
    await until('as many went as may', () => Promise.resolve(sent === 4096), 10_000, 10)
    await sleep(50)
    expect(sent).toBe(4096)
    // HELLO has number 1.
    replicator.send({ type: 'ACK', upToSequence: 1 + 4096 })
    await Promise.all(sending)
    expect(sender.unacknowledged()).toHaveLength(4200 - 4096)
    expect(sender.acknowledgedBlocks(0)).toBe(4096)
  })

  it('ends the session when an answer fits no question, and whoever asked hears of it', async () => {
    replicator.onMessage = ({ message }) => {
      if (message.type === 'HASHES')
        replicator.send({ ...message, type: 'DIFFERENCES', firstBlock: 5, bitmap: new Uint8Array(1) })
    }
    const hashes = blockHashes(noise.subarray(0, blockSizeBytes))
    const asking = sender.queryHashes({ diskIndex: 0, firstBlock: 4, blockCount: 1, hashes })
    await expect(asking).rejects.toThrow('Cannot match DIFFERENCES from block 5 with a question')
    expect((await sender.closed).message).toContain('Cannot understand the replication server')
  })

  it('knows after a broken connection exactly what was not acknowledged', async () => {
    await sender.sendExtent({ ...extentAt(0), isBlank: true })
    await sender.sendExtent({ ...extentAt(16), isBlank: true })
    // The first extent is two frames, because its zeros need not be said.
    replicator.send({ type: 'ACK', upToSequence: 4 })
    await until(
      'the acknowledgement has come',
      () => Promise.resolve(sender.acknowledgedBlocks(0) === 23),
      5000,
      5,
    )
    replicator.hangUp()
    // Which of the two depends on whether the far end had read everything: TCP resets what it had not.
    const over =
      /^The replication server closed the connection|^The connection to the replication server broke/
    expect((await sender.closed).message).toMatch(over)
    expect(sender.unacknowledged()).toMatchObject([{ diskIndex: 0, firstBlock: 25, blockCount: 7 }])
    await expect(sender.allAcknowledged()).rejects.toThrow(over)
    await expect(sender.sendExtent(extentAt(32))).rejects.toThrow(over)
  })
})
