import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { SourceServer } from '../../../domain/source_server.ts'
import { withEvent } from '../../../domain/source_server.ts'
import { answerOf } from '../../../gateway/api/answers/answer_schema.ts'
import type { ForecastView } from '../../../gateway/api/answers/forecast_answers.ts'
import { describedCalls, openApiDocument } from '../../../gateway/api/openapi.ts'
import { mutate } from '../../../store/mutate.ts'
import { relayById } from '../../../workers/relay.ts'
import { webhookBench } from '../../fixtures/webhook_world.ts'
import { checkAnswer, checkedAnswers, operationIds, problemWithComponent } from './answer_check.ts'
import { callAgentPort, enrolment, enrolServer, putServer, upToDate } from './callers.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway
let token: string

beforeEach(async () => {
  gateway = await testGateway()
  token = await gateway.apiToken()
})

afterEach(() => gateway.close())

/** What comes back; `gateway.app` has held it against the document. */
async function call(method: string, path: string, body?: unknown): Promise<Response> {
  const response = await gateway.app.request(`/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`)
  return response
}

const ask = async <T = Record<string, string>>(method: string, path: string, body?: unknown): Promise<T> =>
  (await call(method, path, body)).json() as Promise<T>

/** A list that must not be empty: there would be nothing to check. */
async function list(path: string): Promise<Record<string, string>[]> {
  const { items } = await ask<{ items: Record<string, string>[] }>('GET', path)
  expect(items, path).not.toEqual([])
  return items
}

const at = '2026-03-01T12:00:00.000Z'

/** With live figures, a disk on offer, and an event that was relayed. */
async function livelyServer(): Promise<string> {
  const { sourceServerId } = await enrolServer(gateway)
  await putServer(gateway, sourceServerId, (server) => ({
    ...withEvent(upToDate(gateway)(server), at, { type: 'OPERATOR', message: 'Looked at' }),
    offeredDisks: [{ deviceName: '/dev/sdb', stableId: 'b', sizeBytes: 1_048_576, noticedAt: at }],
  }))
  await relayById(webhookBench(gateway.store, gateway.now), sourceServerId)
  gateway.telemetry.figures.set(sourceServerId, {
    sourceServerId,
    at,
    state: 'CONTINUOUS',
    lagMs: null,
    backlogBytes: 0,
    bytesPerSecond: 0.5,
    durableBytes: 1,
    wireBytes: 1,
    rescans: 0,
    disks: [{ diskIndex: 0, sizeBytes: 1, scannedBytes: 1, backlogBytes: 0, durableBytes: 1 }],
  })
  return sourceServerId
}

/** A server in its first copy, which was said never to end and which a limit holds back; how full its disk is, is known. */
async function copyingServer(): Promise<string> {
  const { sourceServerId } = await enrolServer(gateway, 'copied')
  const usage = { usedBytes: 1, fileSystemBytes: 2 }
  const mark = { at, replicatedBytes: 0, wireBytes: 0 }
  const known = await putServer(gateway, sourceServerId, (server) => ({
    ...server,
    sourceProperties: {
      ...server.sourceProperties,
      disks: server.sourceProperties.disks.map((disk) => ({ ...disk, usage })),
    },
    lifecycle: { ...server.lifecycle, firstByteAt: at },
    copyForecast: { never: { because: 'Blocks change faster' }, madeAt: at, records: 9 },
    initialReplication: {
      state: 'COPYING',
      figures: {
        wire: { generation: 1, runBytes: 0, totalBytes: 0 },
        mark,
        peakBytesPerSecond: 0.5,
        peakWireBytesPerSecond: 0.5,
        usage,
        heldBack: { seconds: 1.5, bytes: 1, since: { ...mark, allowed: null } },
        disks: [],
      },
    },
  }))
  expect(known.sourceProperties.disks).not.toEqual([])
  return sourceServerId
}

