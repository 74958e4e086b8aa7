import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { machineFiles } from '../../../agent/inventory/system_files.ts'
import { runCommand } from '../../../agent/run_command.ts'
import { prepareTracing } from '../../../agent/tracking/choose.ts'
import { parseDeviceNumber } from '../../../agent/tracking/trace.ts'
import { TraceInstance } from '../../../agent/tracking/trace_instance.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'

describe.runIf(isRoot)('TraceInstance', () => {
  let disk: LoopDisk
  let trace: TraceInstance
  let changed: number[]
  let lost: string[]

  beforeEach(async () => {
    expect(await prepareTracing(runCommand, true)).toBeUndefined()
    disk = await LoopDisk.make(1)
    const facts = await machineFiles.facts(disk.device)
    changed = []
    lost = []
    const handler = {
      changed: (_major: number, _minor: number, sector: number) => void changed.push(sector),
      lost: (reason: string) => void lost.push(reason),
    }
    trace = await TraceInstance.open([parseDeviceNumber(facts?.deviceNumber ?? '')], handler)
  })

  afterEach(async () => {
    await trace.close()
    await disk.remove()
  })

  it('sees ranges of discards while they are queued, and of nothing else, where a disk merges them', async () => {
    const told: string[] = []
    const handler = {
      changed: (_major: number, _minor: number, sector: number, count: number) =>
        void told.push(`ended ${sector}+${count}`),
      discardQueued: (_major: number, _minor: number, sector: number, count: number) =>
        void told.push(`queued ${sector}+${count}`),
      discardEnded: (_major: number, _minor: number, count: number) => void told.push(`ended ${count}`),
      lost: (reason: string) => void told.push(reason),
    }
    const merging = trace.devices.map((device) => ({ ...device, mergesDiscards: true }))
    const other = await TraceInstance.open(merging, handler)
    try {
      await disk.discard(65_536, 131_072)
      await other.pump()
      expect(told.sort()).toEqual(['ended 128+256', 'ended 256', 'queued 128+256'])
      told.length = 0
      await disk.write(65_536, randomBytes(4096))
      await other.pump()
      expect(told).toEqual(['ended 128+8'])
      // As somebody might switch it off.
      await writeFile(join(other.folder, 'events/block/block_bio_queue/enable'), '0')
      await other.check()
      expect(told.at(-1)).toMatch(/block_bio_queue\/enable is 0/)
      await other.setDevices(trace.devices)
      told.length = 0
      await disk.discard(65_536, 131_072)
      await other.pump()
      await other.check()
      expect(told).toEqual(['ended 128+256', 'ended 256'])
    } finally {
      await other.close()
    }
  })

  it('finds the ranges of discards that were queued while no process read, and knows its filters again', async () => {
    const name = `rehost-test-${process.pid}`
    const merging = trace.devices.map((device) => ({ ...device, mergesDiscards: true }))
    const told: string[] = []
    const handler = {
      changed: () => undefined,
      discardQueued: (_major: number, _minor: number, sector: number) => void told.push(`queued ${sector}`),
      lost: (reason: string) => void told.push(reason),
    }
    const before = await TraceInstance.open(merging, handler, { name })
    const { state } = before
    await before.leave()
    await disk.discard(65_536, 131_072)
    const after = await TraceInstance.adopt(merging, handler, { name }, state)
    try {
      await after.pump()
      await after.check()
      expect(told).toEqual(['queued 128'])
      await after.leave()
      const filter = 'events/block/block_bio_complete/filter'
      await writeFile(join(after.folder, filter), 'nr_sector > 8')
      await expect(TraceInstance.adopt(merging, handler, { name }, after.state)).rejects.toThrow(
        'the filter of the trace was changed by someone (nr_sector > 8)',
      )
    } finally {
      await after.close()
    }
  })

  /** What a second reader does; `cat` waits for more until it is stopped. */
  const readOnce = (file: string): Promise<unknown> =>
    promisify(execFile)('timeout', ['0.5', 'cat', join(trace.folder, file)]).catch((error: unknown) => error)

  it('takes no change of its own for one of somebody else', async () => {
    const { devices } = trace
    const others = [...devices, { major: 7, minor: 250 }]
    for (let round = 0; round < 100; round++) {
      const looked = trace.check()
      // At another moment of the look each time.
      for (let turn = 0; turn < round % 20; turn++) await new Promise((resolve) => setImmediate(resolve))
      await Promise.all([trace.setDevices(round % 2 === 0 ? others : devices), looked])
    }
    expect(lost).toEqual([])
    await disk.write(65_536, randomBytes(4096))
    await trace.pump()
    expect(changed).toContain(128)
  })

  it('tells once of events that another reader took', async () => {
    await disk.write(65_536, randomBytes(4096))
    await readOnce('trace_pipe')
    await trace.pump()
    await trace.check()
    expect(changed).toEqual([])
    expect(lost).toEqual([expect.stringMatching(/^somebody else took [1-9]\d* events out of the trace$/)])
    await disk.write(131_072, randomBytes(4096))
    await trace.pump()
    await trace.check()
    expect(changed).toContain(256)
    expect(lost).toHaveLength(1)
  })

  it.each([
    ['emptied', 'trace', '', /emptied/],
    ['switched off', 'tracing_on', '0', /tracing_on is 0/],
    ['filtered', 'events/block/block_rq_complete/filter', '0', /filter of the trace was changed/],
  ])('tells that the trace was %s, and goes on', async (_what, file, text, reason) => {
    await disk.write(65_536, randomBytes(4096))
    await trace.pump()
    expect(changed).toContain(128)
    await writeFile(join(trace.folder, file), text)
    await trace.check()
    expect(lost).toEqual([expect.stringMatching(reason)])
    await disk.write(131_072, randomBytes(4096))
    await trace.pump()
    await trace.check()
    expect(changed).toContain(256)
    expect(lost).toHaveLength(1)
  })
})
