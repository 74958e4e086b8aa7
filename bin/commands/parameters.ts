/**
 * `rehost parameters …`: values that post-launch actions take, such as the lines of a script.
 * @module
 */
import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Parameter } from '../../domain/parameter.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say } from '../terminal.ts'

/** A parameter as the service shows it. */
export type ParameterView = Omit<Parameter, 'sealedValue'>

interface PutOptions {
  file?: string
  json?: boolean
}

const client = async (): Promise<ApiClient> => new ApiClient(await findAccess(process.env))
const pathOf = (name: string): string => `/parameters/${encodeURIComponent(name)}`

/** The value that was given. @throws Error when it was given twice, or not at all. */
async function valueOf(value: string | undefined, { file }: PutOptions): Promise<string> {
  if ((value === undefined) === (file === undefined))
    throw new Error('Cannot tell what to keep: give a value, or a file by --file')
  return value ?? (await readFile(file ?? '', 'utf8'))
}

/** Adds the commands. */
export function addParameterCommands(program: Command): void {
  const parameters = program
    .command('parameters')
    .description('values that post-launch actions take, kept sealed: put, list, delete')
  parameters
    .command('put')
    .description('keep a value, in the place of the one before')
    .argument('<name>', 'what actions call it')
    .argument('[value]', 'the value; others on this machine may see it while the command runs')
    .option('--file <path>', 'take the value from a file, such as a script')
    .option('--json', 'print JSON')
    .action(async (name: string, value: string | undefined, options: PutOptions) => {
      const kept = await (
        await client()
      ).put<ParameterView>(pathOf(name), { value: await valueOf(value, options) })
      say(options.json === true ? JSON.stringify(kept, null, 2) : `${kept.name} is kept`)
    })
  parameters
    .command('list')
    .description('list parameters, without their values')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => {
      const { items } = await (await client()).get<{ items: ParameterView[] }>('/parameters')
      if (options.json === true) return say(JSON.stringify(items, null, 2))
      const lines = items.map(
        ({ name, changedAt, changedBy }) => `${name}  changed ${changedAt} by ${changedBy}`,
      )
      say(lines.length === 0 ? 'There are no parameters' : lines.join('\n'))
    })
  parameters
    .command('delete')
    .description('forget a value for good')
    .argument('<name>', 'what actions call it')
    .option('--force', 'also while post-launch actions take it, which fail without it')
    .action(async (name: string, { force }: { force?: boolean }) => {
      await (await client()).delete(force === true ? `${pathOf(name)}?force=true` : pathOf(name))
      say(`${name} is deleted`)
    })
}
