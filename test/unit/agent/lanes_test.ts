import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../agent/clock.ts'
import { LineLog } from '../../../agent/log.ts'
import { Meter } from '../../../agent/sync/meter.ts'
import { Sender } from '../../../agent/sync/sender.ts'
import { Throttle } from '../../../agent/sync/throttle.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { FrameDecoder, FrameEncoder } from '../../../wire/frame.ts'
import type { Message } from '../../../wire/message.ts'
import { protocolVersion } from '../../../wire/version.ts'

/** The far end of one connection: it says WELCOME, and nothing more by itself. */
class Far {
  readonly agentEnd: Duplex
  readonly #own: Duplex
  readonly #encoder = new FrameEncoder()
  /** Types of what came after HELLO, and the first block where there is one. */
  readonly got: string[] = []
  #lastSequence = 0

  constructor() {
    const [agentEnd, own] = duplexPair()
    this.agentEnd = agentEnd
    this.#own = own
    const decoder = new FrameDecoder()
    own.on('error', () => undefined)
    own.on('data', (chunk: Buffer) => {
      for (const { message, sequence } of decoder.push(chunk)) this.#take(message, sequence)
    })
  }

  #take(message: Message, sequence: number): void {
    this.#lastSequence = sequence
    if (message.type !== 'HELLO') {
      this.got.push('firstBlock' in message ? `${message.type} ${message.firstBlock}` : message.type)
      if (message.type === 'GOODBYE') this.hangUp()
      return
    }
    const disks = [{ diskIndex: 0, contents: 'EMPTY' as const, copyId: 'copy-1' }]
    this.send({ type: 'WELCOME', body: { protocolVersion, windowBytes: 16 * 2 ** 20, disks } })
  }

  send(message: Message): void {
    this.#own.write(this.#encoder.encode(message).head)
  }

  acknowledge(): void {
    this.send({ type: 'ACK', upToSequence: this.#lastSequence })
  }

  hangUp(): void {
    this.#own.destroy()
    this.agentEnd.destroy()
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await nextTurn()
}

describe('the connections of a session', () => {
  let fars: Far[]
  let isRefused: boolean
  let wanted: number
  let failures: number
  let sender: Sender

  beforeEach(async () => {
    fars = []
    isRefused = false
    wanted = 1
    failures = 0
    sender = await open()
  })

  afterEach(() => sender.destroy(new Error('The test is over')))

  function open(): Promise<Sender> {
    const input = {
      target: () => ({
        replicationServerId: 'i-1',
        address: '127.0.0.1',
        port: 1500,
        caPem: '',
        certificatePem: '',
        keyPem: '',
      }),
      hello: {
        protocolVersion,
        sourceServerId: 's-1',
        replicationServerId: 'i-1',
        generation: 1,
        agentVersion: '0.0.0-test',
        blockSizeBytes,
        disks: [{ diskIndex: 0, volumeId: 'vol-0', sizeBytes: 2 ** 30 }],
      },
      plan: { first: 1, wanted: () => wanted, failed: () => (failures += 1) },
      clock: systemClock,
      connectLink: () => {
        if (isRefused) return Promise.reject(new Error('Simulated ECONNREFUSED'))
        const far = new Far()
        fars.push(far)
        return Promise.resolve(far.agentEnd)
      },
      signal: new AbortController().signal,
    }
    return Sender.open(input, {
      log: new LineLog({ write: () => undefined }, () => 0),
      throttle: new Throttle(systemClock),
      meter: new Meter(systemClock),
      counters: { sentBytes: 0 },
      isCompressionOff: false,
    })
  }

  let writes = 0

  async function send(firstBlock: number): Promise<void> {
    // Never twice the same: a block that is as it was sent last is not sent.
    writes += 1
    const bytes = Buffer.alloc(blockSizeBytes, writes)
    await sender.sendExtent({ diskIndex: 0, firstBlock, blockCount: 1, bytes, isBlank: false })
    await settle()
  }

  /** Two connections from now on. */
  async function grow(): Promise<void> {
    wanted = 2
    await sender.adapt()
    await settle()
    await sender.adapt()
  }

  it('become more only once everything is durable, so that a block never has two of them', async () => {
    await send(16)
    wanted = 2
    await sender.adapt()
    await settle()
    expect(fars).toHaveLength(2)
    // The second one is open; blocks keep their connection all the same.
    await send(17)
    let isAdapted = false
    const adapting = sender.adapt().then(() => (isAdapted = true))
    await settle()
    expect([isAdapted, sender.laneOf(0, 16)]).toEqual([false, 0])
    fars[0]?.acknowledge()
    await adapting
    await send(16)
    await send(0)
    expect(fars.map((far) => far.got)).toEqual([['BLOCKS 16', 'BLOCKS 17', 'BLOCKS 0'], ['BLOCKS 16']])
  })

  it('have two extents on their way each, from the third on', async () => {
    const atOnce = [sender.extentsAtOnce]
    for (wanted = 2; wanted <= 5; wanted++) {
      await sender.adapt()
      await settle()
      await sender.adapt()
      atOnce.push(sender.extentsAtOnce)
    }
    expect(atOnce).toEqual([4, 4, 6, 8, 10])
  })

  it('become fewer only once everything is durable, and what they carried still counts', async () => {
    await grow()
    await send(16)
    wanted = 1
    const adapting = sender.adapt()
    await settle()
    expect(fars[1]?.got).toEqual(['BLOCKS 16'])
    fars[1]?.acknowledge()
    await adapting
    await settle()
    expect(fars[1]?.got).toEqual(['BLOCKS 16', 'GOODBYE'])
    expect([sender.acknowledgedBlocks(0), sender.acknowledgedBytes]).toEqual([1, blockSizeBytes])
    await send(16)
    expect(fars[0]?.got).toEqual(['BLOCKS 16'])
    expect(sender.failure).toBeUndefined()
  })

  it('are asked about blocks only once no other has those on its way', async () => {
    await grow()
    await send(16)
    await send(0)
    const question = { diskIndex: 0, firstBlock: 0, blockCount: 17, hashes: new Uint8Array(17 * 32) }
    const answer = sender.queryHashes(question)
    await settle()
    expect(fars[0]?.got).toEqual(['BLOCKS 0'])
    fars[1]?.acknowledge()
    await settle()
    expect(fars[0]?.got).toEqual(['BLOCKS 0', 'HASHES 0'])
    const bitmap = Uint8Array.of(1, 0, 1)
    fars[0]?.send({ type: 'DIFFERENCES', diskIndex: 0, firstBlock: 0, blockCount: 17, bitmap })
    expect(await answer).toEqual(bitmap)
    // Others are asked about at once.
    const later = { ...question, firstBlock: 32, blockCount: 1, hashes: new Uint8Array(32) }
    sender.verify(later).catch(() => undefined)
    await settle()
    expect(fars[0]?.got.at(-1)).toBe('VERIFY 32')
  })

  it('are as many as before when a further one cannot be opened, or ends before it is used', async () => {
    isRefused = true
    wanted = 2
    await sender.adapt()
    await settle()
    expect([failures, fars.length]).toEqual([1, 1])
    isRefused = false
    await sender.adapt()
    await settle()
    fars[1]?.hangUp()
    await settle()
    expect([failures, sender.failure, sender.laneOf(0, 16)]).toEqual([2, undefined, 0])
    await grow()
    expect([fars.length, sender.laneOf(0, 16)]).toEqual([3, 1])
  })

  it('end together when one of them is lost', async () => {
    await grow()
    await send(16)
    fars[1]?.hangUp()
    expect((await sender.closed).message).toContain('closed the connection')
    await expect(sender.adapt()).resolves.toBeUndefined()
    expect(sender.unacknowledged()).toMatchObject([{ diskIndex: 0, firstBlock: 16, blockCount: 1 }])
  })

  it('all make durable what was sent before they end in order', async () => {
    await grow()
    await send(16)
    await send(0)
    await sender.goodbye()
    expect(fars.map((far) => far.got)).toEqual([
      ['BLOCKS 0', 'GOODBYE'],
      ['BLOCKS 16', 'GOODBYE'],
    ])
    expect((await sender.closed).message).toBe('Said goodbye')
  })
})