const cutOver = (server: SourceServer): SourceServer => ({
  ...upToDate(gateway)(server),
  lifecycle: { ...server.lifecycle, state: 'CUTOVER', lastCutover: { finalized: { apiCallAt: at } } },
  launchedInstance: {
    machineId: 'm-00000000000000001' as never,
    imageId: 'img-00000000000000001' as never,
    snapshotIds: [],
    jobId: 'mgnjob-00000000000000001' as never,
    purpose: 'CUTOVER',
    launchedAt: at,
    firstBoot: 'SUCCEEDED',
  },
})

async function lookAtServers(): Promise<void> {
  const id = await livelyServer()
  for (const path of ['/servers', `/servers/${id}/events`, `/servers/${id}/actions`]) await list(path)
  await call('GET', `/servers/${id}`)
  await call('GET', `/servers/${id}/forecast`)
  await call('PUT', `/servers/${id}/protection`, { newDisks: 'TAKE' })
  await call('GET', `/servers/${id}/protection`)
  await call('POST', `/servers/${id}/disks`, { deviceName: '/dev/sdb', choice: 'REFUSE' })
  const entries = [{ weekdays: ['MON'], from: '08:00', to: '18:00', limit: 'OFF' }]
  await call('PUT', '/bandwidth', {
    calendar: { timeZone: 'UTC', entries },
    sites: [{ name: 'a', limitMbps: 1 }],
  })
  await call('GET', '/bandwidth')
  const replication = { site: 'a', priority: 5, bandwidthCalendar: { timeZone: 'UTC', entries } }
  await call('PUT', `/servers/${id}/replication-configuration`, replication)
  await call('GET', `/servers/${id}/replication-configuration`)
  const launch = { httpChecks: [{ port: 80, path: '/', contains: 'x' }] }
  await call('PUT', `/servers/${id}/launch-configuration`, launch)
  await call('GET', `/servers/${id}/launch-configuration`)
  await lookAtJob(id)
  await lookAtCopy()
}

async function lookAtCopy(): Promise<void> {
  const copied = await copyingServer()
  const { initialReplication } = await ask<SourceServer>('GET', `/servers/${copied}`)
  expect(initialReplication).toMatchObject({ figures: { heldBack: { seconds: 1.5 } } })
  const { accuracy, ...forecast } = await ask<ForecastView>('GET', `/servers/${copied}/forecast`)
  expect(forecast).toMatchObject({
    initialReplication: { kept: { never: { because: 'Blocks change faster' } } },
  })
  expect(accuracy.initialReplications.never).toEqual({ came: 0, givenUp: 0, open: 1 })
}

async function lookAtJob(id: string): Promise<void> {
  const { activeTask } = await ask<SourceServer>('POST', `/servers/${id}/actions/launch-test`)
  const job = activeTask?.jobId ?? ('' as never)
  await gateway.store.create(
    'jobLog',
    { parent: job, id: '1' },
    { jobId: job, logId: '1', at, event: 'JOB_START', message: 'x', attemptCount: 1 },
  )
  await list('/jobs')
  await call('GET', `/jobs/${job}`)
  await list(`/jobs/${job}/log`)
  await list(`/jobs/${job}/tasks`)
  const folder = join(gateway.folder, 'artefacts', job, id)
  await mkdir(folder, { recursive: true })
  for (const name of ['conversion.json', 'serial.log', 'actions.log', 'screenshot.png']) {
    await writeFile(join(folder, name), '{"changes":[]}')
    expect(await (await call('GET', `/jobs/${job}/servers/${id}/${name}`)).text()).toBe('{"changes":[]}')
  }
}

async function lookAtAccess(): Promise<void> {
  const { tokenId = '' } = await ask('POST', '/tokens', {})
  // As while an agent enrols with it.
  const use = { certificateSerial: '1', subject: 's-1', at }
  await mutate(gateway.store, 'token', { id: tokenId }, (token) => ({ ...token, pendingUses: [use] }))
  await list('/tokens')
  await call('GET', `/tokens/${tokenId}`)
  await call('DELETE', `/tokens/${tokenId}`)
  const { accessKeyId } = await ask('POST', '/access-keys', { name: 'a', role: 'viewer' })
  await list('/access-keys')
  await call('GET', `/access-keys/${accessKeyId}`)
  await call('PUT', `/access-keys/${accessKeyId}/status`, { status: 'INACTIVE' })
  await call('DELETE', `/access-keys/${accessKeyId}`)
  const { tokenSha256 } = await ask('POST', '/api-tokens', { name: 'a', role: 'viewer' })
  await list('/api-tokens')
  await call('DELETE', `/api-tokens/${tokenSha256}`)
  await call('PUT', '/parameters/a', { value: 'x' })
  await list('/parameters')
  await call('GET', '/parameters/a')
  await call('DELETE', '/parameters/a')
}

