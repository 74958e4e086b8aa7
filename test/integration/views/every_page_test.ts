import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Page } from 'playwright-core'
import type { SourceServerId, WebhookId } from '../../../domain/ids.ts'
import { createWebhook } from '../../../gateway/webhooks.ts'
import type { Fleet } from './scenes.ts'
import { axeViolations } from '../../fixtures/browser.ts'
import { Dashboard } from './dashboard.ts'
import { finishedLaunch } from './job_scene.ts'
import { keepAlive, seedFleet } from './scenes.ts'

// A browser on a busy machine takes its time.
vi.setConfig({ testTimeout: 240_000 })

let dashboard: Dashboard
/** Every page there is, by the name of its picture. */
let pages: Record<string, string>

beforeAll(async () => {
  dashboard = await Dashboard.start()
  const fleet = await seedFleet(dashboard.gateway)
  pages = await addressesOf(fleet)
})

afterAll(() => dashboard.stop())

async function addressesOf(fleet: Fleet): Promise<Record<string, string>> {
  const screen = await screenOf(bootedScreen)
  const done = await finishedLaunch(dashboard.gateway, fleet.launched, screen)
  const panic = 'Kernel panic - not syncing: VFS: Unable to mount root fs'
  const failure = `The machine did not reach its login prompt within 600 s; its last words: ${panic}`
  const failed = await finishedLaunch(dashboard.gateway, fleet.failed, await screenOf(panic), failure)
  const { sourceServerId: id } = fleet.ready
  const token = (await dashboard.gateway.installationToken(3)).split('.')[0]
  dashboard.gateway.services.refusals.note(
    'ENROLMENT',
    { address: '10.20.0.31', subject: 'web-04' },
    'The installation token is wrong: copy the whole command, or make another one with Add server in the dashboard',
  )
  return {
    list: '/servers',
    'list-nothing-found': '/servers?q=nothing+like+it',
    'list-attention': '/servers?view=attention',
    'list-archived': '/servers?view=archived',
    add: '/servers/add',
    'add-waiting': `/servers/add/${token}`,
    'server-copying': `/servers/${fleet.copying.sourceServerId}`,
    'server-ready': `/servers/${id}`,
    'server-launched': `/servers/${fleet.launched.sourceServerId}`,
    'server-failed': `/servers/${fleet.failed.sourceServerId}`,
    'server-stalled': `/servers/${fleet.stalled.sourceServerId}`,
    'server-starting': `/servers/${fleet.starting.sourceServerId}`,
    confirm: `/servers/${id}/actions/disconnect`,
    'launch-settings': `/servers/${id}/launch-configuration`,
    'replication-settings': `/servers/${id}/replication-configuration`,
    jobs: '/jobs',
    'job-done': `/jobs/${done}`,
    'job-failed': `/jobs/${failed}`,
    settings: '/settings',
    bandwidth: '/settings/bandwidth',
    webhooks: '/settings/webhooks',
    webhook: `/settings/webhooks/${await usedWebhook(id)}`,
  }
}

/** An endpoint that was sent something, with every result there is. */
async function usedWebhook(laneId: SourceServerId): Promise<WebhookId> {
  const { services, store } = dashboard.gateway
  const wanted = { url: `https://hooks.example/${'long-path/'.repeat(20)}`, description: 'Chat', pattern: {} }
  const { webhookId } = (await createWebhook(services, wanted, 'admin')).endpoint
  for (const [place, outcome] of (['DELIVERED', 'FAILED', 'DEAD'] as const).entries()) {
    const at = new Date(dashboard.gateway.now().getTime() - place * 60_000).toISOString()
    const known = {
      deliveryId: `${laneId}.00000000000000${place}.1`,
      eventId: 'x',
      laneId,
      attempt: place + 1,
    }
    const answer =
      outcome === 'DELIVERED'
        ? { statusCode: 200, responseBegin: 'ok' }
        : { statusCode: 500, responseBegin: 'x'.repeat(400), problem: 'Answered 500' }
    const detailType = 'Rehost Data Replication Initiation Step'
    await store.create(
      'webhookAttempt',
      { parent: webhookId, id: at },
      { at, detailType, outcome, durationMs: 120, ...known, ...answer },
    )
  }
  return webhookId
}

