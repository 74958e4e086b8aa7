/**
 * `rehost webhooks test`, `deliveries`, `attempts`, `redeliver` and `replay`: what was sent, and sending it again.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { Option } from 'commander'
import type { WebhookAttempt, WebhookDelivery } from '../../domain/webhook.ts'
import type { ApiClient } from '../api_client.ts'
import { remark, say, visibleLine } from '../terminal.ts'
import { serverIdOf } from './server_argument.ts'
import { client, pathOf } from './webhooks.ts'

/** A receiver that is well answers within this time. */
const settleWaitMs = 5000
const lookAgainMs = 250

interface RangeOptions {
  from?: string
  to?: string
  server?: string
  fromSequence?: number
  toSequence?: number
  json?: boolean
}

function deliveryLine({ deliveryId, state, attempts, eventAt, detailType }: WebhookDelivery): string {
  return `${deliveryId}  ${state}  ${eventAt}  ${detailType}  ${attempts} ${attempts === 1 ? 'try' : 'tries'}`
}

function attemptLine(own: WebhookAttempt): string {
  const { at, deliveryId, outcome, attempt, statusCode, problem, durationMs, detailType } = own
  const answer = problem ?? `answered ${statusCode ?? ''}`
  return `${at}  ${deliveryId}  ${outcome}  ${detailType}  try ${attempt}, ${durationMs} ms, ${answer}`
}

function print<T>(items: readonly T[], line: (item: T) => string, none: string, isJson = false): void {
  if (isJson) return say(JSON.stringify(items, null, 2))
  say(items.length === 0 ? none : items.map((item) => visibleLine(line(item))).join('\n'))
}

/** What `look` finds once it is `wanted`, or as it is after a few seconds. */
async function lookFor<T>(look: () => Promise<T>, wanted: (found: T) => boolean): Promise<T> {
  for (const endMs = Date.now() + settleWaitMs; ;) {
    const found = await look()
    if (wanted(found) || Date.now() >= endMs) return found
    await sleep(lookAgainMs)
  }
}

/** Why a delivery was not taken. It is written down a moment after the delivery is settled. */
async function failureOf(
  api: ApiClient,
  webhook: string,
  { deliveryId }: WebhookDelivery,
): Promise<string | undefined> {
  const attempt = await lookFor(
    async () => {
      const { items } = await api.get<{ items: WebhookAttempt[] }>(`${pathOf(webhook)}/attempts?limit=100`)
      return items.find((own) => own.deliveryId === deliveryId)
    },
    (found) => found !== undefined,
  )
  if (attempt?.problem === undefined) return undefined
  const { problem, responseBegin = '' } = attempt
  // The receiver chose the answer: in quotes it is told from our own words.
  return responseBegin === '' ? problem : `${problem}: ${JSON.stringify(responseBegin)}`
}

/** Adds the commands to those of `rehost webhooks`. */
export function addDeliveryCommands(webhooks: Command): void {
  const json = ['--json', 'print JSON'] as const
  const id = ['<webhook>', 'webhook id, wh-…'] as const

  webhooks
    .command('test')
    .description(
      'send an event that is only a test, once, and wait a few seconds for what comes of it; exit code 1 when it is not taken',
    )
    .argument(...id)
    .option(...json)
    .action(async (webhook: string, options: { json?: boolean }) => {
      const api = await client()
      const sent = await api.post<WebhookDelivery>(`${pathOf(webhook)}/test`)
      const path = `${pathOf(webhook)}/deliveries/${encodeURIComponent(sent.deliveryId)}`
      const delivery = await lookFor(
        () => api.get<WebhookDelivery>(path),
        ({ state }) => state !== 'PENDING',
      )
      print([delivery], deliveryLine, '', options.json)
      if (delivery.state === 'PENDING')
        remark(`It is still under way; see rehost webhooks attempts ${webhook}`)
      if (delivery.state !== 'DEAD') return
      const failure = await failureOf(api, webhook, delivery)
      remark(`It was not taken: ${failure ?? `see rehost webhooks attempts ${webhook}`}`)
      process.exitCode = 1
    })

  webhooks
    .command('deliveries')
    .description('what is, was or could not be delivered')
    .argument(...id)
    .addOption(new Option('--state <state>', 'only these').choices(['PENDING', 'DELIVERED', 'DEAD']))
    .option('--server <server>', 'only events of this source server: s-…, or your own id of it')
    .option(...json)
    .action(async (webhook: string, options: { state?: string; server?: string; json?: boolean }) => {
      const { state, server, json: isJson } = options
      const api = await client()
      const query = new URLSearchParams({
        ...(state === undefined ? {} : { state }),
        ...(server === undefined ? {} : { sourceServerId: await serverIdOf(api, server) }),
      })
      const path = `${pathOf(webhook)}/deliveries?${query.toString()}`
      print(await api.getAll<WebhookDelivery>(path), deliveryLine, 'There are no deliveries', isJson)
    })

  webhooks
    .command('attempts')
    .description('the tries and what was answered, newest first')
    .argument(...id)
    .option('--limit <count>', 'how many, up to 1000', '50')
    .option(...json)
    .action(async (webhook: string, options: { limit: string; json?: boolean }) => {
      const path = `${pathOf(webhook)}/attempts?limit=${encodeURIComponent(options.limit)}`
      const { items } = await (await client()).get<{ items: WebhookAttempt[] }>(path)
      print(items, attemptLine, 'Nothing has been sent yet', options.json)
    })

  webhooks
    .command('redeliver')
    .description('send one delivery again')
    .argument(...id)
    .argument('<delivery>', 'as rehost webhooks deliveries shows it')
    .option(...json)
    .action(async (webhook: string, delivery: string, options: { json?: boolean }) => {
      const path = `${pathOf(webhook)}/deliveries/${encodeURIComponent(delivery)}/redeliver`
      print([await (await client()).post<WebhookDelivery>(path)], deliveryLine, '', options.json)
    })

  webhooks
    .command('replay')
    .description('send events of a time, or of a server, once more')
    .argument(...id)
    .option('--from <time>', 'from this time on, as 2026-03-01T12:00:00Z')
    .option('--to <time>', 'up to this time')
    .option('--server <server>', 'only events of this source server: s-…, or your own id of it')
    .option('--from-sequence <number>', 'from this event of the server on', Number)
    .option('--to-sequence <number>', 'up to this event of the server', Number)
    .option(...json)
    .action(async (webhook: string, { server, json: isJson, ...range }: RangeOptions) => {
      const api = await client()
      const sourceServerId = server === undefined ? undefined : await serverIdOf(api, server)
      const path = `${pathOf(webhook)}/replay`
      const answer = await api.post<{ deliveries: number }>(path, { ...range, sourceServerId })
      say(
        isJson === true
          ? JSON.stringify(answer)
          : `${answer.deliveries} deliveries to ${webhook} are sent again`,
      )
    })
}
