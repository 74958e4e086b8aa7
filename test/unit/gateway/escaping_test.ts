import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { TestGateway } from './support.ts'
import { applyAction } from '../../../domain/actions.ts'
import { newId } from '../../../domain/ids.ts'
import { newTask } from '../../../queues/task_steps.ts'
import { enrolServer, inventory, putServer } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

/** Each tries another way out of text, attribute, script, style or comment. */
const corpus = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "'><svg/onload=alert(1)>",
  '"autofocus onfocus="alert(1)',
  '</title><script>alert(1)</script>',
  '--><script>alert(1)</script><!--',
  '</pre></code><iframe src=javascript:alert(1)>',
  '{{constructor.constructor("alert(1)")()}}',
  '<hx-partial hx-target="body"><b>x</b></hx-partial>',
  'x" hx-get="/evil" hx-trigger="load',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
  '<\u0000script>alert(1)</script>',
  'javascript:alert(1)',
]

/** What must never stand in a page: any of the corpus as markup. */
const markup = [
  /<script>/i,
  /<img src=x/i,
  /<svg\/onload/i,
  /<iframe/i,
  /"autofocus onfocus=/,
  /<b>x<\/b>/,
  /" hx-get="\/evil"/,
  /href="javascript:/i,
  /--><script/i,
]

function escaped(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '')
}

function spoil(text: string) {
  return (server: SourceServer): SourceServer => {
    const base: SourceServer = {
      ...server,
      userProvidedId: text,
      tags: { [text]: text },
      sourceProperties: {
        ...server.sourceProperties,
        identificationHints: { hostname: text, fqdn: text, machineId: text },
        os: { fullString: text, family: 'linux' },
        cpus: [{ cores: 1, modelName: text }],
        networkInterfaces: [{ name: text, macAddress: text, ips: [text], isPrimary: true }],
        disks: [{ deviceName: text, sizeBytes: 1, stableId: text, isBootDisk: true, excludedBecause: text }],
      },
      disks: server.disks.map((disk) => ({
        ...disk,
        deviceName: text,
        tracker: { kind: text, reason: text },
      })),
      agent: { ...server.agent, version: text },
      lifecycle: { ...server.lifecycle, state: 'READY_FOR_TEST' },
      replication: {
        ...server.replication,
        state: 'CONTINUOUS',
        error: { error: 'AGENT_NOT_SEEN', rawError: text, whatToDo: text },
      },
      launchConfiguration: {
        ...server.launchConfiguration,
        name: text,
        httpChecks: [{ port: 80, path: text, contains: text }],
      },
      consistencyRequest: {
        consistencyPointId: text as never,
        state: 'FAILED',
        requestedAt: gateway.now().toISOString(),
        expiresAt: gateway.now().toISOString(),
        failure: text,
        roots: [{ diskIndex: 0, root: text }],
      },
      outbox: [
        {
          sequence: 1,
          at: gateway.now().toISOString(),
          type: 'AGENT',
          actor: text,
          message: text,
          level: 'ERROR',
          detail: {},
        },
      ],
      launchedInstance: {
        machineId: text as never,
        imageId: 'i' as never,
        snapshotIds: [],
        jobId: newId('job'),
        purpose: 'TEST',
        launchedAt: gateway.now().toISOString(),
        firstBoot: 'SUCCEEDED',
        description: text,
        endpoints: [
          { guestPort: 80, host: text, port: 80 },
          { guestPort: 22, host: text, port: 22 },
        ],
      },
    }
    const { activeTask: _none, ...idle } = base
    return idle
  }
}

describe('pages', () => {
  it.each(corpus)('show %s as text wherever it stands', async (text) => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await enrolServer(gateway, 'x', inventory('x'))
    await putServer(gateway, id, spoil(text))
    const jobId = newId('job')
    const at = gateway.now().toISOString()
    const testing = await putServer(gateway, id, (server) =>
      applyAction(server, 'START_TEST', { at, actor: text, jobId }),
    )
    const task = newTask(testing, testing.activeTask ?? ({} as never))
    task.failure = text
    task.steps.forEach((step) => {
      step.error = text
      step.status = 'FAILED'
    })
    await gateway.store.create('task', { id: task.taskId }, task)
    await gateway.store.create(
      'job',
      { id: jobId },
      {
        jobId,
        type: 'LAUNCH',
        initiatedBy: 'START_TEST',
        actor: text,
        status: 'STARTED',
        createdAt: at,
        participatingServers: [
          { sourceServerId: id, launchStatus: 'FAILED', failure: text, machineId: text as never },
        ],
      },
    )
    await gateway.store.create(
      'jobLog',
      { parent: jobId, id: '1' },
      { jobId, logId: '1', at, event: 'JOB_START', message: text, rawError: text },
    )
    await gateway.store.create(
      'apiToken',
      { id: 'x' },
      { tokenSha256: text, name: text, role: 'viewer', createdAt: at },
    )
    await gateway.store.create(
      'accessKey',
      { id: 'x' },
      {
        accessKeyId: text,
        sealedSecret: text,
        name: text,
        role: 'viewer',
        scopes: [text],
        status: 'ACTIVE',
        createdAt: at,
        createdBy: text,
      },
    )
    const folder = join(gateway.folder, 'artefacts', jobId, id)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'serial.log'), text)
    await writeFile(
      join(folder, 'conversion.json'),
      JSON.stringify({ changes: [{ name: text, detail: text }] }),
    )
    gateway.pass(2000)

    const query = encodeURIComponent(text)
    const paths = [
      '/servers',
      `/servers?q=${query}`,
      `/servers?done=${query}`,
      `/servers/${id}`,
      `/servers/${id}?done=${query}`,
      `/servers/${id}/actions/launch-test`,
      `/servers/${id}/launch-configuration`,
      `/servers/${id}/replication-configuration`,
      '/settings/bandwidth',
      '/jobs',
      `/jobs/${jobId}`,
      '/settings',
      `/${query}`,
    ]
    for (const path of paths) {
      const response = await gateway.app.request(`http://localhost${path}`, { headers: { cookie } })
      const page = await response.text()
      for (const pattern of markup) expect(page, `${path} with ${text}`).not.toMatch(pattern)
      if (path === `/servers/${id}` || path === `/jobs/${jobId}`)
        expect(page.split(escaped(text)).length).toBeGreaterThan(4)
    }
    const signIn = await gateway.app.request('http://localhost/sign-in', {
      method: 'POST',
      headers: { origin: 'http://localhost', 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ userName: text, password: text, next: text }).toString(),
    })
    const page = await signIn.text()
    for (const pattern of markup) expect(page).not.toMatch(pattern)
  })
})