const started = ['ssh.service - OpenBSD Secure Shell server', 'nginx.service - A high performance web server']
const bootedScreen = [
  ...started.map((unit) => `[  OK  ] Started ${unit}.`),
  '[  OK  ] Reached target multi-user.target - Multi-User System.',
  '',
  'Ubuntu 22.04.5 LTS shop-01 tty1',
  '',
  'shop-01 login: _',
].join('\n')

/** A picture of a machine's screen that shows `text`. */
async function screenOf(text: string): Promise<Buffer> {
  const { page, context } = await dashboard.openWindow({ viewport: { width: 720, height: 400 } })
  await page.setContent(
    `<body style="background:#000;color:#ccc;font:16px monospace"><pre>${text}</pre></body>`,
  )
  const picture = await page.screenshot()
  await context.close()
  return picture
}

/** Keeps a picture of the page for people to look at, where REHOST_SCREENSHOTS says so. */
async function keepPicture(page: Page, name: string): Promise<void> {
  const folder = process.env['REHOST_SCREENSHOTS']
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
}

/** Between them they see both colour schemes, a desk and a telephone; with REHOST_LONG=1 all combinations. */
const looks = [
  ['light', 1280, 800],
  ['dark', 390, 844],
  ...(process.env['REHOST_LONG'] === '1'
    ? ([
        ['dark', 1280, 800],
        ['light', 390, 844],
        ['light', 320, 640],
      ] as const)
    : []),
] as const

/** The narrowest screen that a page must fit. */
const narrowest = { width: 320, height: 640 }

describe('every page', () => {
  it.each(looks)(
    'has no violation that axe finds and no sideways scrolling, %s at %i',
    async (colorScheme, width, height) => {
      const { page, context, complaints } = await dashboard.openWindow({
        colorScheme,
        viewport: { width, height },
      })
      const look = async (name: string): Promise<void> => {
        expect(await axeViolations(page), name).toEqual([])
        await keepPicture(page, `${name}-${colorScheme}-${width}`)
        for (const viewport of [narrowest, { width, height }]) {
          await page.setViewportSize(viewport)
          const { scrollWidth, clientWidth } = await page.evaluate(() => {
            const { scrollWidth, clientWidth } = document.documentElement
            return { scrollWidth, clientWidth }
          })
          expect(scrollWidth, `${name} at ${viewport.width}`).toBeLessThanOrEqual(clientWidth)
        }
      }
      await page.goto(`${dashboard.origin}/sign-in`)
      await look('sign-in')
      await dashboard.signIn(page)
      for (const [name, path] of Object.entries(pages)) {
        await keepAlive(dashboard.gateway)
        await page.goto(dashboard.origin + path)
        await page.locator('main').waitFor()
        await look(name)
      }
      await page.goto(dashboard.origin + pages['server-launched'])
      await page.locator('details.menu summary').click()
      await look('menu')
      expect(complaints).toEqual([])
      await page.goto(`${dashboard.origin}/nothing`)
      await look('not-found')
      await context.close()
    },
  )

  it('can be walked through by keyboard, beginning with the skip link', async () => {
    const { page, context } = await dashboard.openWindow()
    await dashboard.signIn(page)
    await page.goto(`${dashboard.origin}/servers`)
    await page.keyboard.press('Tab')
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Skip to content')
    await page.keyboard.press('Enter')
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
    await context.close()
  })

  it('remembers the theme', async () => {
    const { page, context } = await dashboard.openWindow({ colorScheme: 'light' })
    await dashboard.signIn(page)
    await page.getByRole('button', { name: 'Switch between light and dark' }).click()
    await page.reload()
    expect(await page.evaluate(() => document.documentElement.dataset['theme'])).toBe('dark')
    await context.close()
  })
})
