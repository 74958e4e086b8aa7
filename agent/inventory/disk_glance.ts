/**
 * A glance at the machine's disks: tells by a few small files whether a whole look is worth it, which takes dozens of files for each disk.
 * @module
 */
import type { SystemFiles } from './system_files.ts'
import { attachmentOf } from './disk_identity.ts'

/**
 * A text that becomes another one when a disk comes, goes, grows or is exchanged for another one, and when a named file changes its size. What it does
 * not tell: that a disk is used in another way.
 *
 * @param named what stands after `--devices`.
 */
export async function glanceAtDisks(files: SystemFiles, named: readonly string[] = []): Promise<string> {
  const attachments: string[] = []
  for (const name of await files.list('/sys/block'))
    attachments.push(`${name} ${await attachmentOf(files, `/sys/block/${name}`)}`)
  const facts: string[] = []
  for (const name of named) facts.push(JSON.stringify(await files.facts(name)))
  return [await files.readText('/proc/partitions'), ...attachments, ...facts].join('\n')
}
