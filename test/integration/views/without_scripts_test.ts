import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Page } from 'playwright-core'
import type { Window } from './dashboard.ts'
import { callAgentPort, inventory, putServer, serverOf, signingRequest } from '../../unit/gateway/callers.ts'
import { Dashboard } from './dashboard.ts'
import { finishCutover, finishLaunch, finishWork, readyServer } from './situations.ts'

// A browser on a busy machine takes its time.
vi.setConfig({ testTimeout: 240_000 })

let dashboard: Dashboard
let page: Page
let window: Window

beforeAll(async () => {
  dashboard = await Dashboard.start()
})

afterAll(() => dashboard.stop())

describe('without scripts', () => {
  beforeEach(async () => {
    window = await dashboard.openWindow({ javaScriptEnabled: false })
    ;({ page } = window)
    return async () => {
      expect(window.complaints).toEqual([])
      await window.context.close()
    }
  })

  it('does everything from the first command to the archive', async () => {
    await dashboard.signIn(page)
    await page.getByRole('link', { name: 'Add server' }).first().click()
    await page.getByRole('button', { name: 'Make command' }).click()
    const token = /--token (\S+)/.exec(await page.locator('#install-command').innerText())?.[1] ?? ''
    const body = {
      token,
      csrPem: await signingRequest(),
      version: '0.1.0',
      sourceProperties: inventory('no-scripts'),
    }
    const { subjectId: id } = (await (
      await callAgentPort(dashboard.gateway, '/agent/v1/enrol', body)
    ).json()) as {
      subjectId: string
    }
    await page.getByRole('link', { name: 'Check now' }).click()
    await page.getByRole('link', { name: 'Open server' }).click()
    await putServer(dashboard.gateway, id, ({ activeTask: _done, ...known }) => ({
      ...known,
      lifecycle: { ...known.lifecycle, state: 'READY_FOR_TEST' },
      replication: { ...known.replication, state: 'CONTINUOUS' },
      agent: { ...known.agent, lastSeenAt: dashboard.gateway.now().toISOString() },
    }))
    const state = async () => (await serverOf(dashboard.gateway, id)).lifecycle.state
    const open = () => page.goto(`${dashboard.origin}/servers/${id}`)
    const fromMenu = async (name: string, asks = true): Promise<void> => {
      await open()
      await page.locator('details.menu summary').click()
      const item = page.locator('.menu-list').getByText(name, { exact: true })
      await item.click()
      if (asks) await page.locator('form.confirm').getByRole('button', { name }).click()
      await page.waitForURL(/done=/)
    }
    const next = async (name: string): Promise<void> => {
      await open()
      await page.locator('#next-step').getByRole('link', { name }).click()
      await page.locator('form.confirm').getByRole('button', { name }).click()
      await page.waitForURL(/done=/)
    }

    await fromMenu('Pause replication', false)
    expect((await serverOf(dashboard.gateway, id)).agent.desired).toBe('PAUSE')
    await fromMenu('Resume replication', false)
    await fromMenu('Rescan disks', false)
    expect(await serverOf(dashboard.gateway, id)).toMatchObject({
      agent: { desired: 'REPLICATE' },
      replication: { rescanEpoch: 1 },
    })

    await open()
    await page.locator('#launch').getByRole('link', { name: 'Change' }).click()
    await page.getByLabel('Web pages that must answer').fill('80 / Welcome')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Launch settings saved.').waitFor()
    expect((await serverOf(dashboard.gateway, id)).launchConfiguration.httpChecks).toEqual([
      { port: 80, path: '/', contains: 'Welcome' },
    ])

    await next('Launch test machine')
    expect(await state()).toBe('TESTING')
    await open()
    await page.getByRole('link', { name: 'Watch it' }).click()
    await page.getByRole('heading', { name: 'Test launch' }).waitFor()
    await finishLaunch(dashboard.gateway, id, 'TEST')
    await fromMenu('Revert to ready for test')
    expect(await state()).toBe('READY_FOR_TEST')
    await finishWork(dashboard.gateway, id)
    await fromMenu('Terminate launched machine')
    await finishWork(dashboard.gateway, id)
    await next('Launch test machine')
    await finishLaunch(dashboard.gateway, id, 'TEST')
    await next('Mark ready for cutover')
    expect(await state()).toBe('READY_FOR_CUTOVER')
    await next('Launch cutover machine')
    await finishLaunch(dashboard.gateway, id, 'CUTOVER')
    await fromMenu('Revert to ready for cutover')
    await finishWork(dashboard.gateway, id)
    await next('Launch cutover machine')
    await finishLaunch(dashboard.gateway, id, 'CUTOVER')
    await next('Finalize cutover')
    expect(await state()).toBe('CUTTING_OVER')
    await finishCutover(dashboard.gateway, id)
    expect(await state()).toBe('CUTOVER')
    await next('Archive')
    expect((await serverOf(dashboard.gateway, id)).isArchived).toBe(true)
    await page.goto(`${dashboard.origin}/servers?view=archived`)
    await page.getByRole('link', { name: 'no-scripts' }).click()
    await fromMenu('Delete')
    expect((await serverOf(dashboard.gateway, id)).activeTask?.kind).toBe('DELETE')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  })

  it('disconnects, retries, and is told why not', async () => {
    const { sourceServerId: id } = await readyServer(dashboard.gateway, 'gives-up')
    await dashboard.signIn(page)
    await page.goto(`${dashboard.origin}/servers/${id}/actions/finalize`)
    await page.getByText('A cutover is finalized after its machine was launched').waitFor()
    expect(await page.getByRole('button', { name: 'Finalize cutover' }).count()).toBe(0)
    await putServer(dashboard.gateway, id, (known) => ({
      ...known,
      replication: { ...known.replication, state: 'STALLED' },
    }))
    await page.goto(`${dashboard.origin}/servers/${id}`)
    await page.getByRole('button', { name: 'Try replication again' }).click()
    expect((await serverOf(dashboard.gateway, id)).replication.state).toBe('INITIATING')
    await page.goto(`${dashboard.origin}/servers/${id}/actions/disconnect`)
    await page.getByRole('button', { name: 'Disconnect' }).click()
    expect((await serverOf(dashboard.gateway, id)).lifecycle.state).toBe('DISCONNECTED')
  })
})
