import type { ServerType } from '@hono/node-server'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import type { SourceServer } from '../../domain/source_server.ts'
import type { TestGateway } from '../unit/gateway/support.ts'
import { applyAction } from '../../domain/actions.ts'
import { newId } from '../../domain/ids.ts'
import { listenHttp, stopListening } from '../../gateway/listen.ts'
import { ensureAdmin } from '../../gateway/people/accounts.ts'
import { newTask } from '../../queues/task_steps.ts'
import { axeViolations, startBrowser, watchedPage } from '../fixtures/browser.ts'
import { freePorts, until } from '../fixtures/waiting.ts'
import { callAgentPort, enrolServer, inventory, putServer, serverOf, signingRequest } from '../unit/gateway/callers.ts'
import { testGateway } from '../unit/gateway/support.ts'

// A browser on a busy machine takes its time.
vi.setConfig({ testTimeout: 240_000 })

const password = 'correct horse battery'
let gateway: TestGateway
let server: ServerType
let browser: Browser
let origin: string

beforeAll(async () => {
  gateway = await testGateway({ realClock: true })
  await ensureAdmin(gateway.store, { preset: password, random: gateway.services.random, clock: gateway.now })
  const [port = 0] = await freePorts(1)
  server = await listenHttp(gateway.app, { host: '127.0.0.1', port, variable: 'REHOST_HTTP_PORT' })
  origin = `http://127.0.0.1:${port}`
  browser = await startBrowser()
})

afterAll(async () => {
  await browser.close()
  gateway.streams.close()
  await stopListening(server)
  await gateway.close()
})

let context: BrowserContext
let page: Page
let complaints: string[]

async function openWindow(options: BrowserContextOptions = {}): Promise<void> {
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
  ;({ page, complaints } = await watchedPage(context, origin))
}

async function signIn(): Promise<void> {
  await page.goto(`${origin}/servers`)
  await page.getByLabel('User name').fill('admin')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`${origin}/servers`)
}

/** A server whose replica is up to date. */
async function readyServer(hostname: string): Promise<SourceServer> {
  const { sourceServerId } = await enrolServer(gateway, hostname)
  return putServer(gateway, sourceServerId, ({ activeTask: _done, ...known }) => ({
    ...known,
    lifecycle: { ...known.lifecycle, state: 'READY_FOR_TEST' },
    replication: {
      ...known.replication,
      state: 'CONTINUOUS',
      replicationServerId: 'i-00000000000000001' as never,
    },
    agent: { ...known.agent, lastSeenAt: gateway.now().toISOString() },
    disks: known.disks.map((disk) => ({
      ...disk,
      replicatedBytes: disk.sizeBytes,
      volumeId: 'vol-00000000000000001' as never,
      devicePath: '/x',
    })),
  }))
}

/** The server as a worker leaves it when the launch that goes on is done. */
function finishLaunch(id: string, purpose: 'TEST' | 'CUTOVER'): Promise<SourceServer> {
  return putServer(gateway, id, ({ activeTask, ...known }) => ({
    ...known,
    launchedInstance: {
      machineId: newId('machine'),
      imageId: newId('image'),
      snapshotIds: [],
      jobId: activeTask?.jobId as never,
      purpose,
      launchedAt: gateway.now().toISOString(),
      firstBoot: 'SUCCEEDED',
      endpoints: [{ guestPort: 80, host: '127.0.0.1', port: 40_080 }],
    },
  }))
}

const finishWork = (id: string): Promise<SourceServer> =>
  putServer(gateway, id, ({ activeTask: _over, ...known }) => known)

