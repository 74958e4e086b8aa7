import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Page } from 'playwright-core'
import type { Window } from './dashboard.ts'
import { axeViolations } from '../../fixtures/browser.ts'
import { until } from '../../fixtures/waiting.ts'
import {
  callAgentPort,
  enrolServer,
  inventory,
  putServer,
  serverOf,
  signingRequest,
} from '../../unit/gateway/callers.ts'
import { Dashboard } from './dashboard.ts'
import { readyServer } from './situations.ts'

// A browser on a busy machine takes its time.
vi.setConfig({ testTimeout: 240_000 })

let dashboard: Dashboard
let page: Page
let window: Window

beforeAll(async () => {
  dashboard = await Dashboard.start()
})

afterAll(() => dashboard.stop())

/** Complaints that the test itself brings about. */
function forgive(expected: RegExp): void {
  const { complaints } = window
  complaints.splice(0, complaints.length, ...complaints.filter((line) => !expected.test(line)))
}

describe('with scripts', () => {
  beforeEach(async () => {
    window = await dashboard.openWindow()
    ;({ page } = window)
    return async () => {
      expect(window.complaints).toEqual([])
      await window.context.close()
    }
  })

  it('signs in, makes a command, and sees the server arrive by itself', async () => {
    await dashboard.signIn(page)
    await page.getByRole('link', { name: 'Add server' }).first().click()
    await page.getByRole('button', { name: 'Make command' }).click()
    const command = await page.locator('#install-command').innerText()
    expect(command).toMatch(/^curl -fsSk --pinnedpubkey/)
    await page.getByRole('button', { name: 'Copy' }).waitFor()
    await page.getByText('Waiting for first contact').waitFor()
    const token = /--token (\S+)/.exec(command)?.[1] ?? ''
    const body = {
      token,
      csrPem: await signingRequest(),
      version: '0.1.0',
      sourceProperties: inventory('arrives'),
    }
    expect((await callAgentPort(dashboard.gateway, '/agent/v1/enrol', body)).status).toBe(200)
    await page.getByText('arrives has made contact').waitFor()
    await page.getByRole('link', { name: 'Open server' }).click()
    await page.getByRole('heading', { name: 'arrives' }).waitFor()
    await page.getByText('Raising the staging area').waitFor()
  })

  it('follows a server live and keeps what the reader has opened', async () => {
    const { sourceServerId: id } = await enrolServer(dashboard.gateway, 'live-one')
    await putServer(dashboard.gateway, id, ({ activeTask: _done, ...known }) => ({
      ...known,
      replication: { ...known.replication, state: 'INITIAL_SYNC' },
    }))
    await dashboard.signIn(page)
    await page.goto(`${dashboard.origin}/servers/${id}`)
    await page.getByText('First copy', { exact: true }).waitFor()
    await page.getByText('1 disk left out').click()
    await page.locator('[data-live="on"]').waitFor()
    const figures = (scannedBytes: number) => ({
      sourceServerId: id,
      at: dashboard.gateway.now().toISOString(),
      state: 'INITIAL_SYNC' as const,
      lagMs: null,
      backlogBytes: 0,
      bytesPerSecond: 50_000_000,
      durableBytes: scannedBytes,
      wireBytes: scannedBytes,
      rescans: 0,
      disks: [
        { diskIndex: 0, sizeBytes: 3_221_225_472, scannedBytes, backlogBytes: 0, durableBytes: scannedBytes },
      ],
    })
    dashboard.gateway.telemetry.figures.set(id, figures(805_306_368))
    await page.getByText('25 %').first().waitFor()
    await page.getByText('50 MB/s').waitFor()
    dashboard.gateway.telemetry.figures.set(id, figures(1_610_612_736))
    await page.getByText('50 %').first().waitFor()
    dashboard.gateway.telemetry.figures.delete(id)
    await putServer(dashboard.gateway, id, (known) => ({
      ...known,
      lifecycle: { ...known.lifecycle, state: 'READY_FOR_TEST' },
      replication: { ...known.replication, state: 'CONTINUOUS' },
    }))
    await page.locator('#next-step').getByRole('link', { name: 'Launch test machine' }).waitFor()
    expect(
      await page.locator('#source details').evaluate((details) => (details as HTMLDetailsElement).open),
    ).toBe(true)
    await page.goto('about:blank')
    await until('the stream has ended', async () => dashboard.gateway.streams.count === 0)
    forgive(/about:blank/)
  })

  it('sees servers come and change in the list', async () => {
    await dashboard.signIn(page)
    await page.locator('[data-live="on"]').waitFor()
    const { sourceServerId: id } = await readyServer(dashboard.gateway, 'pops-up')
    await page.getByRole('link', { name: 'pops-up' }).waitFor()
    await putServer(dashboard.gateway, id, (known) => ({
      ...known,
      lifecycle: { ...known.lifecycle, state: 'TESTING' },
    }))
    await page.locator(`#row-${id}`).getByText('Test in progress').waitFor()
  })

  it('asks in a dialog, and can be told no', async () => {
    const { sourceServerId: id } = await readyServer(dashboard.gateway, 'asks-first')
    await dashboard.signIn(page)
    await page.goto(`${dashboard.origin}/servers/${id}`)
    const button = page.locator('#next-step').getByRole('link', { name: 'Launch test machine' })
    await button.click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('A snapshot of the replica is taken').waitFor()
    expect(await axeViolations(page)).toEqual([])
    await dialog.getByRole('link', { name: 'Cancel' }).click()
    await dialog.waitFor({ state: 'hidden' })
    expect((await serverOf(dashboard.gateway, id)).lifecycle.state).toBe('READY_FOR_TEST')
    await button.click()
    await dialog.getByRole('button', { name: 'Launch test machine' }).click()
    await page.getByText('The test machine is being launched').waitFor()
    expect((await serverOf(dashboard.gateway, id)).lifecycle.state).toBe('TESTING')
  })

  it('comes back when the stream is cut, and signs out everywhere', async () => {
    await dashboard.signIn(page)
    await page.locator('[data-live="on"]').waitFor()
    dashboard.gateway.streams.close()
    await until('the browser has come back', async () => dashboard.gateway.streams.count === 1)
    await readyServer(dashboard.gateway, 'after-the-cut')
    await page.getByRole('link', { name: 'after-the-cut' }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.waitForURL(`${dashboard.origin}/sign-in`)
    await until('the stream has ended', async () => dashboard.gateway.streams.count === 0)
  })

  it('says that the gateway is away, and goes on when it is back', async () => {
    const { sourceServerId: id } = await readyServer(dashboard.gateway, 'outlives-it')
    await dashboard.signIn(page)
    await page.goto(`${dashboard.origin}/servers/${id}`)
    await page.locator('[data-live="on"]').waitFor()
    await dashboard.goAway()
    await page.getByText('Connection lost, trying again…').waitFor()
    await putServer(dashboard.gateway, id, (known) => ({
      ...known,
      lifecycle: { ...known.lifecycle, state: 'TESTING' },
    }))
    await dashboard.comeBack()
    await page.locator('#server-head').getByText('Test in progress').waitFor()
    await page.locator('[data-live="on"]').waitFor()
    forgive(/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|network error/)
  })

  it('leads to the sign-in page when the sign-in has ended while the stream was cut', async () => {
    await dashboard.signIn(page)
    await page.locator('[data-live="on"]').waitFor()
    for (const { value } of (await dashboard.gateway.store.list('session')).items)
      await dashboard.gateway.store.remove('session', { id: value.sessionSha256 })
    dashboard.gateway.streams.close()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await until('no stream is open', async () => dashboard.gateway.streams.count === 0)
    forgive(/401/)
  })

  it('says that a server is gone when it was deleted while the stream was cut', async () => {
    const { sourceServerId: id } = await readyServer(dashboard.gateway, 'deleted-meanwhile')
    await dashboard.signIn(page)
    await page.goto(`${dashboard.origin}/servers/${id}`)
    await page.locator('[data-live="on"]').waitFor()
    await dashboard.goAway()
    await dashboard.gateway.store.remove('server', { id })
    await dashboard.comeBack()
    await page.getByText(`Cannot find source server ${id}`).waitFor()
    forgive(/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|network error|404/)
  })

  it('shows and takes back that live figures are missing, without a reload', async () => {
    await readyServer(dashboard.gateway, 'without-figures')
    await dashboard.signIn(page)
    await page.locator('[data-live="on"]').waitFor()
    dashboard.gateway.telemetry.isAway = true
    await page.getByText('Live figures are missing').waitFor()
    dashboard.gateway.telemetry.isAway = false
    await page.getByText('Live figures are missing').waitFor({ state: 'detached' })
  })

  it('shows a refused agent where its server is being added', async () => {
    await dashboard.signIn(page)
    await page.goto(`${dashboard.origin}/servers/add`)
    await page.getByRole('button', { name: 'Make command' }).click()
    await page.locator('[data-live="on"]').waitFor()
    const body = {
      token: `tok-00000000000000009.${'0'.repeat(64)}`,
      csrPem: await signingRequest(),
      version: '0.1.0',
      sourceProperties: inventory('mistyped'),
    }
    expect((await callAgentPort(dashboard.gateway, '/agent/v1/enrol', body)).status).toBe(401)
    await page.getByText('mistyped was refused').waitFor()
    await page.getByText('copy the whole command').waitFor()
  })
})
