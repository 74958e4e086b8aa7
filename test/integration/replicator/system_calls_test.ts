/**
 * The order of the system calls behind an acknowledgement, as the kernel sees it: the segment is marked durably, then the blocks are
 * written, then flushed, and only then is anything said on the connection.
 * @module
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { blockSizeBytes } from '../../../domain/units.ts'
import { randomBytesFrom, seededRandom } from '../../fixtures/seed.ts'
import { until } from '../../fixtures/waiting.ts'
import { ReplicatorProcess } from './replicator_process.ts'
import { helloOf } from './test_agent.ts'

const sizeBytes = 16 * blockSizeBytes

/** A system call that has ended, in the order of the ends. */
interface Call {
  name: string
  /** What its first argument, a descriptor, stands for; the whole line for calls on names. */
  target: string
  /** Position of its begin among all begins and ends. */
  beganAt: number
  endedAt: number
}

/** The calls in a trace of `strace -f -yy`, whose lines are cut in two when another thread comes in between. */
function callsOf(trace: string): Call[] {
  const calls: Call[] = []
  const open = new Map<string, { name: string; target: string; beganAt: number }>()
  for (const [position, line] of trace.split('\n').entries()) {
    const [, thread = '', text = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    const resumed = /^<\.\.\. \w+ resumed>/.test(text)
    const begun = /^(\w+)\((.*)$/.exec(text)
    if (resumed) {
      const call = open.get(thread)
      open.delete(thread)
      if (call !== undefined) calls.push({ ...call, endedAt: position })
    } else if (begun !== null) {
      const call = { name: begun[1] ?? '', target: begun[2] ?? '', beganAt: position }
      if (text.includes('<unfinished ...>')) open.set(thread, call)
      else calls.push({ ...call, endedAt: position })
    }
  }
  return calls
}

const canTrace = (() => {
  try {
    execFileSync('strace', ['-f', '-e', 'trace=none', '-o', '/dev/null', 'true'])
    return true
  } catch {
    return false
  }
})()

describe.runIf(canTrace)('what the kernel sees of an acknowledgement', () => {
  let replicator: ReplicatorProcess
  beforeEach(async () => {
    replicator = await ReplicatorProcess.prepare(sizeBytes)
  })
  afterEach(async () => {
    await replicator.end()
  })

  it('is: mark, write, fdatasync, and nothing on the connection before', async () => {
    const run = replicator.start()
    await run.line('Source server assigned')
    const source = randomBytesFrom(seededRandom(7), sizeBytes)
    const agent = await replicator.connect()
    await agent.hello(helloOf(sizeBytes))
    const trace = join(replicator.folder, 'trace')
    const tracer = spawn(
      'strace',
      ['-f', '-yy', '-s', '0', '-o', trace, '-p', String(run.child.pid)].concat([
        '-e',
        'trace=write,writev,sendmsg,sendto,pwrite64,pwritev,pwritev2,fdatasync,fsync,rename,renameat,renameat2',
      ]),
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    replicator.own(tracer)
    let said = ''
    tracer.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    await until('strace is attached', () => Promise.resolve(said.includes('attached')))
    await agent.ack(agent.sendBlocks(0, source, 0, 4))
    await agent.ack(agent.send({ type: 'ZEROS', diskIndex: 0, firstBlock: 1, blockCount: 2 }))
    tracer.kill('SIGINT')
    await once(tracer, 'exit')
    agent.destroy()
    expect(await run.terminate()).toBe(0)

    const calls = callsOf(readFileSync(trace, 'utf8'))
    const isTo = (path: string) => (call: Call) => call.target.includes(`${path}>`)
    const onVolume = calls.filter(isTo('disk.raw'))
    const writes = onVolume.filter(({ name }) => name.startsWith('pwrite'))
    const flushes = onVolume.filter(({ name }) => name === 'fdatasync')
    // Its connection to the gateway speaks whenever it likes; only the agent's is of interest.
    const ofAgent = `<TCP:[127.0.0.1:${replicator.port}->`
    const answers = calls.filter(({ name, target }) => /^(write|send)/.test(name) && target.includes(ofAgent))
    expect(writes, 'one write for the blocks, one for the zeros').toHaveLength(2)
    expect(answers.length).toBeGreaterThanOrEqual(2)
    for (const [index, write] of writes.entries()) {
      const flush = flushes.find(({ beganAt }) => beganAt > write.endedAt)
      if (flush === undefined) expect.fail(`Nothing was flushed after write ${index}`)
      const before = writes[index - 1]?.endedAt ?? -1
      const early = answers.filter(({ beganAt }) => beganAt > write.beganAt && beganAt < flush.endedAt)
      expect(early, 'nothing is answered between a write and the end of its flush').toEqual([])
      const next = answers.find(({ beganAt }) => beganAt > flush.endedAt)
      expect(next, 'the answer comes after the flush').toBeDefined()
      expect(write.beganAt).toBeGreaterThan(before)
    }
    const marked = calls.find(
      ({ name, target }) => name.startsWith('rename') && target.includes('checkpoint.json'),
    )
    const flushed = calls.find(
      ({ name, target }) => name === 'fsync' && target.includes('checkpoint.json.next>'),
    )
    expect(flushed?.endedAt, 'the mark is flushed before it takes its place').toBeLessThan(
      marked?.beganAt ?? -1,
    )
    expect(marked?.endedAt, 'segments are marked before the first write').toBeLessThan(
      writes[0]?.beganAt ?? -1,
    )
    const named = calls.find(
      ({ name, target, beganAt }) =>
        name === 'fsync' && target.includes('/volumes/vol-0>') && beganAt > (marked?.endedAt ?? Infinity),
    )
    expect(named?.endedAt, 'and the name is durable too').toBeLessThan(writes[0]?.beganAt ?? -1)
  })
})