describe('with scripts', () => {
  beforeEach(async () => {
    await openWindow()
    return async () => {
      expect(complaints).toEqual([])
      await context.close()
    }
  })

  it('signs in, makes a command, and sees the server arrive by itself', async () => {
    await signIn()
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
    expect((await callAgentPort(gateway, '/agent/v1/enrol', body)).status).toBe(200)
    await page.getByText('arrives has made contact').waitFor()
    await page.getByRole('link', { name: 'Open server' }).click()
    await page.getByRole('heading', { name: 'arrives' }).waitFor()
    await page.getByText('Raising the staging area').waitFor()
  })

  it('follows a server live and keeps what the reader has opened', async () => {
    const { sourceServerId: id } = await enrolServer(gateway, 'live-one')
    await putServer(gateway, id, ({ activeTask: _done, ...known }) => ({
      ...known,
      replication: { ...known.replication, state: 'INITIAL_SYNC' },
    }))
    await signIn()
    await page.goto(`${origin}/servers/${id}`)
    await page.getByText('First copy', { exact: true }).waitFor()
    await page.getByText('1 disk left out').click()
    await page.locator('[data-live="on"]').waitFor()
    const figures = (scannedBytes: number) => ({
      sourceServerId: id,
      at: gateway.now().toISOString(),
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
    gateway.telemetry.figures.set(id, figures(805_306_368))
    await page.getByText('25 %').first().waitFor()
    await page.getByText('50 MB/s').waitFor()
    gateway.telemetry.figures.set(id, figures(1_610_612_736))
    await page.getByText('50 %').first().waitFor()
    gateway.telemetry.figures.delete(id)
    await putServer(gateway, id, (known) => ({
      ...known,
      lifecycle: { ...known.lifecycle, state: 'READY_FOR_TEST' },
      replication: { ...known.replication, state: 'CONTINUOUS' },
    }))
    await page.locator('#next-step').getByRole('link', { name: 'Launch test machine' }).waitFor()
    expect(
      await page.locator('#source details').evaluate((details) => (details as HTMLDetailsElement).open),
    ).toBe(true)
    await page.goto('about:blank')
    await until('the stream has ended', async () => gateway.streams.count === 0)
    complaints.splice(0, complaints.length, ...complaints.filter((line) => !line.includes('about:blank')))
  })

  it('sees servers come and change in the list', async () => {
    await signIn()
    await page.locator('[data-live="on"]').waitFor()
    const { sourceServerId: id } = await readyServer('pops-up')
    await page.getByRole('link', { name: 'pops-up' }).waitFor()
    await putServer(gateway, id, (known) => ({
      ...known,
      lifecycle: { ...known.lifecycle, state: 'TESTING' },
    }))
    await page.locator(`#row-${id}`).getByText('Test in progress').waitFor()
  })

  it('asks in a dialog, and can be told no', async () => {
    const { sourceServerId: id } = await readyServer('asks-first')
    await signIn()
    await page.goto(`${origin}/servers/${id}`)
    const button = page.locator('#next-step').getByRole('link', { name: 'Launch test machine' })
    await button.click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('A snapshot of the replica is taken').waitFor()
    expect(await axeViolations(page)).toEqual([])
    await dialog.getByRole('link', { name: 'Cancel' }).click()
    await dialog.waitFor({ state: 'hidden' })
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('READY_FOR_TEST')
    await button.click()
    await dialog.getByRole('button', { name: 'Launch test machine' }).click()
    await page.getByText('The test machine is being launched').waitFor()
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('TESTING')
  })

  it('comes back when the stream is cut, and signs out everywhere', async () => {
    await signIn()
    await page.locator('[data-live="on"]').waitFor()
    gateway.streams.close()
    await until('the browser has come back', async () => gateway.streams.count === 1)
    await readyServer('after-the-cut')
    await page.getByRole('link', { name: 'after-the-cut' }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.waitForURL(`${origin}/sign-in`)
    await until('the stream has ended', async () => gateway.streams.count === 0)
  })
})

describe('without scripts', () => {
  beforeEach(async () => {
    await openWindow({ javaScriptEnabled: false })
    return async () => {
      expect(complaints).toEqual([])
      await context.close()
    }
  })

  it('does everything from the first command to the archive', async () => {
    await signIn()
    await page.getByRole('link', { name: 'Add server' }).first().click()
    await page.getByRole('button', { name: 'Make command' }).click()
    const token = /--token (\S+)/.exec(await page.locator('#install-command').innerText())?.[1] ?? ''
    const body = {
      token,
      csrPem: await signingRequest(),
      version: '0.1.0',
      sourceProperties: inventory('no-scripts'),
    }
    const { subjectId: id } = (await (await callAgentPort(gateway, '/agent/v1/enrol', body)).json()) as {
      subjectId: string
    }
    await page.getByRole('link', { name: 'Check now' }).click()
    await page.getByRole('link', { name: 'Open server' }).click()
    await putServer(gateway, id, ({ activeTask: _done, ...known }) => ({
      ...known,
      lifecycle: { ...known.lifecycle, state: 'READY_FOR_TEST' },
      replication: { ...known.replication, state: 'CONTINUOUS' },
      agent: { ...known.agent, lastSeenAt: gateway.now().toISOString() },
    }))
    const state = async () => (await serverOf(gateway, id)).lifecycle.state
    const open = () => page.goto(`${origin}/servers/${id}`)
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
    expect((await serverOf(gateway, id)).agent.desired).toBe('PAUSE')
    await fromMenu('Resume replication', false)
    await fromMenu('Rescan disks', false)
    expect(await serverOf(gateway, id)).toMatchObject({
      agent: { desired: 'REPLICATE' },
      replication: { rescanEpoch: 1 },
    })

    await open()
    await page.getByRole('link', { name: 'Change' }).click()
    await page.getByLabel('Web pages that must answer').fill('80 / Welcome')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Launch settings saved.').waitFor()
    expect((await serverOf(gateway, id)).launchConfiguration.httpChecks).toEqual([
      { port: 80, path: '/', contains: 'Welcome' },
    ])

    await next('Launch test machine')
    expect(await state()).toBe('TESTING')
    await open()
    await page.getByRole('link', { name: 'Watch it' }).click()
    await page.getByRole('heading', { name: 'Test launch' }).waitFor()
    await finishLaunch(id, 'TEST')
    await fromMenu('Revert to ready for test')
    expect(await state()).toBe('READY_FOR_TEST')
    await finishWork(id)
    await fromMenu('Terminate launched machine')
    await finishWork(id)
    await next('Launch test machine')
    await finishLaunch(id, 'TEST')
    await next('Mark ready for cutover')
    expect(await state()).toBe('READY_FOR_CUTOVER')
    await next('Launch cutover machine')
    await finishLaunch(id, 'CUTOVER')
    await fromMenu('Revert to ready for cutover')
    await finishWork(id)
    await next('Launch cutover machine')
    await finishLaunch(id, 'CUTOVER')
    await next('Finalize cutover')
    expect(await state()).toBe('CUTOVER')
    await finishWork(id)
    await next('Archive')
    expect((await serverOf(gateway, id)).isArchived).toBe(true)
    await page.goto(`${origin}/servers?view=archived`)
    await page.getByRole('link', { name: 'no-scripts' }).click()
    await fromMenu('Delete')
    expect((await serverOf(gateway, id)).activeTask?.kind).toBe('DELETE')
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  })

  it('disconnects, retries, and is told why not', async () => {
    const { sourceServerId: id } = await readyServer('gives-up')
    await signIn()
    await page.goto(`${origin}/servers/${id}/actions/finalize`)
    await page.getByText('A cutover is finalized after its machine was launched').waitFor()
    expect(await page.getByRole('button', { name: 'Finalize cutover' }).count()).toBe(0)
    await putServer(gateway, id, (known) => ({
      ...known,
      replication: { ...known.replication, state: 'STALLED' },
    }))
    await page.goto(`${origin}/servers/${id}`)
    await page.getByRole('button', { name: 'Try replication again' }).click()
    expect((await serverOf(gateway, id)).replication.state).toBe('INITIATING')
    await page.goto(`${origin}/servers/${id}/actions/disconnect`)
    await page.getByRole('button', { name: 'Disconnect' }).click()
    expect((await serverOf(gateway, id)).lifecycle.state).toBe('DISCONNECTED')
  })
})

describe('every page', () => {
  it.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 320],
  ] as const)(
    'has no violation that axe finds and no sideways scrolling, %s at %i',
    async (colorScheme, width) => {
      await openWindow({ colorScheme, viewport: { width, height: 800 } })
      await page.goto(`${origin}/sign-in`)
      expect(await axeViolations(page)).toEqual([])
      await signIn()
      const ready = await readyServer(`every-page-${colorScheme}-${width}`)
      const stalled = await enrolServer(gateway, `stalled-${colorScheme}-${width}`)
      await putServer(gateway, stalled.sourceServerId, ({ activeTask: _done, ...known }) => ({
        ...known,
        tags: { env: 'test' },
        replication: {
          ...known.replication,
          state: 'STALLED',
          error: {
            error: 'NOT_CONVERGING',
            rawError: 'The staging disk is full',
            whatToDo: 'Free some space',
          },
        },
      }))
      const jobId = await makeJob(ready)
      const id = ready.sourceServerId
      const paths = [
        '/servers',
        '/servers?q=nothing+like+it',
        '/servers?view=archived',
        '/servers/add',
        `/servers/${id}`,
        `/servers/${stalled.sourceServerId}`,
        `/servers/${id}/actions/disconnect`,
        `/servers/${id}/launch-configuration`,
        '/jobs',
        `/jobs/${jobId}`,
        '/settings',
      ]
      for (const path of paths) {
        await page.goto(origin + path)
        await page.locator('main').waitFor()
        expect(await axeViolations(page), path).toEqual([])
        expect(
          await page.evaluate(
            () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
          ),
          path,
        ).toBeLessThanOrEqual(0)
      }
      await page.goto(`${origin}/servers/${id}`)
      await page.locator('details.menu summary').click()
      expect(await axeViolations(page), 'the menu').toEqual([])
      await keepPicture(`server-${colorScheme}-${width}`)
      expect(complaints).toEqual([])
      await page.goto(`${origin}/nothing`)
      expect(await axeViolations(page)).toEqual([])
      await context.close()
    },
  )

  it('can be walked through by keyboard, beginning with the skip link', async () => {
    await openWindow()
    await signIn()
    await page.goto(`${origin}/servers`)
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
    await context.close()
  })

  it('remembers the theme', async () => {
    await openWindow({ colorScheme: 'light' })
    await signIn()
    await page.getByRole('button', { name: 'Switch between light and dark' }).click()
    await page.reload()
    expect(await page.evaluate(() => document.documentElement.dataset['theme'])).toBe('dark')
    await context.close()
  })
})

