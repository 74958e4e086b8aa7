/**
 * The program of a thread that reads blocks of a disk and hashes them, one job after the other. What it cannot read it says, and does no more:
 * whoever asked reads again and finds out what is wrong with the disk.
 * @module
 */
import { readlinkSync, readSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { HashAnswer, HashJob, HashThreadData } from './hash_job.ts'
import { errorMessage } from '../../domain/errors.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { blockHashes } from '../../wire/hash.ts'
import { hashBytes } from '../../wire/message.ts'
import { setNativeDirectories } from '../native_directories.ts'
import { AlignedPool } from './aligned_pool.ts'

/** What O_DIRECT asks of every length. */
const alignmentBytes = 4096

/** The server's own work comes first: where nothing else runs, the thread is as fast as any. */
const niceness = 10

/** Lowers the priority of this thread alone; one that keeps its priority works all the same. */
function giveWay(): string | undefined {
  try {
    const thread = readlinkSync('/proc/thread-self')
    setPriority(Number(thread.slice(thread.lastIndexOf('/') + 1)), niceness)
    return undefined
  } catch (error) {
    return errorMessage(error)
  }
}

/** Bytes read at once: what was read is hashed while it is still in the processor's cache, which saves a fifth of the time of both. */
const readBytes = 4 * blockSizeBytes

/** Reads `job` through `memory` and hashes it. @throws Error of the disk, or when it ends before the job. */
function hashesOf(job: HashJob, memory: Uint8Array): Uint8Array {
  const { fd, offsetBytes, lengthBytes } = job
  const hashes = new Uint8Array(Math.ceil(lengthBytes / blockSizeBytes) * hashBytes)
  for (let done = 0; done < lengthBytes; done += readBytes) {
    const length = Math.min(readBytes, lengthBytes - done)
    const wanted = Math.ceil(length / alignmentBytes) * alignmentBytes
    const bytesRead = readSync(fd, memory, 0, wanted, offsetBytes + done)
    if (bytesRead < length) throw new Error(`Only ${done + bytesRead} of ${lengthBytes} bytes were read`)
    hashes.set(blockHashes(memory.subarray(0, length)), (done / blockSizeBytes) * hashBytes)
  }
  return hashes
}

/** Answers the jobs that come through `port`. */
async function serve(port: NonNullable<typeof parentPort>): Promise<void> {
  setNativeDirectories((workerData as HashThreadData).nativeDirectories)
  const refusal = giveWay()
  const { bytes } = await new AlignedPool(1).acquire()
  const answer = (job: HashJob): HashAnswer => {
    try {
      return { id: job.id, hashes: hashesOf(job, bytes) }
    } catch (error) {
      return { id: job.id, reason: errorMessage(error) }
    }
  }
  port.on('message', (job: HashJob) => port.postMessage(answer(job)))
  if (refusal !== undefined) port.postMessage({ warning: `Hash threads keep their priority: ${refusal}` })
}

if (parentPort !== null) void serve(parentPort)
