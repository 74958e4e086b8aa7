import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseEventLayout, parseTraceLayout } from '../../../agent/tracking/trace_layout.ts'
import { TraceParser } from '../../../agent/tracking/trace_parser.ts'
import { countProcessors, ringKbFor } from '../../../agent/tracking/ring_size.ts'
import { discardFilter, traceFilter } from '../../../agent/tracking/trace.ts'
import { seedFor } from '../../fixtures/seed.ts'
import {
  endedFormat,
  eventFormat,
  headerPage,
  oldEventFormat,
  queuedFormat,
  TracePage,
} from './trace_page.ts'

const layout = parseTraceLayout(headerPage, eventFormat)

/** What the parser makes of a page, and how many records it counts. */
function parse(page: TracePage, own = layout, withReads = false): { found: string[]; records: number } {
  const found: string[] = []
  const records = new TraceParser(own, withReads).page(page.bytes, page.words, {
    changed: (major, minor, first, count) => found.push(`${major}:${minor} ${first}+${count}`),
    discardQueued: (major, minor, first, count) => found.push(`queued ${major}:${minor} ${first}+${count}`),
    discardEnded: (major, minor, count) => found.push(`ended ${major}:${minor} ${count}`),
    lost: (description) => found.push(`lost: ${description}`),
  })
  return { found, records }
}

describe('parseTraceLayout()', () => {
  it('takes numbers from what kernels say, new and old', () => {
    expect(layout).toMatchObject({
      pageBytes: 4096,
      dataOffset: 16,
      eventId: 2107,
      dev: { offset: 8, size: 4 },
      sector: { offset: 16, size: 8 },
      sectorCount: { offset: 24, size: 4 },
      kind: { offset: 34, size: 10 },
    })
    expect(parseTraceLayout(headerPage, oldEventFormat)).toMatchObject({
      eventId: 735,
      kind: { offset: 32, size: 8 },
    })
  })

  it('refuses what it does not know', () => {
    expect(() =>
      parseTraceLayout(headerPage, eventFormat.replace('sector_t sector;', 'sector_t start;')),
    ).toThrow(
      'this kernel describes its trace in an unknown form: sector is not there, expected 4 or 8 bytes',
    )
    expect(() =>
      parseTraceLayout(headerPage, eventFormat.replace('offset:24;	size:4', 'offset:24;	size:8')),
    ).toThrow('nr_sector is 8, expected 4 bytes')
    expect(() => parseTraceLayout(headerPage, eventFormat.replace('offset:24;', 'offset:26;'))).toThrow(
      'nr_sector stands at byte 26',
    )
    expect(() => parseTraceLayout(headerPage, eventFormat.replace('ID: 2107', ''))).toThrow('no event ID')
    expect(() => parseTraceLayout('', eventFormat)).toThrow('data is not there')
  })
})

