/**
 * `rehost audit …`: the audit log as a file, and the proof that nothing of it was changed.
 * @module
 */
import { createHash } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { AuditEntry } from '../../domain/audit.ts'
import { ChainCheck } from '../../domain/audit.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say } from '../terminal.ts'

const pageEntries = 1000

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** @throws Error for what is no hash: that it is not in the log would say nothing of the log. */
function readHash(text: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return text.toLowerCase()
  throw new Error(
    `Cannot look for ${text}: it is no hash, which has 64 hexadecimal digits, and this has ${text.length} characters; give the last hash as rehost audit verify printed it`,
  )
}

interface AuditPage {
  items: AuditEntry[]
  nextToken?: string
}

/** Every entry of the service, in order. */
async function* entriesOfService(): AsyncGenerator<AuditEntry> {
  const api = new ApiClient(await findAccess(process.env))
  for (let after: string | undefined = '0'; after !== undefined;) {
    const page: AuditPage = await api.get<AuditPage>(`/audit?nextToken=${after}&limit=${pageEntries}`)
    yield* page.items
    after = page.nextToken
  }
}

/** Every entry of a file that `rehost audit export` wrote. @throws Error naming the line that is none. */
async function* entriesOfFile(file: string): AsyncGenerator<AuditEntry> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '')
  for (const [index, line] of lines.entries()) {
    try {
      yield JSON.parse(line) as AuditEntry
    } catch (error) {
      throw new Error(`Line ${index + 1} of ${file} is no entry of the audit log`, { cause: error })
    }
    await Promise.resolve()
  }
}

/** Adds the commands. */
export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description('the audit log: who asked for what')
  audit
    .command('export')
    .argument('<file>', 'where to write it, an entry on each line as JSON')
    .description('write the whole audit log to a file')
    .action(async (file: string) => {
      const handle = await open(file, 'w', 0o600)
      let count = 0
      try {
        for await (const entry of entriesOfService()) {
          await handle.write(`${JSON.stringify(entry)}\n`)
          count += 1
        }
      } finally {
        await handle.close()
      }
      say(`${count} entries written to ${file}`)
    })
  audit
    .command('verify')
    .argument('[file]', 'an exported log; without one the log of the service is looked at')
    .option(
      '--head <hash>',
      'the last hash as it was known before: the log must still have that entry',
      readHash,
    )
    .description('prove that no entry was changed, taken out or put in')
    .action(async (file: string | undefined, { head }: { head?: string }) => {
      const check = new ChainCheck(hashOf)
      let isHeadFound = head === undefined
      for await (const entry of file === undefined ? entriesOfService() : entriesOfFile(file)) {
        const broken = check.next(entry)
        if (broken !== undefined)
          throw new Error(`The audit log is broken at entry ${broken.sequence}: ${broken.reason}`)
        if (entry.hash === head) isHeadFound = true
      }
      if (!isHeadFound)
        throw new Error(`The audit log has no entry with the hash ${head}: its end was cut off`)
      say(`${check.last.sequence} entries, none changed. Last hash: ${check.last.hash}`)
    })
}
