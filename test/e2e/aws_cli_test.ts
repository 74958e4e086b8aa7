import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stagingLeftovers } from '../../bin/demo/leftovers.ts'
import { identity } from '../fixtures/guest_tree.ts'
import { ImageMigration } from '../fixtures/image_migration.ts'
import { until } from '../fixtures/waiting.ts'

/**
 * A whole migration by Debian's AWS CLI alone, as who comes from MGN would drive it: only the agent is started by Rehost's own command.
 */
const run = promisify(execFile)
const patienceMs = 300_000
const key = { id: 'RHAKTESTTESTTESTTEST', secret: 'a secret for one test alone' }

let migration: ImageMigration

beforeAll(async () => {
  migration = await ImageMigration.prepare({
    REHOST_ACCESS_KEY_ID: key.id,
    REHOST_SECRET_ACCESS_KEY: key.secret,
    REHOST_ACCOUNT_ID: '123456789012',
  })
})

afterAll(async () => {
  expect(await migration.stop()).toEqual([])
})

/** What `aws mgn …` answers; undefined for nothing. */
async function mgn<T = unknown>(...args: string[]): Promise<T> {
  const endpoint = `http://127.0.0.1:${migration.environment['REHOST_HTTP_PORT']}`
  // Another `aws` may come first on the path.
  const { stdout } = await run(
    '/usr/bin/aws',
    ['mgn', ...args, '--endpoint-url', endpoint, '--output', 'json'],
    {
      env: {
        PATH: process.env['PATH'],
        AWS_ACCESS_KEY_ID: key.id,
        AWS_SECRET_ACCESS_KEY: key.secret,
        AWS_REGION: 'eu-central-1',
        AWS_PAGER: '',
      },
    },
  )
  return (stdout === '' ? undefined : JSON.parse(stdout)) as T
}

interface Server {
  sourceServerID: string
  arn: string
  lifeCycle: { state: string }
  dataReplicationInfo: { dataReplicationState: string; lagDuration?: string }
  launchedInstance?: { ec2InstanceID: string; jobID: string; firstBoot: string }
  isArchived: boolean
}

interface Job {
  jobID: string
  status: string
  participatingServers: {
    launchStatus: string
    launchedEc2InstanceID?: string
    postLaunchActionsStatus?: {
      ssmAgentDiscoveryDatetime?: string
      postLaunchActionsLaunchStatusList: {
        ssmDocument: { actionName: string }
        executionStatus: string
        failureReason?: string
      }[]
    }
  }[]
}

async function servers(...args: string[]): Promise<Server[]> {
  return (await mgn<{ items: Server[] }>('describe-source-servers', ...args)).items
}

/** Waits until a job is over; its servers must all have been launched. */
async function ofJob({ job }: { job: Job }): Promise<string> {
  const ended = await until(
    `job ${job.jobID} is completed`,
    async () => {
      const { items } = await mgn<{ items: Job[] }>('describe-jobs', '--filters', `jobIDs=${job.jobID}`)
      return items.find(({ status }) => status === 'COMPLETED')
    },
    patienceMs,
    1000,
  )
  expect(ended.participatingServers).toMatchObject([{ launchStatus: 'LAUNCHED' }])
  const { items } = await mgn<{ items: { event: string }[] }>('describe-job-log-items', '--job-id', job.jobID)
  expect(items.map(({ event }) => event)).toEqual(
    expect.arrayContaining(['JOB_START', 'SNAPSHOT_END', 'CONVERSION_END', 'LAUNCH_START', 'JOB_END']),
  )
  return ended.participatingServers[0]?.launchedEc2InstanceID ?? ''
}

/** Puts an action that runs the script kept as `name`, which must succeed. */
async function putAction(id: string, order: number, name: string): Promise<void> {
  await mgn(
    'put-source-server-action',
    ...['--source-server-id', id, '--action-id', name, '--action-name', name, '--order', String(order)],
    ...[
      '--document-identifier',
      'AWS-RunShellScript',
      '--timeout-seconds',
      '120',
      '--must-succeed-for-cutover',
    ],
    '--parameters',
    JSON.stringify({ commands: [{ parameterType: 'STRING', parameterName: name }] }),
  )
}

/** How the post-launch actions of the last job went, and what they printed. */
async function actionsOf(id: string): Promise<{ ended: string[]; printed: string; reason?: string }> {
  const [{ launchedInstance } = {} as Server] = await servers('--filters', `sourceServerIDs=${id}`)
  const jobID = launchedInstance?.jobID ?? ''
  const { items } = await mgn<{ items: Job[] }>('describe-jobs', '--filters', `jobIDs=${jobID}`)
  const status = items[0]?.participatingServers[0]?.postLaunchActionsStatus
  expect(status?.ssmAgentDiscoveryDatetime).toMatch(/^\d{4}-/)
  const list = status?.postLaunchActionsLaunchStatusList ?? []
  const reason = list.find(({ failureReason }) => failureReason !== undefined)?.failureReason
  return {
    ended: list.map(({ ssmDocument, executionStatus }) => `${ssmDocument.actionName} ${executionStatus}`),
    printed: await readFile(join(migration.dataDir, 'artefacts', jobID, id, 'actions.log'), 'utf8'),
    ...(reason === undefined ? {} : { reason }),
  }
}