/** Keeps a picture of the page for people to look at, where REHOST_SCREENSHOTS says so. */
async function keepPicture(name: string): Promise<void> {
  const folder = process.env['REHOST_SCREENSHOTS']
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
}

/** A finished test launch with everything that it leaves. */
async function makeJob(server: SourceServer): Promise<string> {
  const jobId = newId('job')
  const at = gateway.now().toISOString()
  const { sourceServerId: id } = server
  const testing = await putServer(gateway, id, (known) =>
    applyAction(known, 'START_TEST', { at, actor: 'admin', jobId }),
  )
  const task = newTask(testing, testing.activeTask ?? ({} as never))
  task.steps.forEach((step, index) =>
    Object.assign(step, {
      status: index === 5 ? 'FAILED' : 'DONE',
      startedAt: at,
      endedAt: at,
      attempts: 2,
      ...(index === 5 ? { error: 'It did not launch' } : {}),
    }),
  )
  await gateway.store.create('task', { id: task.taskId }, task)
  await gateway.store.create(
    'job',
    { id: jobId },
    {
      jobId,
      type: 'LAUNCH',
      initiatedBy: 'START_TEST',
      actor: 'admin',
      status: 'COMPLETED',
      createdAt: at,
      endedAt: at,
      participatingServers: [{ sourceServerId: id, launchStatus: 'FAILED', failure: 'It did not launch' }],
    },
  )
  await gateway.store.create(
    'jobLog',
    { parent: jobId, id: '1' },
    {
      jobId,
      logId: '1',
      at,
      event: 'LAUNCH_FAILED',
      message: 'The machine did not launch',
      rawError: 'QEMU has ended',
    },
  )
  const folder = join(gateway.folder, 'artefacts', jobId, id)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'serial.log'), 'Debian GNU/Linux 12 ttyS0\n\nlogin: ')
  await writeFile(join(folder, 'screenshot.png'), blackPng(64, 40))
  await writeFile(
    join(folder, 'conversion.json'),
    JSON.stringify({ changes: [{ name: 'Serial console', detail: 'Added' }] }),
  )
  await finishWork(id)
  return jobId
}

/** A small black picture. */
function blackPng(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data])
    const frame = Buffer.alloc(8)
    frame.writeUInt32BE(data.length, 0)
    frame.writeUInt32BE(crc32(body), 4)
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)])
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 0, 0, 0, 0], 8)
  const pixels = deflateSync(Buffer.alloc((width + 1) * height))
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ])
}
