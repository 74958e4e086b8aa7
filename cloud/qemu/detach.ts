/**
 * Making disks stand alone: what they stand on is copied into them, while the machine runs or while it does not.
 * @module
 */
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { QemuContext } from './context.ts'
import { diskName } from './layout.ts'
import { diskNode } from './machine_command.ts'
import { backingFile } from './overlay.ts'
import { withMachine } from './qmp.ts'

const pollMs = 200
const rebaseTimeoutMs = 24 * 3_600_000
const jobSchema = z.object({ id: z.string(), status: z.string(), error: z.string().optional() })
type Job = z.infer<typeof jobSchema>

/**
 * Makes the disks of the machine in `folder` stand alone. Can be called again after a crash: it takes up what is under way.
 * @throws Error naming the disk when copying failed.
 */
export async function detachDisks(
  context: QemuContext,
  folder: string,
  diskCount: number,
  running: boolean,
): Promise<void> {
  for (let index = 0; index < diskCount; index += 1) {
    const disk = path.join(folder, diskName(index))
    if ((await backingFile(context, disk)) === undefined) continue
    if (running) await stream(folder, index)
    else await context.tools.run('qemu-img', ['rebase', '-f', 'qcow2', '-b', '', disk], rebaseTimeoutMs)
    const left = await backingFile(context, disk)
    if (left !== undefined)
      throw new Error(`Cannot make disk ${disk} stand alone: it still stands on ${left}`)
  }
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
        // A job that does not vanish by itself tells how it ended even to a process that was not there.
        const args = { 'job-id': id, device: diskNode(index), 'auto-dismiss': false }
        await qmp.execute('block-stream', args)
        begun = true
        return { id, status: 'created' }
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