describe('TraceParser', () => {
  it('reads events of every length, among padding and time stamps', () => {
    const page = new TracePage()
      .event({ device: [254, 0], sector: 2048, count: 8, kind: 'WS' })
      .time(30)
      .event({ device: [8, 16], sector: 2 ** 41 + 5, count: 1, kind: 'FWFS' })
      .padding(24)
      .event({ device: [259, 1_048_575], sector: 100, count: 4096, kind: 'D', commandBytes: 200 })
      .time(31)
      .event({ device: [8, 0], sector: 7, count: 16, kind: 'N' })
    expect(parse(page)).toEqual({
      found: [
        '254:0 2048+8',
        `8:16 ${2 ** 41 + 5}+1`,
        '259:1048575 100+4096',
        'ended 259:1048575 4096',
        '8:0 7+16',
      ],
      records: 4,
    })
  })

  it('tells of discards when they are queued, when their request ends, and when they end without one', () => {
    const discards = { queued: parseEventLayout(queuedFormat), ended: parseEventLayout(endedFormat) }
    const page = new TracePage()
      .event({ device: [259, 0], sector: 2 ** 33 + 8, count: 16, kind: 'DS', id: 2097 })
      .event({ device: [259, 0], sector: 5000, count: 8, kind: 'D', id: 2097 })
      .event({ device: [259, 0], sector: 5000, count: 8, kind: 'D', id: 2100 })
      .event({ device: [259, 0], sector: 2 ** 33 + 8, count: 16, kind: 'DS' })
      .event({ device: [259, 0], sector: 0, count: 0, kind: 'DS' })
    expect(parse(page, { ...layout, discards })).toEqual({
      found: [
        `queued 259:0 ${2 ** 33 + 8}+16`,
        'queued 259:0 5000+8',
        'ended 259:0 8',
        `259:0 ${2 ** 33 + 8}+16`,
        'ended 259:0 16',
      ],
      records: 5,
    })
    const short = new TracePage().record(Buffer.from(new Uint16Array([2097, 0, 0, 0]).buffer))
    expect(parse(short, { ...layout, discards }).found).toEqual([
      'lost: the kernel sent an event that is too short',
    ])
  })

  it('leaves out reads and requests without sectors, and counts them', () => {
    const page = new TracePage()
      .event({ device: [8, 0], sector: 100, count: 8, kind: 'R' })
      .event({ device: [8, 0], sector: 100, count: 8, kind: 'RA' })
      .event({ device: [8, 0], sector: 0, count: 0, kind: 'FF' })
    expect(parse(page)).toEqual({ found: [], records: 3 })
    expect(parse(page, layout, true).found).toEqual(['8:0 100+8', '8:0 100+8'])
  })

  it('is not misled by marks of other kinds, nor by what lies behind the used part', () => {
    const page = new TracePage().event({ device: [8, 0], sector: 1, count: 1, kind: 'W', id: 5 })
    const used = page.used
    page.event({ device: [8, 0], sector: 2, count: 1, kind: 'W' })
    page.setCommit(used)
    expect(parse(page)).toEqual({ found: [], records: 1 })
    expect(parse(new TracePage())).toEqual({ found: [], records: 0 })
  })

  it('ends at padding without time, as at the end of a page', () => {
    const page = new TracePage().event({ device: [8, 0], sector: 1, count: 1, kind: 'W' })
    page.endPadding().event({ device: [8, 0], sector: 2, count: 1, kind: 'W' })
    expect(parse(page).found).toEqual(['8:0 1+1'])
  })

  it('tells that events are missing, whether or not their number is stored', () => {
    const page = new TracePage().event({ device: [8, 0], sector: 1, count: 1, kind: 'W' })
    for (const flags of [0x8000_0000, 0xc000_0000]) {
      page.setCommit(page.used, flags)
      expect(parse(page).found).toEqual(['lost: the kernel says that the ring overflowed', '8:0 1+1'])
    }
  })

  it('takes what it cannot read for a loss', () => {
    const tooLong = new TracePage().event({ device: [8, 0], sector: 1, count: 1, kind: 'W' })
    tooLong.setCommit(tooLong.used - 4)
    expect(parse(tooLong).found).toEqual(['lost: the kernel sent a record of an unknown form'])
    const tooMuch = new TracePage()
    tooMuch.setCommit(5000)
    expect(parse(tooMuch).found).toEqual(['lost: the kernel sent a page of 5016 bytes; 4096 were expected'])
    const short = new TracePage().record(Buffer.from(new Uint16Array([2107, 0, 0, 0]).buffer))
    expect(parse(short).found).toEqual(['lost: the kernel sent an event that is too short'])
  })

  it('comes to an end whatever a page holds, and never reads behind it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4096, maxLength: 4096 }), fc.nat(4080), (bytes, used) => {
        const page = new TracePage()
        page.bytes.set(bytes)
        page.setCommit(used)
        const { found, records } = parse(page)
        expect(records).toBeLessThanOrEqual(used / 4)
        expect(found.length).toBeLessThanOrEqual(records + 1)
      }),
      { numRuns: 500, seed: seedFor('pages of the trace') },
    )
  })
})

describe('ringKbFor()', () => {
  it('holds the memory of all rings together', () => {
    expect([1, 2, 8, 16, 128, 512, 1024].map((processors) => ringKbFor(processors))).toEqual([
      8192, 8192, 8192, 4096, 512, 128, 128,
    ])
  })

  it('counts processors as the kernel lists them', () => {
    expect(['0', '0-1', '0-3,8,10-11\n'].map((list) => countProcessors(list))).toEqual([1, 2, 7])
  })
})

describe('traceFilter()', () => {
  it('names devices as the kernel packs them and leaves reads out', () => {
    expect(
      traceFilter([
        { major: 8, minor: 16 },
        { major: 259, minor: 0 },
      ]),
    ).toBe('(dev == 8388624 || dev == 271581184) && !(rwbs ~ "R*")')
    expect(traceFilter([{ major: 8, minor: 0 }], true)).toBe('dev == 8388608')
  })

  it('lets discards through before they end only of disks that merge them', () => {
    const merging = { major: 259, minor: 0, mergesDiscards: true }
    expect(discardFilter([{ major: 8, minor: 16 }, merging])).toBe('(dev == 271581184) && rwbs ~ "D*"')
    expect(discardFilter([{ major: 8, minor: 16 }])).toBe('')
  })
})