async function lookAtWebhooks(): Promise<void> {
  const wanted = { url: 'https://hooks.example/in', pattern: { source: ['rehost', { prefix: 'aws' }] } }
  const { webhookId } = await ask('POST', '/webhooks', wanted)
  const path = `/webhooks/${webhookId}`
  await list('/webhooks')
  await call('GET', path)
  await call('PUT', path, { description: 'x' })
  await call('POST', `${path}/rotate-secret`, {})
  const { deliveryId = '', eventId = '' } = await ask('POST', `${path}/test`)
  await call('POST', `${path}/replay`, { from: at })
  await list(`${path}/deliveries`)
  await call('GET', `${path}/deliveries/${deliveryId}`)
  await call('POST', `${path}/deliveries/${deliveryId}/redeliver`)
  await gateway.store.create(
    'webhookAttempt',
    { parent: webhookId ?? '', id: '1' },
    {
      at,
      deliveryId,
      eventId,
      detailType: 'x',
      laneId: 'test',
      attempt: 1,
      outcome: 'DELIVERED',
      durationMs: 1.5,
    },
  )
  await list(`${path}/attempts`)
  await call('DELETE', path)
}

async function lookAtHistory(): Promise<void> {
  await list('/events?nextToken=0')
  await (await call('GET', '/events/stream')).body?.cancel()
  await call('GET', '/forecasts/accuracy')
  await gateway.records.add({
    sourceServerId: 's-past',
    hostname: 'past',
    readyForTestAt: '2026-02-01T00:00:00Z',
    replicatedStorageBytes: 1,
    bandwidthThrottlingMbps: 0,
    replicationServerInstanceType: 'local',
    heldBackSeconds: 1,
    heldBackBytes: 1,
    usedBytes: 1,
    fileSystemBytes: 2,
    isForecastNever: true,
  })
  await list('/replication-records')
  await call('GET', '/replication-records?format=csv')
  await list('/audit?limit=1')
  await call('GET', '/audit/export')
  await call('GET', '/installation')
  await callAgentPort(gateway, '/agent/v1/enrol', await enrolment(gateway, { token: 'rehost-nobody-knows' }))
  await list('/installation/refused-calls')
}

describe('answers of /api/v1', () => {
  it('are as the document describes them, each of them', async () => {
    checkedAnswers.clear()
    await lookAtServers()
    await lookAtAccess()
    await lookAtWebhooks()
    await lookAtHistory()
    const { sourceServerId } = await enrolServer(gateway, 'web-2')
    await putServer(gateway, sourceServerId, cutOver)
    const { payload = '' } = await ask('GET', `/servers/${sourceServerId}/certificate`)
    const certificate: unknown = JSON.parse(Buffer.from(payload, 'base64').toString())
    expect(problemWithComponent(certificate, 'MigrationCertificate')).toBeUndefined()
    expect([...checkedAnswers].sort()).toEqual(operationIds.sort())
    expect(operationIds).toHaveLength(describedCalls.length)
  })

  it('are not accepted with a field, a status or a tag that is not described', async () => {
    const path = '/api/v1/installation'
    const installation = await ask('GET', '/installation')
    const answer = (body: unknown, more: ResponseInit = {}) =>
      checkAnswer('GET', path, Response.json(body, more))
    await answer(installation)
    await expect(answer({ ...installation, secret: 1 })).rejects.toThrow(
      'must NOT have additional properties',
    )
    const { pin: _pin, ...less } = installation
    await expect(answer(less)).rejects.toThrow("must have required property 'pin'")
    await expect(answer({ ...installation, agentPort: '1' })).rejects.toThrow('agentPort must be integer')
    await expect(answer(installation, { status: 201 })).rejects.toThrow('there are 200, 401')
    await expect(answer(installation, { headers: { etag: '"1"' } })).rejects.toThrow('it has an ETag')
    await expect(checkAnswer('GET', '/api/v1/x', Response.json({}))).rejects.toThrow('no such operation')
    const html = new Response('', { status: 500, headers: { 'content-type': 'text/html' } })
    await expect(checkAnswer('GET', path, html)).rejects.toThrow('its content is text/html')
  })
})

