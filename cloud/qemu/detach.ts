/**
 * Making disks stand alone: what they stand on is copied into them, while the machine runs or while it does not. What they stood on
 * may be removed afterwards, so everything is on the disk before a header says that it is: a copy that is only in QEMU's or the
 * kernel's memory would be lost with it.
 * @module
 */
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { QemuContext } from './context.ts'
import { flush } from './files.ts'
import { diskName } from './layout.ts'
import { diskNode } from './machine_command.ts'
import { backingFile } from './overlay.ts'
import { withMachine, type Qmp } from './qmp.ts'

const pollMs = 200
/** A flush may have much of a copy to write. */
const flushTimeoutMs = 10 * 60_000
const rebaseTimeoutMs = 24 * 3_600_000
const jobSchema = z.object({ id: z.string(), status: z.string(), error: z.string().optional() })
type Job = z.infer<typeof jobSchema>

/**
 * Makes the disks of the machine in `folder` stand alone, durably. Can be called again after a crash: it takes up what is under way.
 * @throws Error naming the disk when copying or flushing failed.
 */
export async function detachDisks(
  context: QemuContext,
  folder: string,
  diskCount: number,
  running: boolean,
): Promise<void> {
  for (let index = 0; index < diskCount; index += 1) {
    const disk = path.join(folder, diskName(index))
    if ((await backingFile(context, disk)) !== undefined) {
      if (running) await stream(folder, index)
      else await rebase(context, disk)
      const left = await backingFile(context, disk)
      if (left !== undefined)
        throw new Error(`Cannot make disk ${disk} stand alone: it still stands on ${left}`)
    }
    // Also one that stands alone already: a crash may have come between its header and this.
    if (running) await withMachine(folder, (qmp) => flushDisk(qmp, folder, index))
    else await flush(disk)
  }
  await flush(folder)
}

/** Copies while no machine has the disk open. Each write is flushed, so that the header, which comes last, never says too much. */
async function rebase(context: QemuContext, disk: string): Promise<void> {
  const args = ['rebase', '-f', 'qcow2', '-t', 'writethrough', '-b', '', disk]
  await context.tools.run('qemu-img', args, rebaseTimeoutMs)
}

/** Has QEMU write all it holds of a disk, tables too, down to the device. @throws Error with QEMU's words. */
async function flushDisk(qmp: Qmp, folder: string, index: number): Promise<void> {
  // Most of it from here, as the guest's disks stand still while QEMU flushes.
  await flush(path.join(folder, diskName(index)))
  // QMP has no flush of its own.
  const args = { 'command-line': `qemu-io ${diskNode(index)} flush` }
  const words = z
    .string()
    .parse(await qmp.execute('human-monitor-command', args, flushTimeoutMs))
    .trim()
  if (words !== '') throw new Error(`Cannot flush disk ${index} of the machine in ${folder}: ${words}`)
}

/** Lets QEMU copy while the guest works. Conversations are short, as others may want to ask the machine something meanwhile. */
async function stream(folder: string, index: number): Promise<void> {
  const id = `detach-${diskNode(index)}`
  let begun = false
  for (;;) {
    const job = await withMachine(folder, async (qmp): Promise<Job> => {
      const jobs = z.array(jobSchema).parse(await qmp.execute('query-jobs'))
      const found = jobs.find((candidate) => candidate.id === id)
      if (found === undefined && !begun) {
        // A job that does not vanish by itself tells how it ended even to a process that was not there. One that does not finalize
        // itself leaves time to flush what it copied before the header says that it is there.
        const kept = { 'auto-dismiss': false, 'auto-finalize': false }
        const args = { 'job-id': id, device: diskNode(index), ...kept }
        await qmp.execute('block-stream', args)
        begun = true
        return { id, status: 'created' }
      }
      if (found?.status === 'pending') {
        await flushDisk(qmp, folder, index)
        await qmp.execute('job-finalize', { id })
      }
      if (found?.status === 'concluded') await qmp.execute('job-dismiss', { id })
      return found ?? { id, status: 'dismissed' }
    })
    if (job.status === 'dismissed') return
    if (job.status === 'concluded') {
      if (job.error === undefined) return
      // A failure left over from an earlier call deserves another try; one of our own is told.
      if (begun) throw new Error(`Cannot copy disk ${index} of the machine in ${folder}: ${job.error}`)
      continue
    }
    begun = true
    await sleep(pollMs)
  }
}
