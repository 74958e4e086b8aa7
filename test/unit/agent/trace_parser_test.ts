import { describe, expect, it } from 'vitest'
import { TraceParser } from '../../../agent/tracking/trace_parser.ts'
import { traceFilter } from '../../../agent/tracking/trace_instance.ts'

/** What the parser makes of text that arrives in these pieces. */
function parse(...pieces: string[]): string[] {
  const found: string[] = []
  const parser = new TraceParser()
  for (const piece of pieces) {
    const bytes = Buffer.from(piece)
    parser.push(bytes, {
      changed: (major, minor, first, count) => found.push(`${major}:${minor} ${first}+${count}`),
      lost: (description) => found.push(`lost: ${description}`),
    })
    // The kernel's buffer is used again: nothing of it may be kept.
    bytes.fill(0x2a)
  }
  return found
}

describe('TraceParser', () => {
  it('reads lines of new and old kernels, with and without the head of the line', () => {
    expect(parse('block_rq_complete: 254,0 WS () 2048 + 8 none,0,0 [0]\n')).toEqual(['254:0 2048+8'])
    expect(parse('block_rq_complete: 8,16 FWFS () 41943039 + 1 [0]\n')).toEqual(['8:16 41943039+1'])
    expect(
      parse(
        '           <idle>-0       [001] ..s.   123.456789: block_rq_complete: 8,0 D () 100 + 4096 [0]\n',
      ),
    ).toEqual(['8:0 100+4096'])
    expect(parse('block_rq_complete: 8,0 N (ab cd) 100 + 16 [-5]\n')).toEqual(['8:0 100+16'])
  })

  it('leaves out reads and requests without sectors', () => {
    expect(
      parse('block_rq_complete: 8,0 R () 100 + 8 [0]\nblock_rq_complete: 8,0 RA () 100 + 8 [0]\n'),
    ).toEqual([])
    expect(parse('block_rq_complete: 8,0 FF () 0 + 0 [0]\n')).toEqual([])
  })

  it('puts lines together that arrive in pieces, cut anywhere', () => {
    const text = 'block_rq_complete: 8,0 W () 100 + 8 [0]\nblock_rq_complete: 8,0 W () 200 + 16 [0]\n'
    for (let cut = 0; cut <= text.length; cut++)
      expect(parse(text.slice(0, cut), text.slice(cut))).toEqual(['8:0 100+8', '8:0 200+16'])
  })

  it('tells that events were lost', () => {
    expect(parse('CPU:1 [LOST 512 EVENTS]\nblock_rq_complete: 8,0 W () 1 + 1 [0]\n')).toEqual([
      'lost: the kernel says: LOST 512 EVENTS',
      '8:0 1+1',
    ])
  })

  it('takes an event of another form for a lost one', () => {
    expect(parse('block_rq_complete: 8,0 W somehow different\n')).toEqual([
      'lost: the kernel sent an event of an unknown form',
    ])
    expect(parse('block_rq_complete: 8,0 W () 100 ? 8 [0]\n')).toEqual([
      'lost: the kernel sent an event of an unknown form',
    ])
    expect(parse('block_rq_complete: 8,0 W\nblock_rq_complete: 8,0 W () 5 + 1 [0]\n')).toEqual([
      'lost: the kernel sent an event of an unknown form',
      '8:0 5+1',
    ])
    expect(parse('x'.repeat(5000))).toEqual(['lost: the kernel sent a line that is too long to be an event'])
  })

  it('is not misled by other lines', () => {
    expect(parse('some other event: 8,0 W () 1 + 1\n\n')).toEqual([])
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
})
