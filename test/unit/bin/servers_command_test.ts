import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import type { SourceServerId } from '../../../domain/ids.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { enrolServer, putServer } from '../gateway/callers.ts'
import { listingLines } from '../../../bin/commands/server_listing.ts'
import { addServerCommands } from '../../../bin/commands/servers.ts'
import { testServer } from '../../fixtures/source_server.ts'
import { cliGateway } from './cli_gateway.ts'

const rehost = join(import.meta.dirname, '../../../bin/rehost')
const id = 's-0123456789abcdef0'

const server = (state: string, activeTask?: Record<string, string>) => ({
  sourceServerId: id,
  lifecycle: { state },
  agent: { desired: 'REPLICATE' },
  replication: { state: 'CONTINUOUS' },
  activeTask,
})

/** The steps of a job's work. */
const tasks = [
  {
    sourceServerId: id,
    steps: [
      { name: 'snapshot', status: 'DONE' },
      { name: 'convert', status: 'RUNNING' },
    ],
  },
]

/** A service that gives `answers` to one GET after another, the last one for ever; a string is a 404. An action begins `task`. */
async function withService(
  task: string | Record<string, string>,
  answers: (Record<string, unknown> | string)[],
  work: (environment: NodeJS.ProcessEnv) => Promise<void>,
): Promise<void> {
  const left = [...answers]
  const http = createServer((request, response) => {
    if (request.url?.endsWith('/tasks') === true) return void response.end(JSON.stringify({ items: tasks }))
    const answer =
      request.method === 'POST'
        ? server('DISCONNECTED', { taskId: 't-1', ...(typeof task === 'string' ? { kind: task } : task) })
        : ((left.length > 1 ? left.shift() : left[0]) ?? {})
    const isThere = typeof answer !== 'string'
    response.writeHead(isThere ? 200 : 404, { 'content-type': 'application/json' })
    response.end(JSON.stringify(isThere ? answer : { detail: answer }))
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  try {
    await work({ ...process.env, REHOST_URL: `http://127.0.0.1:${port}`, REHOST_API_TOKEN: 't' })
  } finally {
    http.closeAllConnections()
    await new Promise((resolve) => http.close(resolve))
  }
}

const run = async (env: NodeJS.ProcessEnv, ...args: string[]) =>
  (await promisify(execFile)(rehost, args, { env, timeout: 30_000 }).catch((error: unknown) => error)) as {
    code?: number
    stdout: string
    stderr: string
  }

const absent = `Cannot find a source server with the id ${id}`
const working = (kind: string) => server('DISCONNECTED', { taskId: 't-1', kind })

describe('rehost servers', () => {
  it('shows archived servers when they are asked for', { timeout: 60_000 }, async () => {
    const cli = await cliGateway('viewer')
    try {
      const { sourceServerId } = await enrolServer(cli.gateway)
      await putServer(cli.gateway, sourceServerId, (current) => ({ ...current, isArchived: true }))
      const listed = async (...words: string[]) =>
        (JSON.parse((await cli.rehost('servers', '--json', ...words)).stdout) as SourceServer[]).map(
          (own) => own.sourceServerId,
        )
      expect(await listed()).toEqual([])
      expect(await listed('--archived')).toEqual([sourceServerId])
    } finally {
      await cli.close()
    }
  })

  it('has a column for the ids that users gave, when there are any', () => {
    const plain = testServer('TESTING', 'CONTINUOUS')
    const { lastSeenByServiceAt: _seen, ...lifecycle } = plain.lifecycle
    const { sourceServerId: own, sourceProperties } = plain
    const { hostname } = sourceProperties.identificationHints
    const cells = (server: SourceServer[]) => listingLines(server).map((line) => line.split(/ {2,}/))
    const unseen = { ...plain, lifecycle }
    expect(cells([unseen])).toEqual([
      ['SERVER', 'HOST', 'LIFECYCLE', 'REPLICATION', 'LAST SEEN'],
      [own, hostname, 'TESTING', 'CONTINUOUS'],
    ])
    expect(cells([unseen, { ...unseen, userProvidedId: 'cmdb-7' }])).toEqual([
      ['SERVER', 'YOUR ID', 'HOST', 'LIFECYCLE', 'REPLICATION', 'LAST SEEN'],
      [own, hostname, 'TESTING', 'CONTINUOUS'],
      [own, 'cmdb-7', hostname, 'TESTING', 'CONTINUOUS'],
    ])
  })

  it('has a column for what is wrong with replication, when something is', () => {
    const rawError = 'The agent was last seen at 2026-03-01T12:00:00.000Z'
    const error = { error: 'AGENT_NOT_SEEN', rawError, whatToDo: 'See whether web-1 is up' } as const
    const stalled = testServer('READY_FOR_TEST', 'STALLED')
    const known = { ...stalled, replication: { ...stalled.replication, error } }
    const over = { ...known, replication: { ...known.replication, state: 'DISCONNECTED' } } as const
    const problems = (...servers: SourceServer[]) =>
      listingLines(servers).map((line) => line.split(/ {2,}/)[5])
    expect(problems(known, testServer('TESTING', 'CONTINUOUS'), over)).toEqual([
      'PROBLEM',
      `AGENT_NOT_SEEN: ${rawError}. See whether web-1 is up`,
      undefined,
      undefined,
    ])
    expect(problems(over)).toEqual([undefined, undefined])
  })

  it('reads every page of the list', async () => {
    const asked: string[] = []
    const http = createServer((request, response) => {
      asked.push(request.url ?? '')
      const isFirst = asked.length === 1
      const page = {
        items: [{ sourceServerId: isFirst ? 's-1' : 's-2' }],
        ...(isFirst ? { nextToken: 'a=b' } : {}),
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(page))
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const { port } = http.address() as AddressInfo
    try {
      const environment = { ...process.env, REHOST_URL: `http://127.0.0.1:${port}`, REHOST_API_TOKEN: 't' }
      const { stdout, stderr } = await run(environment, 'servers', '--json')
      expect(stderr).toBe('')
      expect(JSON.parse(stdout)).toEqual([{ sourceServerId: 's-1' }, { sourceServerId: 's-2' }])
      expect(asked).toEqual(['/api/v1/servers?limit=1000', '/api/v1/servers?limit=1000&nextToken=a%3Db'])
    } finally {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    }
  })
})

describe('commands for one server', () => {
  it('take your own id of it, and else name the ids that may be meant', { timeout: 120_000 }, async () => {
    const cli = await cliGateway('operator')
    try {
      const [web, twin, third] = [
        await enrolServer(cli.gateway),
        await enrolServer(cli.gateway, 'web-2'),
        await enrolServer(cli.gateway, 'web-3'),
      ].map(({ sourceServerId }) => sourceServerId)
      const name = (own: SourceServerId, userProvidedId: string) =>
        putServer(cli.gateway, own, (current) => ({ ...current, userProvidedId, isArchived: true }))
      const refused = async (...words: string[]) => (await cli.rehost(...words)).stderr
      await name(web!, 'cmdb-7')
      const disks = JSON.parse((await cli.rehost('disks', 'cmdb-7', '--json')).stdout) as SourceServer
      expect(disks.disks).toMatchObject([{ deviceName: '/dev/sda' }])
      expect((await cli.rehost('pause', 'cmdb-7')).stdout).toContain(`${web}: `)
      expect(await refused('verify', 'cmdb-7')).toContain(`Cannot verify the copies of server ${web}: `)
      expect(await refused('certificate', 'get', 'cmdb-7', '/dev/null')).toContain(web)
      expect((await cli.rehost('forecast', 'cmdb-7', '--json')).stdout).toContain(web)

      expect(await refused('test', 'cmdb-8')).toBe(
        "Cannot find source server cmdb-8: it is no server's id, nor your own id of one; rehost servers --archived lists both\n",
      )
      expect(await refused('test', 'web-3')).toBe(`web-3 is a host name and no id: name ${third}\n`)
      await name(twin!, 'cmdb-7')
      expect(await refused('test', 'cmdb-7')).toMatch(/^cmdb-7 is your id of several servers: name one of s-/)
      expect(await refused('test', 'cmdb-7')).toContain(twin)
      const unknown = 's-00000000000000009'
      expect(await refused('test', unknown)).toBe(`Cannot find source server ${unknown}\n`)
    } finally {
      await cli.close()
    }
  })
})

describe('--wait', () => {
  it('says what is waited for and what the exit code tells, where there is anything to wait for', () => {
    const program = new Command()
    addServerCommands(program)
    const said = program.commands.flatMap((command) =>
      command.options
        .filter(({ long }) => long === '--wait')
        .map((wait) => [command.name(), wait.description] as const),
    )
    const launch =
      'return when it is up; exit code 1 when the launch, or a post-launch action that must succeed, failed'
    expect(Object.fromEntries(said)).toEqual({
      test: launch,
      cutover: launch,
      finalize:
        'return when both are gone; exit code 1 when the cutover machine could not be made to stand alone',
      revert: 'return when the machine is terminated; exit code 1 when it could not be',
      disconnect: 'return when the staging area is removed; what fails is tried again until then',
      delete: 'return when they are deleted; what fails is tried again until then',
    })
  })
})

describe('rehost delete --wait', () => {
  it('has succeeded when the server is not found any more', async () => {
    await withService('DELETE', [working('DELETE'), absent], async (environment) => {
      const { code, stdout, stderr } = await run(environment, 'delete', id, '--wait')
      expect({ code, stdout, stderr }).toEqual({
        code: undefined,
        stdout: `${id}: deleted\n`,
        stderr: `${id}: the server is being deleted\n`,
      })
    })
  })

  it('says so as JSON', async () => {
    await withService('DELETE', [absent], async (environment) => {
      const { stdout } = await run(environment, 'delete', id, '--wait', '--json')
      expect(JSON.parse(stdout)).toEqual({ sourceServerId: id, deleted: true })
    })
  })
})

describe('rehost disconnect --wait', () => {
  it('fails when the server is deleted meanwhile', async () => {
    await withService('DISCONNECT', [working('DISCONNECT'), absent], async (environment) => {
      const { code, stderr } = await run(environment, 'disconnect', id, '--wait')
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: `${id}: the server is being disconnected\n${absent}\n`,
      })
    })
  })

  it('says what it waits for, and not that the server is disconnected before it is', async () => {
    const lastSeenAt = '2026-03-01T12:00:00.000Z'
    const agent = { certificateSerial: '4A', desired: 'UNINSTALL', lastSeenAt }
    const waiting = { ...working('DISCONNECT'), agent }
    const gone = { ...waiting, agent: { ...agent, uninstalledAt: lastSeenAt } }
    await withService('DISCONNECT', [waiting, gone, server('DISCONNECTED')], async (environment) => {
      const { stderr } = await run(environment, 'disconnect', id, '--wait')
      const work = `${id}: the server is being disconnected`
      const why = `waiting up to 60 s for its agent, last seen at ${lastSeenAt}, to uninstall itself (10 min while it is heard)`
      expect(stderr).toBe(`${work}, ${why}\n${work}\n`)
    })
  })

  it('tells the state that it ended in', async () => {
    const answers = [working('DISCONNECT'), server('DISCONNECTED')]
    await withService('DISCONNECT', answers, async (environment) => {
      const { code, stdout } = await run(environment, 'disconnect', id, '--wait')
      expect({ code, stdout }).toEqual({
        code: undefined,
        stdout: `${id}: DISCONNECTED, replication CONTINUOUS\n`,
      })
    })
  })
})

describe('rehost finalize --wait', () => {
  it('fails when the server is in cutover afterwards', async () => {
    const answers = [working('FINALIZE'), server('CUTTING_OVER')]
    await withService('FINALIZE', answers, async (environment) => {
      const { code, stdout, stderr } = await run(environment, 'finalize', id, '--wait')
      expect({ code, stdout }).toEqual({ code: 1, stdout: `${id}: CUTTING_OVER, replication CONTINUOUS\n` })
      expect(stderr).toContain('finalize failed: the cutover machine could not be made to stand alone')
    })
  })
})

describe('rehost cutover --wait', () => {
  const outcomes = {
    may: { key: 'action/1', actionName: 'May', status: 'FAILED', failureReason: 'exit code 3' },
    good: { key: 'action/2', actionName: 'Good', status: 'SUCCESS', mustSucceedForCutover: true },
    must: { key: 'action/3', actionName: 'Must', status: 'FAILED', mustSucceedForCutover: true },
  }
  const may = `${id}: post-launch action “May” failed: exit code 3\n`
  const must = `${id}: post-launch action “Must”, which must succeed, failed: no reason was saved\n`

  it.each([
    ['tells the actions that failed', 'job-1', [outcomes.may, outcomes.good], undefined, may],
    [
      'fails when one that must succeed did',
      'job-1',
      [outcomes.must, outcomes.good, outcomes.may],
      1,
      must + may,
    ],
    ['says nothing of actions that went well', 'job-1', [outcomes.good], undefined, ''],
    ['says nothing of another launch', 'job-0', [outcomes.must], undefined, ''],
  ])('%s', async (_what, jobId, runs, code, stderr) => {
    const job = {
      jobId: 'job-1',
      status: 'COMPLETED',
      participatingServers: [{ sourceServerId: id, launchStatus: 'LAUNCHED' }],
    }
    const after = {
      ...server('CUTTING_OVER'),
      launchedInstance: { jobId, purpose: 'CUTOVER' },
      postLaunch: { actions: [], lastRuns: { TEST: [outcomes.must], CUTOVER: runs } },
    }
    const launch = { kind: 'LAUNCH', jobId: 'job-1' }
    // The job is over a little before the server knows it.
    const before = server('CUTTING_OVER', { taskId: 't-1', ...launch })
    const begun = { ...job, status: 'STARTED' }
    await withService(launch, [begun, begun, job, before, after], async (environment) => {
      const found = await run(environment, 'cutover', id, '--wait', '--json')
      // What is waited for, a line each time that it changes; then what is to be told of the end.
      const waited = [
        `${id}: job job-1 is STARTED, step 2 of 2: convert`,
        `${id}: CUTTING_OVER, replication CONTINUOUS, a machine is being launched`,
      ]
      expect({ code: found.code, stderr: found.stderr }).toEqual({
        code,
        stderr: `${waited.join('\n')}\n${stderr}`,
      })
      expect(JSON.parse(found.stdout)).toEqual(after)
    })
  })
})

describe('rehost pause and rehost resume', () => {
  it('say what the agent does now, and what it is about to do', async () => {
    const cli = await cliGateway('operator')
    try {
      const { sourceServerId } = await enrolServer(cli.gateway)
      await putServer(cli.gateway, sourceServerId, (own) => ({
        ...own,
        replication: { ...own.replication, state: 'CONTINUOUS' },
        agent: { ...own.agent, desired: 'REPLICATE' },
      }))
      expect((await cli.rehost('pause', sourceServerId)).stdout).toBe(
        `${sourceServerId}: NOT_READY, replication CONTINUOUS, about to pause, the staging area is being raised\n`,
      )
      await putServer(cli.gateway, sourceServerId, (own) => ({
        ...own,
        replication: { ...own.replication, state: 'PAUSED' },
      }))
      expect((await cli.rehost('resume', sourceServerId)).stdout).toBe(
        `${sourceServerId}: NOT_READY, replication PAUSED, about to go on, the staging area is being raised\n`,
      )
    } finally {
      await cli.close()
    }
  })
})
