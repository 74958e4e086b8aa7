/**
 * `rehost keys …`: access keys for the AWS CLI and SDKs, Terraform and scripts.
 * @module
 */
import type { Command } from 'commander'
import { Option } from 'commander'
import type { AccessKey } from '../../domain/enrolment.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say } from '../terminal.ts'

/** A key as the service shows it. */
export type KeyView = Omit<AccessKey, 'sealedSecret'>

/** A key just made. The secret is in no later answer. */
export type NewKey = KeyView & { secretAccessKey: string }

interface CreateOptions {
  role: AccessKey['role']
  scope?: string[]
  days?: number
  json?: boolean
}

/** A line for each key. */
export function keyLines(keys: readonly KeyView[]): string[] {
  return keys.map(({ accessKeyId, status, role, name, scopes, lastUsedAt, expiresAt }) => {
    const used = lastUsedAt === undefined ? 'never used' : `used ${lastUsedAt}`
    const end = expiresAt === undefined ? '' : `  until ${expiresAt}`
    return `${accessKeyId}  ${status}  ${role}  ${name}  ${scopes.join(' ')}  ${used}${end}`
  })
}

const client = async (): Promise<ApiClient> => new ApiClient(await findAccess(process.env))
const pathOf = (id: string): string => `/access-keys/${encodeURIComponent(id)}`

/** Adds the commands. */
export function addKeyCommands(program: Command): void {
  const keys = program
    .command('keys')
    .description('access keys for the AWS CLI, SDKs and Terraform: create, list, disable, enable, delete')
  keys
    .command('create')
    .description('make an access key and print its secret, which is not shown again')
    .argument('<name>', 'what it is for')
    .addOption(
      new Option('--role <role>', 'what it may do')
        .choices(['viewer', 'operator', 'admin'])
        .default('operator'),
    )
    .option('--scope <operation...>', 'only these operations, such as mgn:StartTest or mgn:Describe*')
    .option('--days <count>', 'how long it may be used; for ever when left out', Number)
    .option('--json', 'print JSON')
    .action(async (name: string, options: CreateOptions) => {
      const { role, scope: scopes, days: lifetimeDays, json } = options
      const api = await client()
      const key = await api.post<NewKey>('/access-keys', { name, role, scopes, lifetimeDays })
      if (json === true) return say(JSON.stringify(key, null, 2))
      say(`export AWS_ACCESS_KEY_ID=${key.accessKeyId}`)
      say(`export AWS_SECRET_ACCESS_KEY=${key.secretAccessKey}`)
    })
  keys
    .command('list')
    .description('list access keys')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => {
      const { items } = await (await client()).get<{ items: KeyView[] }>('/access-keys')
      if (options.json === true) return say(JSON.stringify(items, null, 2))
      say(items.length === 0 ? 'There are no access keys' : keyLines(items).join('\n'))
    })
  const changes = [
    { command: 'disable', status: 'INACTIVE', description: 'refuse an access key until it is enabled again' },
    { command: 'enable', status: 'ACTIVE', description: 'accept an access key again that was disabled' },
  ]
  for (const { command, status, description } of changes) {
    keys
      .command(command)
      .description(description)
      .argument('<key>', 'access key id')
      .option('--json', 'print JSON')
      .action(async (id: string, options: { json?: boolean }) => {
        const key = await (await client()).put<KeyView>(`${pathOf(id)}/status`, { status })
        say(options.json === true ? JSON.stringify(key, null, 2) : keyLines([key]).join('\n'))
      })
  }
  keys
    .command('delete')
    .description('delete an access key for good')
    .argument('<key>', 'access key id')
    .action(async (id: string) => {
      await (await client()).delete(pathOf(id))
      say(`${id} is deleted`)
    })
}
