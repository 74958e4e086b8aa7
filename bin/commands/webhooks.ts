/**
 * `rehost webhooks …`: the endpoints that events are sent to.
 * @module
 */
import type { Command } from 'commander'
import { Option } from 'commander'
import type { WebhookEndpoint, WebhookSecret } from '../../domain/webhook.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say } from '../terminal.ts'

/** An endpoint as the service shows it. */
type WebhookView = Omit<WebhookEndpoint, 'secrets'> & { secrets: Omit<WebhookSecret, 'sealed'>[] }

interface FieldOptions {
  url?: string
  description?: string
  pattern?: unknown
  secret?: string
  enable?: boolean
  disable?: boolean
  json?: boolean
}

/** The client that every command asks with. */
export const client = async (): Promise<ApiClient> => new ApiClient(await findAccess(process.env))

/** Where an endpoint is. */
export const pathOf = (id: string): string => `/webhooks/${encodeURIComponent(id)}`

/** @throws Error for what is no JSON. */
function readPattern(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error('Cannot read --pattern: it is not JSON', { cause: error })
  }
}

function line({ webhookId, isEnabled, url, description, disabledBecause }: WebhookView): string {
  const state = isEnabled
    ? 'enabled'
    : `disabled${disabledBecause === undefined ? '' : `: ${disabledBecause}`}`
  return [webhookId, url, state, ...(description === '' ? [] : [description])].join('  ')
}

/** All of an endpoint, but for its secrets. */
function lines(endpoint: WebhookView): string[] {
  const secrets = endpoint.secrets.map(
    ({ createdAt, signsUntil }) =>
      `  signed with a secret made ${createdAt}${signsUntil === undefined ? '' : `, until ${signsUntil}`}`,
  )
  const made = `  made ${endpoint.createdAt} by ${endpoint.createdBy}`
  return [line(endpoint), `  events ${JSON.stringify(endpoint.pattern)}`, made, ...secrets]
}

function show(endpoint: WebhookView & { secret?: string }, isJson = false): void {
  if (isJson) return say(JSON.stringify(endpoint, null, 2))
  const { secret, ...shown } = endpoint
  say(lines(shown).join('\n'))
  if (secret !== undefined) say(`Its secret, which is not shown again: ${secret}`)
}

/** Adds the commands, and returns what others may be added to. */
export function addWebhookCommands(program: Command): Command {
  const webhooks = program.command('webhooks').description('where events are sent, and what came of it')
  const json = ['--json', 'print JSON'] as const
  const pattern = ['--pattern <json>', 'which events, as a pattern of EventBridge', readPattern] as const
  const id = ['<webhook>', 'webhook id, wh-…'] as const

  webhooks
    .command('list')
    .description('list the endpoints')
    .option(...json)
    .action(async (options: FieldOptions) => {
      const { items } = await (await client()).get<{ items: WebhookView[] }>('/webhooks')
      if (options.json === true) return say(JSON.stringify(items, null, 2))
      say(items.length === 0 ? 'There are no webhooks' : items.map(line).join('\n'))
    })

  webhooks
    .command('add')
    .description('send events to a URL from now on; prints the secret that signs them')
    .argument('<url>', 'https://…')
    .option('--description <text>', 'what it is for')
    .option(...pattern)
    .option('--secret <secret>', 'whsec_…; made up when left out')
    .option(...json)
    .action(async (url: string, { json: isJson, ...fields }: FieldOptions) =>
      show(await (await client()).post('/webhooks', { url, ...fields }), isJson),
    )

  webhooks
    .command('show')
    .description('one endpoint')
    .argument(...id)
    .option(...json)
    .action(async (webhook: string, options: FieldOptions) =>
      show(await (await client()).get(pathOf(webhook)), options.json),
    )

  webhooks
    .command('change')
    .description('change an endpoint; what is left out stays')
    .argument(...id)
    .option('--url <url>', 'where to send')
    .option('--description <text>', 'what it is for')
    .option(...pattern)
    .option('--enable', 'send again, beginning with what waits')
    .addOption(new Option('--disable', 'send nothing; what waits stays').conflicts('enable'))
    .option(...json)
    .action(async (webhook: string, { json: isJson, enable, disable, ...fields }: FieldOptions) => {
      const isEnabled = enable === true ? true : disable === true ? false : undefined
      show(await (await client()).put(pathOf(webhook), { ...fields, isEnabled }), isJson)
    })

  webhooks
    .command('rotate-secret')
    .description('make another secret; the one before signs too for a day, or as long as is said')
    .argument(...id)
    .option('--overlap <seconds>', 'how long the one before signs too; 0 for not at all', Number)
    .option('--secret <secret>', 'whsec_…; made up when left out')
    .option(...json)
    .action(async (webhook: string, options: { overlap?: number; secret?: string; json?: boolean }) => {
      const { overlap: overlapSeconds, secret, json: isJson } = options
      const path = `${pathOf(webhook)}/rotate-secret`
      show(await (await client()).post(path, { overlapSeconds, secret }), isJson)
    })

  webhooks
    .command('delete')
    .description('delete an endpoint with what waits for it')
    .argument(...id)
    .action(async (webhook: string) => {
      await (await client()).delete(pathOf(webhook))
      say(`${webhook} is deleted`)
    })
  return webhooks
}
