import { mkdtempSync, rmSync } from 'node:fs'
import { open, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Tracker } from '../../../agent/tracking/tracker.ts'
import type { Extent } from '../../../domain/units.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { TestReplicator } from '../replicator/test_replicator.ts'
import { digestOf } from './loop_disk.ts'
import { TestEngine } from './test_engine.ts'

const blocks = 300
const sizeBytes = blocks * blockSizeBytes
const cuts = 4

/** A tracker that is told by the test what it sees. */
class ToldTracker implements Tracker {
  readonly kind = 'tracefs'
  readonly reason = 'The test says what changes'
  readonly needsPasses = false
  readonly #onDrain: () => void
  #changed: Extent[] = []

  constructor(onDrain: () => void = () => undefined) {
    this.#onDrain = onDrain
  }

  get waitingBytes(): number {
    return this.#changed.length * blockSizeBytes
  }

  changed(firstBlock: number): void {
    this.#changed.push({ firstBlock, blockCount: 1 })
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  grow(): void {
    // No disk grows here.
  }

  drain(): ReturnType<Tracker['drain']> {
    this.#onDrain()
    const changed = this.#changed
    this.#changed = []
    return Promise.resolve({ lost: false, changed })
  }

  stop(): Promise<void> {
    return Promise.resolve()
  }
}

describe('the first copy', () => {
  let folder: string
  let image: string
  let replicator: TestReplicator
  let test: TestEngine | undefined

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-cut-'))
    image = join(folder, 'disk.img')
    replicator = await TestReplicator.start()
  })

  afterEach(async () => {
    await test?.end()
    test = undefined
    await replicator.end()
    rmSync(folder, { recursive: true, force: true })
  })

  it('says what became zero while its connection was cut in the middle of a step', async () => {
    const random = seededRandom(seedFor('cut first copy'))
    await writeFile(image, randomBytesFrom(random, sizeBytes))
    // A few times reading stops after some reads, until the test has cut the connection and changed the disk.
    const gates: { readsLeft: number; opened: PromiseWithResolvers<void> }[] = []
    const tracker = new ToldTracker(() => {
      const last = gates.at(-1)
      if (gates.length === cuts || (last !== undefined && last.readsLeft >= 0)) return
      gates.push({ readsLeft: randomInt(random, 2, 4), opened: Promise.withResolvers() })
    })
    test = await TestEngine.start(replicator, {
      disks: [{ deviceName: image, sizeBytes }],
      wrapTracker: () => tracker,
      wrapSource: (source) => ({
        deviceName: source.deviceName,
        identity: source.identity,
        sizeBytes: source.sizeBytes,
        currentSizeBytes: () => source.currentSizeBytes(),
        growTo: (bytes) => source.growTo(bytes),
        close: () => source.close(),
        read: async (offset, length, into) => {
          const gate = gates.at(-1)
          if (gate !== undefined && --gate.readsLeft < 0) await gate.opened.promise
          await source.read(offset, length, into)
        },
      }),
    })
    const run = test
    const handle = await open(image, 'r+')
    for (let cut = 0; cut < cuts; cut++) {
      const sentBefore = run.engine.report().sentBytes
      const gate = await until(
        'part of the step is sent',
        () => {
          const hasSent = run.engine.report().sentBytes > sentBefore + 8 * blockSizeBytes
          const next = gates[cut]
          return Promise.resolve(hasSent && next !== undefined && next.readsLeft < 0 && next)
        },
        20_000,
        5,
      )
      replicator.listener.destroyAll()
      for (let count = 0; count < 60; count++) {
        const block = randomInt(random, 0, blocks - 1)
        const bytes = random() < 0.7 ? Buffer.alloc(blockSizeBytes) : randomBytesFrom(random, blockSizeBytes)
        await handle.write(bytes, 0, bytes.length, block * blockSizeBytes)
        tracker.changed(block)
      }
      gate.opened.resolve()
    }
    await handle.close()
    await test.untilContinuous()
    await test.untilCaughtUp()
    expect(test.engine.report().disks[0]).toMatchObject({ rescans: 0, backlogBytes: 0 })
    expect(await test.volumeDigest()).toBe(await digestOf(image))
  })

  it.each([true, false])('sends text as it is only when compressing is off: %s', async (isCompressionOff) => {
    const text = Buffer.alloc(sizeBytes, 'A line of a log, as there are many\n')
    await writeFile(image, text)
    test = await TestEngine.start(replicator, {
      disks: [{ deviceName: image, sizeBytes }],
      context: { isCompressionOff },
    })
    await test.untilContinuous()
    const { sentBytes } = test.engine.report()
    // On a fast link some of it may go out as it is all the same, while it is tried which is faster.
    if (isCompressionOff) expect(sentBytes).toBe(sizeBytes)
    else expect(sentBytes).toBeLessThan(sizeBytes)
    expect(await test.volumeDigest()).toBe(await digestOf(image))
  })

  it('is made again when the volume was emptied after a comparison that sent nothing', async () => {
    const random = seededRandom(seedFor('emptied volume'))
    await writeFile(image, randomBytesFrom(random, sizeBytes))
    const options = { disks: [{ deviceName: image, sizeBytes }], wrapTracker: () => new ToldTracker() }
    const first = await TestEngine.start(replicator, { ...options, generation: 1 })
    await first.untilContinuous()
    await first.stop()
    test = await TestEngine.start(replicator, {
      ...options,
      generation: 2,
      stateFolder: first.stateFolder,
    })
    await test.untilContinuous()
    expect(test.engine.report().sentBytes).toBe(0)
    await replicator.kill()
    await truncate(replicator.volumePath(0), 0)
    await truncate(replicator.volumePath(0), sizeBytes)
    await replicator.open()
    await replicator.assign(test.assignment)
    const { port } = replicator.listener
    test.apply({ replicator: { replicationServerId: 'i-1', address: '127.0.0.1', port } })
    await test.untilCaughtUp()
    expect(await test.volumeDigest()).toBe(await digestOf(image))
    test.apply()
    expect(test.notes.map((note) => note.message)).toContain(
      `The copy of ${image} is empty, though blocks of it were durable; it is copied again`,
    )
  })
})