describe('the document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator()
    const document = openApiDocument('0.1.0')
    const { valid, errors } = await validator.validate(document)
    expect([valid, errors]).toEqual([true, undefined])
    expect(validator.version).toBe('3.1')
    const { info: _info, ...broken } = document
    expect((await new Validator().validate(broken)).valid).toBe(false)
  })

  it('describes every good answer that has a body, and none as just anything', () => {
    const { paths } = openApiDocument('0.1.0') as {
      paths: Record<string, Record<string, { responses: Record<string, { content?: object }> }>>
    }
    for (const [path, methods] of Object.entries(paths))
      for (const [method, { responses }] of Object.entries(methods)) {
        const good = Object.entries(responses).filter(([status]) => status < '3')
        expect(good, `${method} ${path}`).toHaveLength(1)
        const [[status, { content }] = ['', { content: {} }]] = good
        if (status === '204') expect(content).toBeUndefined()
        else {
          const kinds = Object.values(content ?? {}) as { schema: object }[]
          expect(kinds, `${method} ${path}`).not.toEqual([])
          for (const { schema } of kinds) expect(Object.keys(schema), `${method} ${path}`).not.toEqual([])
        }
      }
  })

  it('names times by their format and numbers by their size; its objects are open, and none refers to itself', () => {
    const { components } = openApiDocument('0.1.0') as { components: { schemas: Record<string, object> } }
    expect(components.schemas['OfferedDisk']).toMatchObject({
      required: ['deviceName', 'stableId', 'sizeBytes', 'noticedAt'],
      properties: {
        sizeBytes: { type: 'integer', minimum: 0, format: 'int64' },
        noticedAt: { type: 'string', format: 'date-time' },
        refusedBy: { type: 'string' },
      },
    })
    expect(components.schemas['Server']).toMatchObject({
      properties: { disks: { items: { $ref: '#/components/schemas/ReplicatedDisk' } } },
    })
    expect(JSON.stringify(components.schemas)).not.toContain('"additionalProperties":false')
    // Generators for TypeScript make of that a type that does not compile.
    for (const [name, schema] of Object.entries(components.schemas))
      expect(JSON.stringify(schema)).not.toContain(`"#/components/schemas/${name}"`)
  })
})

describe('answerOf()', () => {
  it('takes no schema that says more, less or something else than the type', () => {
    interface Thing {
      name: string
      size?: number
      readonly parts: readonly { id: 1 | 2 }[]
    }
    const parts = z.array(z.object({ id: z.union([z.literal(1), z.literal(2)]) }))
    const size = z.number().exactOptional()
    const same = z.object({ name: z.string(), size, parts })
    expect(answerOf<Thing>()(same)).toBe(same)
    // @ts-expect-error an optional field is missing
    answerOf<Thing>()(z.object({ name: z.string(), parts }))
    // @ts-expect-error there is one more, though optional
    answerOf<Thing>()(same.extend({ colour: z.string().exactOptional() }))
    // @ts-expect-error it is not optional
    answerOf<Thing>()(same.extend({ size: z.number() }))
    // One that can have no value tells members of a union apart, and is none.
    type Said = { minutes: number; never?: never } | { never: { because: string } }
    const never = z.object({ never: z.object({ because: z.string() }) })
    const said = z.union([z.object({ minutes: z.number() }), never])
    expect(answerOf<Said>()(said)).toBe(said)
    // @ts-expect-error further down, one of two values is missing
    answerOf<Thing>()(same.extend({ parts: z.array(z.object({ id: z.literal(1) })) }))
  })
})
