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

/**
 * A tenth of the weight of the thread that answers (sched(7)), and all of a processor that is idle. With the least there is, that thread waits at the end of
 * a collection for one of them that other processes keep from running: 375 ms where three were busy on two cores, 115 with this, 34 without.
 */
const niceness = 10

/** Lowers the priority of the collector's threads of this process. @returns how many there are; none where there is no Linux. */
export async function yieldCollectorThreads(): Promise<number> {
  if (process.platform !== 'linux') return 0
  const ids = await readdir(threadsFolder)
  const names = await Promise.all(ids.map((id) => readFile(`${threadsFolder}/${id}/comm`, 'utf8')))
  const collectors = ids.filter((_, index) => names[index]?.trim() === collectorThreadName)
  for (const id of collectors) setPriority(Number(id), niceness)
  return collectors.length
}
