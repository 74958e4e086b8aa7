import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { TestGateway } from './support.ts'
import { completeCutover } from '../../../domain/cutover.ts'
import { RevisionConflictError } from '../../../store/store.ts'
import { enrolServer, getPage, postForm, putServer, serverOf, upToDate } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const get = (path: string, cookie?: string) => getPage(gateway, path, cookie)
const post = (
  path: string,
  form: Record<string, string>,
  cookie?: string,
  headers?: Record<string, string>,
) => postForm(gateway, path, form, cookie, headers)

describe('actions', () => {
  const act = async (id: string, slug: string, cookie: string) =>
    post(`/servers/${id}/actions/${slug}`, {}, cookie)

  it('carry a server from ready to archived', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate(gateway),
    )
    const launched =
      (purpose: 'TEST' | 'CUTOVER') =>
      (server: SourceServer): SourceServer => {
        const { activeTask, ...rest } = server
        return {
          ...rest,
          launchedInstance: {
            machineId: 'm-00000000000000001' as never,
            imageId: 'img-00000000000000001' as never,
            snapshotIds: [],
            jobId: activeTask?.jobId as never,
            purpose,
            launchedAt: gateway.now().toISOString(),
            firstBoot: 'SUCCEEDED',
          },
        }
      }
    const ended = ({ activeTask: _over, ...server }: SourceServer): SourceServer => server

    const question = await (await get(`/servers/${id}/actions/launch-test`, cookie)).text()
    expect(question).toContain(`action="/servers/${id}/actions/launch-test"`)
    expect((await act(id, 'launch-test', cookie)).headers.get('location')).toBe(
      `/servers/${id}?done=launch-test`,
    )
    const testing = await serverOf(gateway, id)
    const jobId = String(testing.activeTask?.jobId)
    expect(testing.lifecycle.state).toBe('TESTING')
    expect((await gateway.store.get('job', { id: jobId }))?.value).toMatchObject({
      type: 'LAUNCH',
      initiatedBy: 'START_TEST',
      actor: 'admin',
      status: 'PENDING',
    })
    expect(gateway.wakeUps.added.at(-1)).toEqual({ queue: 'launch', taskId: `launch-${id}-${jobId}` })
    expect(await (await get(`/servers/${id}`, cookie)).text()).toContain('Launching a machine')
    const job = await (await get(`/jobs/${jobId}`, cookie)).text()
    expect(job).toContain('Reach a consistency point')

    const busy = await act(id, 'mark-ready-for-cutover', cookie)
    expect(busy.status).toBe(409)
    expect(await busy.text()).toContain('Wait: a machine is being launched')

    await putServer(gateway, id, launched('TEST'))
    for (const slug of ['mark-ready-for-cutover', 'launch-cutover'])
      expect((await act(id, slug, cookie)).status).toBe(303)
    await putServer(gateway, id, launched('CUTOVER'))
    for (const slug of ['finalize']) expect((await act(id, slug, cookie)).status).toBe(303)
    expect(await serverOf(gateway, id)).toMatchObject({
      lifecycle: { state: 'CUTTING_OVER' },
      agent: { desired: 'REPLICATE' },
      activeTask: { kind: 'FINALIZE' },
    })
    const at = gateway.now().toISOString()
    await putServer(gateway, id, (server) => ended(completeCutover(server, at, at)))
    expect((await act(id, 'archive', cookie)).status).toBe(303)
    expect((await act(id, 'delete', cookie)).headers.get('location')).toBe('/servers?done=delete')
    expect((await serverOf(gateway, id)).activeTask?.kind).toBe('DELETE')
    expect((await get('/jobs', cookie)).status).toBe(200)
  })

  it('revert by the place where the server stands', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate(gateway),
    )
    await putServer(gateway, id, (server) => ({
      ...server,
      lifecycle: { ...server.lifecycle, state: 'CUTTING_OVER' },
    }))
    await act(id, 'revert', cookie)
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('READY_FOR_CUTOVER')
    await act(id, 'revert', cookie)
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('READY_FOR_TEST')
  })

  it('do harmless things at once', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate(gateway),
    )
    for (const slug of ['rescan', 'pause', 'resume']) expect((await act(id, slug, cookie)).status).toBe(303)
    expect(await serverOf(gateway, id)).toMatchObject({
      agent: { desired: 'REPLICATE' },
      replication: { rescanEpoch: 1 },
    })
  })

  it('let one of two racing operators win', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate(gateway),
    )
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await act(id, 'launch-test', cookie)).status),
    )
    expect(statuses.filter((status) => status === 303)).toHaveLength(1)
    expect(statuses.filter((status) => status === 409)).toHaveLength(19)
    expect((await gateway.store.list('job')).items).toHaveLength(1)
  })

  it('are refused in the page when the server changes too often to be written', async () => {
    const cookie = await gateway.signIn()
    const { sourceServerId: id } = await putServer(
      gateway,
      (await enrolServer(gateway)).sourceServerId,
      upToDate(gateway),
    )
    const { store } = gateway
    const replace = store.replace.bind(store)
    store.replace = () => Promise.reject(new RevisionConflictError('Somebody was faster'))
    const response = await act(id, 'launch-test', cookie)
    store.replace = replace
    expect(response.status).toBe(409)
    const page = await response.text()
    expect(page).toContain('Too many changed this at the same moment; try again')
    expect(page).toContain('Launch test machine')
    expect((await act(id, 'launch-test', cookie)).status).toBe(303)
  })
})
