import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const moduleFile = join(import.meta.dirname, '../../../gateway/collector_threads.ts')

/** Run in a process of its own: what it does to its threads stays there. Prints what came back, and the priority of each thread by name. */
const program = `
import { readFileSync, readdirSync } from 'node:fs'
import { getPriority } from 'node:os'
import { yieldCollectorThreads } from ${JSON.stringify(moduleFile)}
const count = await yieldCollectorThreads()
const threads = readdirSync('/proc/self/task').map((id) => ({
  name: readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim(),
  priority: getPriority(Number(id)),
}))
process.stdout.write(JSON.stringify({ count, threads }))
`

describe('yieldCollectorThreads()', () => {
  it('lowers the priority of the threads of the garbage collector, and of no other', async () => {
    const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    const { count, threads } = JSON.parse(stdout) as {
      count: number
      threads: { name: string; priority: number }[]
    }
    const own = threads.find(({ name }) => name === 'MainThread')?.priority
    expect(count).toBeGreaterThan(0)
    expect(own).toBeLessThan(10)
    expect(threads.filter(({ priority }) => priority === 10).map(({ name }) => name)).toEqual(
      Array.from({ length: count }, () => 'V8Worker'),
    )
    expect(threads.filter(({ priority }) => priority !== own && priority !== 10)).toEqual([])
  })
})
