import { afterEach, beforeEach, expect, it } from 'vitest'
import type { WebhookDelivery, WebhookEndpoint } from '../../../domain/webhook.ts'
import { listAll } from '../../../store/listing.ts'
import { LaneRunner } from '../../../workers/webhooks/lane_runner.ts'
import { newId } from '../../../domain/ids.ts'
import { relayById } from '../../../workers/relay.ts'
import { until } from '../../fixtures/waiting.ts'
import { happen, putQuietServer, runnerParts, webhookBench } from '../../fixtures/webhook_world.ts'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

let cli: CliGateway

beforeEach(async () => {
  cli = await cliGateway()
})

afterEach(() => cli.close())

const webhooks = (...words: string[]) => cli.rehost('webhooks', ...words)
const stored = async (): Promise<WebhookEndpoint[]> => listAll(cli.gateway.store, 'webhook')
const deliveries = async (id: string): Promise<WebhookDelivery[]> =>
  listAll(cli.gateway.store, 'webhookDelivery', id)
const secretOf = (endpoint: WebhookEndpoint | undefined): string =>
  cli.gateway.services.secretBox.unseal(endpoint?.secrets[0]?.sealed ?? '', endpoint?.webhookId ?? '')

it('rehost webhooks makes, shows, changes and deletes an endpoint', { timeout: 120_000 }, async () => {
  expect((await webhooks('list')).stdout).toBe('There are no webhooks\n')
  const url = 'https://hooks.example/in'
  const made = await webhooks('add', url, '--description', 'pager', '--pattern', '{"source":["aws.mgn"]}')
  const [endpoint] = await stored()
  const id = endpoint?.webhookId ?? ''
  expect(endpoint).toMatchObject({ url, description: 'pager', pattern: { source: ['aws.mgn'] } })
  expect(made.stdout).toContain(`${id}  ${url}  enabled  pager\n  events {"source":["aws.mgn"]}\n`)
  expect(made.stdout).toContain(`Its secret, which is not shown again: ${secretOf(endpoint)}\n`)

  expect((await webhooks('list')).stdout).toBe(`${id}  ${url}  enabled  pager\n`)
  const changed = await webhooks('change', id, '--url', 'https://hooks.example/other', '--disable', '--json')
  expect(JSON.parse(changed.stdout)).toMatchObject({ isEnabled: false, description: 'pager' })
  expect((await stored())[0]).toMatchObject({ url: 'https://hooks.example/other', isEnabled: false })
  await webhooks('change', id, '--enable')
  expect((await stored())[0]?.isEnabled).toBe(true)

  const rotated = await webhooks('rotate-secret', id, '--overlap', '60')
  expect(rotated.stdout).toContain(`not shown again: ${secretOf((await stored())[0])}\n`)
  const shown = (await webhooks('show', id)).stdout
  expect(shown).toContain(
    'signed with a secret made 2026-03-01T12:00:00.000Z, until 2026-03-01T12:01:00.000Z',
  )
  expect(shown).not.toContain('whsec_')

  expect((await webhooks('delete', id)).stdout).toBe(`${id} is deleted\n`)
  expect(await stored()).toEqual([])
  expect(await webhooks('show', id)).toMatchObject({ code: 1, stderr: `Cannot find webhook ${id}\n` })
})

it('rehost webhooks shows what was sent, and sends it again', { timeout: 120_000 }, async () => {
  const { store, now } = cli.gateway
  const { webhookId: id } = JSON.parse(
    (await webhooks('add', 'https://hooks.example/in', '--pattern', '{"source":["rehost"]}', '--json'))
      .stdout,
  ) as WebhookEndpoint
  const server = await putQuietServer(store, now().toISOString())
  await happen(store, server, now().toISOString())
  const bench = webhookBench(store, now)
  await relayById(bench, server)
  const { secretBox: secrets } = cli.gateway.services
  const runner = new LaneRunner(
    runnerParts(bench, newId('machine'), () => Promise.resolve({ statusCode: 204 }), { secrets }),
  )
  await runner.run(id, server, new AbortController().signal)
  const [delivery] = await deliveries(id)
  const own = delivery?.deliveryId ?? ''

  const listed = await webhooks('deliveries', id, '--state', 'DELIVERED', '--server', server)
  expect(listed.stdout).toMatch(new RegExp(`^${own}  DELIVERED  .*  1 try\n$`))
  expect((await webhooks('deliveries', id, '--state', 'DEAD')).stdout).toBe('There are no deliveries\n')
  expect((await webhooks('attempts', id)).stdout).toMatch(
    new RegExp(`  ${own}  DELIVERED  .*  try 1, \\d+ ms, answered 204\n$`),
  )
  expect((await webhooks('redeliver', id, own)).stdout).toMatch(/  PENDING  .*  0 tries\n$/)
  expect((await deliveries(id))[0]).toMatchObject({ state: 'PENDING', attempts: 0 })

  const isTest = ({ laneId }: WebhookDelivery) => laneId === 'test'
  const waiting = webhooks('test', id, '--json')
  await until('the test is to be sent', async () => (await deliveries(id)).some(isTest))
  await runner.run(id, 'test', new AbortController().signal)
  const tested = await waiting
  expect([tested.code, tested.stderr]).toEqual([undefined, ''])
  expect(JSON.parse(tested.stdout)).toMatchObject([
    { laneId: 'test', detailType: 'Rehost Webhook Test', state: 'DELIVERED', attempts: 1 },
  ])
  expect(await deliveries(id)).toHaveLength(2)
  const refusing = new LaneRunner(
    runnerParts(
      bench,
      newId('machine'),
      () => Promise.resolve({ statusCode: 500, responseBegin: 'no \u001b[2J', problem: 'Answered 500' }),
      { secrets },
    ),
  )
  cli.gateway.pass(1000)
  const refused = webhooks('test', id)
  await until('another test is to be sent', async () => (await deliveries(id)).filter(isTest).length === 2)
  await refusing.run(id, 'test', new AbortController().signal)
  expect(await refused).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/  DEAD  .*  1 try\n$/),
    stderr: 'It was not taken: Answered 500: "no \\u001b[2J"\n',
  })
  const open = await webhooks('test', id)
  expect([open.code, open.stderr]).toEqual([
    undefined,
    `It is still under way; see rehost webhooks attempts ${id}\n`,
  ])

  const replayed = await webhooks(
    'replay',
    id,
    '--server',
    server,
    '--from-sequence',
    '1',
    '--to-sequence',
    '9',
  )
  expect(replayed.stdout).toMatch(new RegExp(`^[1-9]\\d* deliveries to ${id} are sent again\n$`))
  const wrong = await webhooks('replay', id)
  expect(wrong).toMatchObject({ code: 1 })
  expect(wrong.stderr).toContain('say from when (from)')
})
