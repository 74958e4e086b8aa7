/**
 * Starts a hash thread: from its own file, or from the single executable, which carries the thread's program as an asset.
 * @module
 */
import { Worker } from 'node:worker_threads'
import type { HashThreadData } from './hash_job.ts'
import { nativeDirectories } from '../native_directories.ts'

/** The asset; `scripts/build_agent.ts` puts it into the executable. */
const asset = 'hash_thread.cjs'

/** New objects of a thread are a few hashes a millisecond: it needs no room for more, and memory counts on somebody else's server. */
const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 32 }

/** A new thread. @throws Error when the system gives none. */
export function startHashThread(): Worker {
  const workerData: HashThreadData = { nativeDirectories: nativeDirectories() }
  // Asked for at run time: not every runtime has such files.
  const sea = process.getBuiltinModule('node:sea')
  return sea?.isSea()
    ? new Worker(sea.getAsset(asset, 'utf8'), { eval: true, workerData, resourceLimits })
    : new Worker(new URL('./hash_thread.ts', import.meta.url), { workerData, resourceLimits })
}
