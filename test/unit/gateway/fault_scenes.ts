/**
 * Faults brought about as they are in production, for the table of what the dashboard says about them.
 * @module
 */
import { expect } from 'vitest'
import type { ReplicationServerId } from '../../../domain/ids.ts'
import type { ReplicationServer } from '../../../domain/enrolment.ts'
import type { DataReplicationError } from '../../../domain/replication.ts'
import type { SourceDisk, SourceServer } from '../../../domain/source_server.ts'
import type { Task } from '../../../domain/task.ts'
import type { TestGateway } from './support.ts'
import { errorMessage } from '../../../domain/errors.ts'
import { newId } from '../../../domain/ids.ts'
import { newTask } from '../../../queues/task_steps.ts'
import { serverAfter, withStagingTrouble } from '../../../workers/outcomes.ts'
import {
  callAgentPort,
  enrolServer,
  enrolment,
  getPage,
  heartbeat,
  inventory,
  postForm,
  putServer,
  serverOf,
  staged,
  upToDate,
} from './callers.ts'

/** The replication server of all of them. */
export const replicationServerId = 'i-00000000000000001' as ReplicationServerId

/** What a page says, without its markup. */
export async function textOf(gateway: TestGateway, path: string): Promise<string> {
  const response = await getPage(gateway, path, await gateway.signIn())
  expect(response.status).toBe(200)
  const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
  return (await response.text())
    .replace(/<head>.*<\/head>|<[^>]+>/gs, ' ')
    .replace(/&(amp|lt|gt|quot|#39);/g, (_all, name: string) => entities[name] ?? '')
    .replace(/\s+/g, ' ')
}

/** The page on which an operator waits for a server that is being added. */
export async function waitingPage(gateway: TestGateway): Promise<string> {
  const [id] = (await gateway.installationToken()).split('.')
  return `/servers/add/${id}`
}

/** A first contact that must be refused; `overrides` say what is wrong with it. */
export async function refusedEnrolment(
  gateway: TestGateway,
  overrides: Record<string, unknown>,
): Promise<void> {
  const body = await enrolment(gateway, { sourceProperties: inventory('db-01'), ...overrides })
  expect((await callAgentPort(gateway, '/agent/v1/enrol', body)).status).toBeGreaterThanOrEqual(400)
}

/** The agent starts, with what it sees now. */
export const start = (gateway: TestGateway, properties = inventory('db-01')) =>
  callAgentPort(gateway, '/agent/v1/start', { version: '0.1.0', bootId: 'b', sourceProperties: properties })

/** A server whose agent runs and whose staging area stands. */
export async function running(gateway: TestGateway): Promise<SourceServer> {
  const { sourceServerId } = await enrolServer(gateway, 'db-01')
  await start(gateway)
  return putServer(gateway, sourceServerId, staged)
}

/** The page of a server. */
export const pageOf = ({ sourceServerId }: SourceServer) => `/servers/${sourceServerId}`

/** The agent says that it suffers from `error`. */
export async function suffer(gateway: TestGateway, error: DataReplicationError): Promise<string> {
  const server = await running(gateway)
  await callAgentPort(gateway, '/agent/v1/heartbeat', heartbeat(1, { state: 'STALLED', error }))
  return pageOf(server)
}

/** A server whose agent starts again and sees its disks changed; the address of its page. */
export async function withDisks(
  gateway: TestGateway,
  change: (disk: SourceDisk) => SourceDisk | undefined,
): Promise<string> {
  const server = await running(gateway)
  const { disks } = inventory('db-01')
  await start(gateway, inventory('db-01', { disks: disks.flatMap((disk) => change(disk) ?? []) }))
  return pageOf(server)
}

/** A call with the agent's certificate changed in some way. */
export async function callWith(
  gateway: TestGateway,
  change: Partial<ReturnType<TestGateway['peer']>>,
): Promise<SourceServer> {
  const server = await enrolServer(gateway, 'db-01')
  const peer = gateway.peer()
  if (peer === undefined) throw new Error('There is no certificate')
  gateway.present({ ...peer, ...change })
  expect((await start(gateway)).status).toBeGreaterThanOrEqual(400)
  return server
}

/** The saved steps of the work that goes on for `server`, changed. */
export async function putTask(
  gateway: TestGateway,
  server: SourceServer,
  change: (task: Task) => Task,
): Promise<Task> {
  const active = server.activeTask
  if (active === undefined) throw new Error('No work goes on')
  const found = await gateway.store.get('task', { id: active.taskId })
  const task = change(found?.value ?? newTask(server, active))
  await gateway.store.replace('task', { id: active.taskId }, found?.revision ?? 0, task)
  return task
}

/** A test launch that goes on. */
export async function launching(gateway: TestGateway): Promise<SourceServer> {
  const { sourceServerId: id } = await enrolServer(gateway, 'db-01')
  await putServer(gateway, id, upToDate(gateway))
  expect(
    (await postForm(gateway, `/servers/${id}/actions/launch-test`, {}, await gateway.signIn())).status,
  ).toBe(303)
  return serverOf(gateway, id)
}

/** A test launch that has ended with `failure`. */
export async function failedLaunch(gateway: TestGateway, failure: string): Promise<string> {
  const server = await launching(gateway)
  const task = await putTask(gateway, server, (known) => ({ ...known, status: 'FAILED', failure }))
  await putServer(gateway, server.sourceServerId, (known) =>
    serverAfter(known, task, gateway.now().toISOString()),
  )
  return pageOf(server)
}

/** A cutover that is not finalized for `failure`. */
export async function failedFinalize(gateway: TestGateway, failure: string): Promise<string> {
  const { sourceServerId: id } = await launching(gateway)
  await putServer(gateway, id, ({ activeTask, ...known }) => ({
    ...known,
    lifecycle: { ...known.lifecycle, state: 'CUTTING_OVER' },
    launchedInstance: {
      machineId: newId('machine'),
      imageId: newId('image'),
      snapshotIds: [],
      jobId: activeTask?.jobId ?? newId('job'),
      purpose: 'CUTOVER',
      launchedAt: gateway.now().toISOString(),
      firstBoot: 'SUCCEEDED',
    },
  }))
  await postForm(gateway, `/servers/${id}/actions/finalize`, {}, await gateway.signIn())
  const server = await serverOf(gateway, id)
  const task = await putTask(gateway, server, (known) => ({ ...known, status: 'FAILED', failure }))
  await putServer(gateway, id, (known) => serverAfter(known, task, gateway.now().toISOString()))
  return pageOf(server)
}

/** A staging area whose step called `name` fails with `error`. */
export async function failedStaging(gateway: TestGateway, name: string, error: string): Promise<string> {
  const server = await enrolServer(gateway, 'db-01')
  const task = await putTask(gateway, server, (known) => ({
    ...known,
    status: 'RUNNING',
    steps: known.steps.map((step) => ({ ...step, status: step.name === name ? 'RUNNING' : 'DONE' })),
  }))
  await putServer(gateway, server.sourceServerId, (known) =>
    withStagingTrouble(known, task, error, gateway.now().toISOString()),
  )
  return pageOf(server)
}

/** What `work` fails with, in words. */
export function failureOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => '',
    (error: unknown) => errorMessage(error),
  )
}

/** A replication server that the workers have found dead. */
export const lost: ReplicationServer = {
  replicationServerId,
  createdAt: '2026-03-01T11:00:00.000Z',
  state: 'LOST',
  lastSeenAt: '2026-03-01T11:59:30.000Z',
}
