/**
 * The threads with which V8 collects garbage beside the one that answers. Each of the four counts as much as that one: where processors are few, a
 * collection that goes through what a fleet of 10,000 servers holds keeps heartbeats waiting for a quarter of a second (measured on one core).
 * They give way here: what they have not got to, V8 does itself in steps of milliseconds between answers.
 * @module
 */
import { readFile, readdir } from 'node:fs/promises'
import { setPriority } from 'node:os'

/** Where Linux shows the threads of this process. */
const threadsFolder = '/proc/self/task'

const collectorThreadName = 'V8Worker'

/** The least that there is: one of them beside the thread that answers gets a hundredth of a processor (sched(7)), and all of one that is idle. */
const niceness = 19

/** Gives the collector's threads of this process the least priority. @returns how many there are; none where there is no Linux. */
export async function yieldCollectorThreads(): Promise<number> {
  if (process.platform !== 'linux') return 0
  const ids = await readdir(threadsFolder)
  const names = await Promise.all(ids.map((id) => readFile(`${threadsFolder}/${id}/comm`, 'utf8')))
  const collectors = ids.filter((_, index) => names[index]?.trim() === collectorThreadName)
  for (const id of collectors) setPriority(Number(id), niceness)
  return collectors.length
}
