import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ChildProcess } from 'node:child_process'
import { until } from '../../fixtures/waiting.ts'

const root = join(import.meta.dirname, '../../..')
let deno: ChildProcess
let folder: string
let errors = ''
let served: { port: number; cookie: string; token: string; sourceServerId: string }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-gateway-'))
  const script = join(root, 'test/fixtures/gateway_under_deno.ts')
  deno = spawn(
    join(root, 'node_modules/.bin/deno'),
    ['run', '-A', '--no-check', '--node-modules-dir=manual', script, folder],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  deno.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString()
  })
  const lines = createInterface({ input: deno.stdout ?? process.stdin })
  const [line] = (await Promise.race([
    once(lines, 'line'),
    once(deno, 'close').then(() => {
      throw new Error(`Deno has ended: ${errors}`)
    }),
  ])) as [string]
  served = JSON.parse(line) as typeof served
})

afterAll(async () => {
  if (deno.exitCode === null) {
    deno.kill('SIGKILL')
    await once(deno, 'close')
  }
  await rm(folder, { recursive: true, force: true })
})

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(`http://127.0.0.1:${served.port}${path}`, { headers, redirect: 'manual' })

describe('the operator app under Deno', () => {
  it('serves health, pages, static files and the API', async () => {
    expect(await (await get('/livez')).text()).toBe('ok\n')
    expect((await get('/servers')).status).toBe(303)
    const page = await (await get(`/servers/${served.sourceServerId}`, { cookie: served.cookie })).text()
    expect(page).toContain('under-deno')
    const css = /\/static\/app\.[0-9a-f]+\.css/.exec(page)?.[0] ?? ''
    expect((await get(css)).headers.get('content-type')).toBe('text/css; charset=utf-8')
    const api = await get('/api/v1/servers', { authorization: `Bearer ${served.token}` })
    expect(((await api.json()) as { items: unknown[] }).items).toHaveLength(1)
    expect(await (await get('/metrics')).text()).toContain('rehost_source_servers{state="NOT_READY"} 1')
  })

  it('does an action and refuses one from another site', async () => {
    const act = (origin: string) =>
      fetch(`http://127.0.0.1:${served.port}/servers/${served.sourceServerId}/actions/pause`, {
        method: 'POST',
        headers: { cookie: served.cookie, origin, 'content-type': 'application/x-www-form-urlencoded' },
        redirect: 'manual',
      })
    expect((await act('https://evil.example')).status).toBe(403)
    expect((await act(`http://127.0.0.1:${served.port}`)).status).toBe(303)
  })

  it('streams and notices that the reader has gone', async () => {
    const stop = new AbortController()
    const live = await fetch(`http://127.0.0.1:${served.port}/servers/live`, {
      headers: { cookie: served.cookie },
      signal: stop.signal,
    })
    const reader = live.body?.getReader()
    let text = ''
    const decoder = new TextDecoder()
    await until('the list arrives', async () => {
      const next = await reader?.read()
      text += decoder.decode(next?.value)
      return text.includes('hx-target="#server-list"')
    })
    stop.abort()
    expect(errors).toBe('')
  })
})
