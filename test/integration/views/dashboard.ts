/**
 * The dashboard on a port of its own with a real Chromium before it.
 * @module
 */
import { join } from 'node:path'
import type { ServerType } from '@hono/node-server'
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core'
import { listenHttp, stopListening } from '../../../gateway/listen.ts'
import { ensureAdmin } from '../../../gateway/people/accounts.ts'
import { startBrowser, watchedPage } from '../../fixtures/browser.ts'
import { freePorts } from '../../fixtures/waiting.ts'
import type { TestGateway } from '../../unit/gateway/support.ts'
import { testGateway } from '../../unit/gateway/support.ts'

const password = 'correct horse battery'

/** A browser window, and everything that it complained about. */
export interface Window {
  context: BrowserContext
  page: Page
  complaints: string[]
}

/** Gateway, port and browser. */
export class Dashboard {
  readonly gateway: TestGateway
  readonly origin: string
  readonly #port: number
  readonly #browser: Browser
  #server: ServerType

  private constructor(gateway: TestGateway, port: number, browser: Browser, server: ServerType) {
    this.gateway = gateway
    this.#port = port
    this.origin = `http://127.0.0.1:${port}`
    this.#browser = browser
    this.#server = server
  }

  /** Starts all of it. */
  static async start(): Promise<Dashboard> {
    const gateway = await testGateway({ realClock: true })
    await ensureAdmin(gateway.store, join(gateway.folder, 'first-sign-in'), {
      preset: password,
      random: gateway.services.random,
      clock: gateway.now,
    })
    const [port = 0] = await freePorts(1)
    return new Dashboard(gateway, port, await startBrowser(), await listen(gateway, port))
  }

  /** A new window that shares nothing with others. */
  async openWindow(options: BrowserContextOptions = {}): Promise<Window> {
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
    return { context, ...(await watchedPage(context, this.origin)) }
  }

  /** Signs in through the form and ends at the list. */
  async signIn(page: Page): Promise<void> {
    await page.goto(`${this.origin}/servers`)
    await page.getByLabel('User name').fill('admin')
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(`${this.origin}/servers`)
  }

  /** The gateway goes away: its streams are cut and nothing answers. */
  async goAway(): Promise<void> {
    this.gateway.streams.close()
    await stopListening(this.#server)
  }

  /** The gateway comes back on the same port. */
  async comeBack(): Promise<void> {
    this.#server = await listen(this.gateway, this.#port)
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    await this.#browser.close()
    this.gateway.streams.close()
    await stopListening(this.#server)
    await this.gateway.close()
  }
}

function listen(gateway: TestGateway, port: number): Promise<ServerType> {
  return listenHttp(gateway.app, {
    host: '127.0.0.1',
    port,
    hostVariable: 'REHOST_HTTP_HOST',
    portVariable: 'REHOST_HTTP_PORT',
  })
}
