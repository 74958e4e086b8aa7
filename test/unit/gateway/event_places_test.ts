import { beforeEach, describe, expect, it } from 'vitest'
import type { EventPattern } from '../../../domain/event_pattern.ts'
import type { SourceServerId } from '../../../domain/ids.ts'
import type { NewEvent } from '../../../domain/server_event.ts'
import type { EventSource, StreamPlace } from '../../../gateway/event_places.ts'
import { withEvent } from '../../../domain/source_server.ts'
import {
  lastPart,
  maxLookedAt,
  readEnvelopes,
  readPage,
  readPlace,
  writePlace,
} from '../../../gateway/event_places.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { mutate } from '../../../store/mutate.ts'
import { relayById } from '../../../workers/relay.ts'
import { putQuietServer, webhookBench } from '../../fixtures/webhook_world.ts'

const at = '2026-03-01T12:00:00.000Z'
const begin: StreamPlace = { position: 0, part: 0 }

let source: EventSource & { store: MemoryStore }
let server: SourceServerId

beforeEach(async () => {
  const store = new MemoryStore()
  source = { store, origin: { accountId: '123456789012', region: 'us-east-1' } }
  server = await putQuietServer(store, at)
})

const plain: NewEvent = { type: 'AGENT', message: 'It happened' }
/** MGN tells of it too: it makes two envelopes. */
const launched: NewEvent = {
  type: 'LAUNCH',
  message: 'Launched',
  detail: { state: 'TEST_LAUNCH_SUCCEEDED', 'job-id': 'mgnjob-1' },
}

async function tell(...events: NewEvent[]): Promise<void> {
  await mutate(source.store, 'server', { id: server }, (one) =>
    events.reduce((told, event) => withEvent(told, at, event), one),
  )
  await relayById(
    webhookBench(source.store, () => new Date(at)),
    server,
  )
}

/** Pages from the beginning to the end, as a client asks for them: the token of one is what the next is asked with. */
async function walk(limit: number, pattern: EventPattern = {}) {
  const pages: string[][] = []
  let place = begin
  for (;;) {
    const page = await readPage(source, place, pattern, limit)
    pages.push(page.found.map((one) => `${one.envelope.source} ${writePlace(one.place)}`))
    if (page.isEnd) return pages
    place = readPlace(writePlace(page.next), 'nextToken')
  }
}

const mixed = [plain, launched, launched, plain, launched]
const all = [
  'rehost 1.0',
  'aws.mgn 2.0',
  'rehost 2.1',
  'aws.mgn 3.0',
  'rehost 3.1',
  'rehost 4.0',
  'aws.mgn 5.0',
  'rehost 5.1',
]

describe('readPage()', () => {
  it.each([1, 2, 3, 4, 5, 7, 8, 100])(
    'fills each page up to %d and no further, each envelope once',
    async (limit) => {
      await tell(...mixed)
      const pages = await walk(limit)
      expect(pages.flat()).toEqual(all)
      expect(pages.slice(0, -1).map(({ length }) => length)).toEqual(pages.slice(1).map(() => limit))
      expect(pages).toHaveLength(Math.ceil(all.length / limit))
    },
  )

  it.each([1, 2, 3])('fills pages of %d with what a pattern wants', async (limit) => {
    await tell(...mixed)
    const own = all.filter((one) => one.startsWith('aws.mgn'))
    const pages = await walk(limit, { source: ['aws.mgn'] })
    expect(pages.flat()).toEqual(own)
    expect(pages.slice(0, -1).every(({ length }) => length === limit)).toBe(true)
  })

  it('is one empty page where a pattern wants nothing', async () => {
    await tell(...mixed)
    expect(await walk(2, { source: ['nobody'] })).toEqual([[]])
  })

  it('looks at so many events and no more, and tells where to go on', async () => {
    await tell(...Array.from({ length: maxLookedAt + 1 }, () => plain), launched)
    const wanted = { source: ['aws.mgn'] }
    const first = await readPage(source, begin, wanted, 5)
    expect(first).toEqual({ found: [], next: { position: maxLookedAt, part: lastPart }, isEnd: false })
    const second = await readPage(source, first.next, wanted, 5)
    expect(second.found.map(({ place }) => place)).toEqual([{ position: maxLookedAt + 2, part: 0 }])
    expect(second.isEnd).toBe(true)
  })

  it('goes over the events of a server that was deleted', async () => {
    await tell(plain, launched)
    const [gone, rest] = [server, await putQuietServer(source.store, at)]
    server = rest
    await tell(launched)
    for (const id of ['000000000001', '000000000002'])
      await source.store.remove('serverEvent', { parent: gone, id })
    expect(await walk(1)).toEqual([['aws.mgn 3.0'], ['rehost 3.1']])
    // Somebody had read the first half of an event that is no longer there.
    const { found } = await readPage(source, { position: 2, part: 0 }, {}, 1)
    expect(found.map(({ place }) => place)).toEqual([{ position: 3, part: 0 }])
  })
})

describe('readEnvelopes()', () => {
  it('is behind the last event once its second envelope was given', async () => {
    await tell(launched)
    const half = await readEnvelopes(source, { position: 1, part: 0 }, {}, 50)
    expect(half.found.map(({ place }) => place)).toEqual([{ position: 1, part: 1 }])
    expect(await readEnvelopes(source, half.next, {}, 50)).toEqual({
      found: [],
      next: { position: 1, part: lastPart },
      isEnd: true,
    })
  })

  it('stays where it is when there is nothing yet', async () => {
    for (const place of [begin, { position: 7, part: 0 }, { position: 7, part: lastPart }]) {
      const { found, next } = await readEnvelopes(source, place, {}, 50)
      expect([found, next.position]).toEqual([[], place.position])
    }
  })
})
