import { describe, expect, it } from 'vitest'
import { ProgressDisplay, progressLine } from '../../../bin/demo/progress.ts'
import { formatBytes, formatSummary, isGood } from '../../../bin/demo/summary.ts'
import { StepTimer } from '../../../bin/demo/timing.ts'
import type { DemoSummary } from '../../../bin/demo/summary.ts'

const good: DemoSummary = {
  identical: true,
  testVerdict: 'PASSED',
  cutoverVerdict: 'PASSED',
  agentRemoved: true,
  leftovers: [],
  lagSecondsAtCutover: 0.4,
  steps: [
    { name: 'initial sync', seconds: 30 },
    { name: 'finalize', seconds: 2.5 },
  ],
  bytes: { allocated: 600_000_000, sent: 300_000_000 },
}

describe('isGood()', () => {
  it('is true only when everything was shown', () => {
    expect(isGood(good)).toBe(true)
    const flaws: Partial<DemoSummary>[] = [
      { identical: false },
      { testVerdict: 'FAILED' },
      { cutoverVerdict: 'FAILED' },
      { agentRemoved: false },
      { leftovers: ['volumes/vol-1'] },
    ]
    for (const flaw of flaws) expect(isGood({ ...good, ...flaw })).toBe(false)
  })
})

describe('formatSummary()', () => {
  it('says how long each step and the whole took, and names what was left behind', () => {
    const text = formatSummary({ ...good, leftovers: ['volumes/vol-1'] }, 31)
    expect(text).toMatch(/^ {2}initial sync\s+30\.0 s$/m)
    expect(text).toMatch(/^ {2}total\s+31\.0 s$/m)
    expect(text).toContain('600.0 MB on the source')
    expect(text).toContain('left behind: volumes/vol-1')
  })
})

describe('StepTimer', () => {
  it('counts time that steps share once', async () => {
    let now = 1000
    const said: string[] = []
    const timer = new StepTimer(
      () => now,
      (line) => said.push(line),
    )
    let finish = (): void => undefined
    const long = timer.run('long', () => new Promise<void>((resolve) => (finish = resolve)))
    await timer.run('short', async () => void (now += 20_000))
    now += 10_000
    finish()
    await long
    expect(timer.steps).toEqual([
      { name: 'short', seconds: 20 },
      { name: 'long', seconds: 30 },
    ])
    expect(timer.elapsedSeconds).toBe(30)
    expect(said).toEqual(['▶ long', '▶ short', '✔ short: 20.0 s', '✔ long: 30.0 s'])
  })
})

describe('formatBytes()', () => {
  it('uses decimal units', () => {
    expect([0, 999, 1000, 1_500_000, 2e12].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '1.5 MB',
      '2.0 TB',
    ])
  })
})

describe('ProgressDisplay', () => {
  const moment = {
    state: 'INITIAL_SYNC',
    replicatedBytes: 50,
    totalBytes: 100,
    bytesPerSecond: 14_200_000,
    backlogBytes: 1_200_000,
    lagMs: 400,
  }

  it('shows share, throughput, backlog and lag', () => {
    const line = progressLine(moment, 4)
    expect(line).toBe('[██░░]  50.0 %  14.2 MB/s  backlog 1.2 MB  lag 0.4 s  INITIAL_SYNC')
  })

  it('redraws one line on a terminal and writes a line every five seconds elsewhere', () => {
    let now = 0
    const written: string[] = []
    const plain = new ProgressDisplay({ write: (text) => written.push(text) }, () => now)
    plain.show(moment)
    now = 4000
    plain.show(moment)
    now = 5000
    plain.show(moment)
    plain.end()
    expect(written).toHaveLength(2)
    const drawn: string[] = []
    const terminal = new ProgressDisplay({ write: (text) => drawn.push(text), isTTY: true }, () => now)
    terminal.show(moment)
    terminal.note('AGENT_NOT_SEEN')
    terminal.note('AGENT_NOT_SEEN')
    terminal.end()
    expect(drawn[0]?.startsWith('\r')).toBe(true)
    expect(drawn.slice(1)).toEqual(['\n', '  AGENT_NOT_SEEN\n'])
  })
})
