import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { SessionInput } from '../../../replicator/session_input.ts'
import { FrameEncoder } from '../../../wire/frame.ts'
import { blocksOf } from '../../integration/replicator/test_agent.ts'

const blockCount = 16
const image = Buffer.alloc(3 * blockCount * blockSizeBytes, 7)

/** Three frames of a mebibyte each, as one stream. */
function stream(): Buffer {
  const encoder = new FrameEncoder()
  const frames = [0, 1, 2].map((index) => encoder.encode(blocksOf(0, image, index * blockCount, blockCount)))
  return Buffer.concat(frames.flatMap(({ head, payload }) => [head, payload]))
}

/** Reads what is written to `socket`; writes wait until `free` is called. */
function reading() {
  const socket = new PassThrough({ highWaterMark: 1 })
  const seen = { allocated: 0, handled: [] as number[], errors: [] as string[], isStuck: false }
  let isFree = false
  let wake: (() => void) | undefined
  const input = new SessionInput(socket, {
    allocate: (bytes) => {
      seen.allocated += 1
      return Buffer.alloc(bytes)
    },
    onArrived: () => undefined,
    obstacleOf: () => (isFree ? undefined : (own) => (wake = own)),
    handle: ({ message }) => {
      if (message.type === 'BLOCKS') seen.handled.push(message.firstBlock / blockCount)
      return undefined
    },
    isUnread: () => false,
    onStuck: (isStuck) => (seen.isStuck = isStuck),
    onEnd: () => undefined,
    onError: (error) => seen.errors.push(error.message),
  })
  const free = (): void => {
    isFree = true
    wake?.()
  }
  return { socket, seen, input, free }
}

async function turns(): Promise<void> {
  for (let count = 0; count < 200; count++) await nextTurn()
}

it.each([64 * 1024, 1_000_000, 4 * 1024 * 1024])(
  'takes memory for no second payload while the first one waits, in chunks of %i bytes',
  async (chunkBytes) => {
    const { socket, seen, free } = reading()
    const bytes = stream()
    for (let at = 0; at < bytes.length; at += chunkBytes) socket.write(bytes.subarray(at, at + chunkBytes))
    await turns()
    expect(seen).toMatchObject({ handled: [], isStuck: true })
    expect(seen.allocated).toBeLessThanOrEqual(1)
    free()
    await turns()
    expect(seen).toMatchObject({ handled: [0, 1, 2], errors: [], isStuck: false })
  },
)

it('gives the frame back that waits when it is closed, and handles nothing of what lies behind', async () => {
  const { socket, seen, input, free } = reading()
  socket.write(stream())
  await turns()
  expect(input.close()?.message).toMatchObject({ type: 'BLOCKS', firstBlock: 0 })
  expect(input.close()).toBeUndefined()
  free()
  await turns()
  expect(seen.handled).toEqual([])
})