it('a migration from the first byte to the archive', async () => {
  const service = await migration.startService()
  await expect(mgn('describe-source-servers')).rejects.toThrow('UninitializedAccountException')
  await mgn('initialize-service')
  const agent = await migration.startAgent()
  const ready = await until(
    'the image is replicated',
    async () => (await servers()).find(({ lifeCycle }) => lifeCycle.state === 'READY_FOR_TEST'),
    patienceMs,
    1000,
  )
  const id = ready.sourceServerID
  expect(ready.arn).toBe(`arn:aws:mgn:us-east-1:123456789012:source-server/${id}`)
  expect(ready.dataReplicationInfo.lagDuration).toBeDefined()

  const { applicationID } = await mgn<{ applicationID: string }>('create-application', '--name', 'shop')
  await mgn('associate-source-servers', '--application-id', applicationID, '--source-server-ids', id)
  const { waveID } = await mgn<{ waveID: string }>('create-wave', '--name', 'first')
  await mgn('associate-applications', '--wave-id', waveID, '--application-ids', applicationID)
  await mgn('tag-resource', '--resource-arn', ready.arn, '--tags', 'team=a b')
  expect(await mgn('list-tags-for-resource', '--resource-arn', ready.arn)).toMatchObject({
    tags: { team: 'a b' },
  })
  await mgn('update-replication-configuration', '--source-server-id', id, '--bandwidth-throttling', '800')
  expect(await mgn('get-replication-configuration', '--source-server-id', id)).toMatchObject({
    bandwidthThrottling: 800,
  })
  await mgn('update-launch-configuration', '--source-server-id', id, '--name', 'shop-1')
  await expect(mgn('start-cutover', '--source-server-ids', id)).rejects.toThrow('ConflictException')

  await migration.rehost('parameters', 'put', 'note', 'hostname >/root/noted\necho it is noted')
  await migration.rehost('parameters', 'put', 'read', 'echo "noted was $(cat /root/noted)"')
  await migration.rehost('parameters', 'put', 'check', 'echo nothing there\ntest -e /nowhere')
  await putAction(id, 3000, 'check')
  await putAction(id, 2000, 'read')
  await putAction(id, 1001, 'note')
  const tested = await ofJob(await mgn<{ job: Job }>('start-test', '--source-server-ids', id))
  expect(await migration.serialLog(tested)).toContain(`${identity.hostname} login:`)
  const [testing] = await servers('--filters', `sourceServerIDs=${id}`)
  expect(testing).toMatchObject({
    lifeCycle: { state: 'TESTING' },
    launchedInstance: { ec2InstanceID: tested, firstBoot: 'SUCCEEDED' },
  })
  const onTest = await actionsOf(id)
  expect(onTest.ended).toEqual(['note SUCCESS', 'read SUCCESS', 'check FAILED'])
  expect(onTest.reason).toContain('exit code 1')
  expect(onTest.printed).toContain('it is noted\n')
  expect(onTest.printed).toContain(`noted was ${identity.hostname}\n`)
  expect(onTest.printed).toContain('nothing there\n')
  const toReady = ['--source-server-id', id, '--life-cycle', 'state=READY_FOR_CUTOVER']
  await expect(mgn('change-server-life-cycle-state', ...toReady)).rejects.toThrow(
    /ConflictException.*“check”, which must succeed, failed in the last test/,
  )
  // Without it nothing is in the way; mended, it is for the cutover to show that it succeeds.
  await mgn('remove-source-server-action', '--source-server-id', id, '--action-id', 'check')
  await mgn('change-server-life-cycle-state', ...toReady)
  await migration.rehost('parameters', 'put', 'check', 'test -e /root/noted')
  await putAction(id, 3000, 'check')
  const cutOver = await ofJob(await mgn<{ job: Job }>('start-cutover', '--source-server-ids', id))
  expect(cutOver).not.toBe(tested)
  expect((await actionsOf(id)).ended).toEqual(['note SUCCESS', 'read SUCCESS', 'check SUCCESS'])
  await mgn('finalize-cutover', '--source-server-id', id)
  const [over] = await until(
    'the cutover is final',
    async () => {
      const found = await servers('--filters', 'lifeCycleStates=CUTOVER')
      return found.length === 1 ? found : undefined
    },
    patienceMs,
    1000,
  )
  expect(over).toMatchObject({ dataReplicationInfo: { dataReplicationState: 'DISCONNECTED' } })
  expect(await migration.serialLog(cutOver)).toContain(`${identity.hostname} login:`)
  expect(await mgn('list-waves')).toMatchObject({
    items: [{ waveID, waveAggregatedStatus: { progressStatus: 'COMPLETED', totalApplications: 1 } }],
  })
  expect(await migration.ended(agent)).toBe(0)
  await until(
    'the staging area is gone',
    async () => (await stagingLeftovers(migration.dataDir)).length === 0,
  )
  await until('the server can be archived', async () =>
    mgn('mark-as-archived', '--source-server-id', id).then(
      () => true,
      () => false,
    ),
  )
  expect(await servers('--filters', 'isArchived=true')).toHaveLength(1)
  expect(await migration.ended(service, 'SIGINT')).toBe(0)
})
