import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GatewayProcess } from '../../fixtures/gateway_process.ts'
import { until } from '../../fixtures/waiting.ts'
import { heartbeat, inventory } from '../../unit/gateway/callers.ts'
import { call, enrolled } from './agent_client.ts'

let gateway: GatewayProcess

beforeAll(async () => {
  gateway = await GatewayProcess.start()
})

afterAll(() => gateway.stop())

async function signIn(): Promise<string> {
  const password = (await readFile(join(gateway.dataDir, 'first-sign-in'), 'utf8')).trim()
  const response = await fetch(`${gateway.url}/sign-in`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', origin: gateway.url },
    body: new URLSearchParams({ userName: 'admin', password }).toString(),
    redirect: 'manual',
  })
  return (response.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
}

describe('while something is away', () => {
  it('pages and heartbeats go on without Redis, and readiness says so', async () => {
    const { identity, id } = await enrolled(gateway, 'no-redis')
    await call(
      gateway,
      '/agent/v1/start',
      { version: '0.1.0', bootId: 'b', sourceProperties: inventory('no-redis') },
      identity,
    )
    await gateway.redis.kill()
    expect((await fetch(`${gateway.url}/readyz?verbose`)).status).toBe(503)
    expect(await (await fetch(`${gateway.url}/livez`)).text()).toBe('ok\n')
    expect((await call(gateway, '/agent/v1/heartbeat', heartbeat(1), identity)).status).toBe(200)
    expect((await gateway.api<{ lifecycle: unknown }>('GET', `/servers/${id}`)).lifecycle).toBeDefined()
    await gateway.redis.begin()
    await until('it is ready again', async () => (await fetch(`${gateway.url}/readyz`)).ok)
  })

  it('says that live figures are missing while Redis is away, answers as fast as ever, and hears of changes again', async () => {
    const { identity, id } = await enrolled(gateway, 'figures')
    const properties = { version: '0.1.0', bootId: 'b', sourceProperties: inventory('figures') }
    await call(gateway, '/agent/v1/start', properties, identity)
    const cookie = await signIn()
    const page = async () => (await fetch(`${gateway.url}/servers/${id}`, { headers: { cookie } })).text()
    expect(await page()).not.toContain('Live figures are missing')
    await gateway.redis.kill()
    await until('it is said', async () => (await page()).includes('Live figures are missing'))
    const linesBefore = gateway.output.split('\n').length
    const began = Date.now()
    for (let look = 0; look < 20; look++) await page()
    // Waiting for Redis would have taken half a second each time.
    expect(Date.now() - began).toBeLessThan(5000)
    expect(gateway.output.split('\n').length - linesBefore).toBeLessThan(5)

    await gateway.redis.begin()
    await until('figures are back', async () => !(await page()).includes('Live figures are missing'))
    const live = await fetch(`${gateway.url}/servers/${id}/live`, { headers: { cookie } })
    const reader = live.body?.pipeThrough(new TextDecoderStream()).getReader()
    let streamed = ''
    const read = async (): Promise<void> => {
      for (;;) {
        const next = await reader?.read()
        if (next === undefined || next.done) return
        streamed += next.value
      }
    }
    void read()
    await until('the page streams', async () => streamed.includes('id="stepper"'))
    await gateway.api('POST', `/servers/${id}/actions/pause`)
    await until('the change arrives', async () => streamed.includes('Resume replication'))
    await reader?.cancel()
  })

  it('the process ends within seconds though Redis is away', async () => {
    await gateway.redis.kill()
    await until('it is noticed', async () => !(await fetch(`${gateway.url}/readyz`)).ok)
    const began = Date.now()
    expect(await gateway.end()).toBe(0)
    expect(Date.now() - began).toBeLessThan(8000)
    await gateway.redis.begin()
    await gateway.begin()
  })

  it('the process ends within seconds though a live page is open, and begins again with the same key and sign-ins', async () => {
    const cookie = await signIn()
    const { installCommand: before } = await gateway.api<{ installCommand: string }>('POST', '/tokens', {})
    const live = await fetch(`${gateway.url}/servers/live`, { headers: { cookie } })
    expect(live.headers.get('content-type')).toBe('text/event-stream')
    const child = gateway.child
    const closed = child === undefined ? undefined : once(child, 'close')
    const began = Date.now()
    child?.kill('SIGTERM')
    await closed
    expect(child?.exitCode).toBe(0)
    expect(Date.now() - began).toBeLessThan(8000)
    await live.body?.cancel().catch(() => undefined)
    const token = await gateway.cliToken()
    await gateway.begin()
    expect(await gateway.cliToken()).toBe(token)
    const { installCommand: after } = await gateway.api<{ installCommand: string }>('POST', '/tokens', {})
    expect(after.split(' --token')[0]).toBe(before.split(' --token')[0])
    expect((await fetch(`${gateway.url}/servers`, { headers: { cookie }, redirect: 'manual' })).status).toBe(
      200,
    )
  })
})
