import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { mutate } from '../../../store/mutate.ts'
import { enrolServer, getPage, postForm, putServer, serverOf, upToDate } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway
let cookie: string
let path: string
let folder: string

beforeEach(async () => {
  gateway = await testGateway()
  cookie = await gateway.signIn()
  const { sourceServerId: id } = await enrolServer(gateway)
  await putServer(gateway, id, upToDate(gateway))
  await postForm(gateway, `/servers/${id}/actions/launch-test`, {}, cookie)
  const jobId = String((await serverOf(gateway, id)).activeTask?.jobId)
  path = `/jobs/${jobId}`
  folder = join(gateway.folder, 'artefacts', jobId, id)
  await mkdir(folder, { recursive: true })
  return () => gateway.close()
})

const page = async () => (await getPage(gateway, path, cookie)).text()

describe('the page of a job', () => {
  it('shows the end of a long console and leaves the rest to the download', async () => {
    const lines = Array.from({ length: 100_000 }, (_, number) => `line ${number}`)
    await writeFile(join(folder, 'serial.log'), lines.join('\n'))
    const text = await page()
    expect(text).toContain('line 99999')
    expect(text).not.toContain('line 50000')
    expect(text.length).toBeLessThan(60_000)
    const whole = /href="([^"]+serial\.log)"/.exec(text)?.[1] ?? ''
    expect(await (await getPage(gateway, whole, cookie)).text()).toBe(lines.join('\n'))
  })

  it('leads to what post-launch actions printed once one is over', async () => {
    await writeFile(join(folder, 'actions.log'), '=== set up\ndone\n')
    const [jobId = ''] = /mgnjob-\w+/.exec(path) ?? []
    const [, sourceServerId = ''] = /(s-[0-9a-f]{17})$/.exec(folder) ?? []
    const write = (event: 'ACTION_START' | 'ACTION_FAIL') =>
      gateway.store.create(
        'jobLog',
        { parent: jobId, id: event },
        {
          jobId: jobId as never,
          logId: event,
          at: gateway.now().toISOString(),
          event,
          message: event,
          sourceServerId: sourceServerId as never,
        },
      )
    await write('ACTION_START')
    expect(await page()).not.toContain('actions.log')
    await write('ACTION_FAIL')
    const address = /href="([^"]+actions\.log)"/.exec(await page())?.[1] ?? ''
    expect(await (await getPage(gateway, address, cookie)).text()).toBe('=== set up\ndone\n')
  })

  it('says how many post-launch actions failed, though their step is done', async () => {
    const [{ value: planned } = { value: undefined }] = (await gateway.store.list('task')).items
    const output = ['FAILED', 'SUCCESS', 'FAILED'].map((status) => ({ key: 'k', actionName: 'a', status }))
    await mutate(gateway.store, 'task', { id: planned?.taskId ?? '' }, (task) => ({
      ...task,
      steps: task.steps.map((step) => ({
        ...step,
        status: 'DONE' as const,
        ...(step.name === 'run-actions' ? { output } : {}),
      })),
    }))
    expect(await page()).toContain('2 actions failed')
  })

  it('goes without a conversion report that cannot be read', async () => {
    await writeFile(join(folder, 'conversion.json'), '{"changes": [{"na')
    expect(await page()).not.toContain('What conversion changed')
    await writeFile(
      join(folder, 'conversion.json'),
      JSON.stringify({ changes: [{ name: 'serial-login', detail: 'A login on ttyS0' }] }),
    )
    expect(await page()).toContain('Serial login')
  })
})
