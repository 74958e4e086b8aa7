import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { enrolServer, getPage, putServer, upToDate } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const get = (path: string, cookie?: string) => getPage(gateway, path, cookie)

describe('health', () => {
  it('is open, and says more when asked', async () => {
    expect(await (await get('/livez')).text()).toBe('ok\n')
    expect(await (await get('/readyz')).text()).toBe('ready\n')
    expect(await (await get('/readyz?verbose')).text()).toBe(
      '[+]store ok (0 ms)\n[+]redis ok (0 ms)\n[+]queues ok (0 ms)\nready\n',
    )
    gateway.wakeUps.fails = true
    const response = await get('/readyz?verbose')
    expect(response.status).toBe(503)
    expect(await response.text()).toContain('[-]queues failed: Cannot reach Redis')
  })

  it('counts servers in metrics', async () => {
    const server = await putServer(
      gateway,
      (await enrolServer(gateway, 'evil"\n\\host')).sourceServerId,
      upToDate(gateway),
    )
    gateway.telemetry.figures.set(server.sourceServerId, {
      sourceServerId: server.sourceServerId,
      at: gateway.now().toISOString(),
      state: 'CONTINUOUS',
      lagMs: 1500,
      backlogBytes: 42,
      bytesPerSecond: 1000,
      durableBytes: 0,
      wireBytes: 0,
      rescans: 0,
      disks: [],
    })
    const text = await (await get('/metrics')).text()
    expect(text).toContain('rehost_source_servers{state="READY_FOR_TEST"} 1\n')
    expect(text).toContain(
      `rehost_replication_lag_seconds{source_server_id="${server.sourceServerId}",hostname="evil\\"\\n\\\\host"} 1.5\n`,
    )
    expect(text).toContain('rehost_replication_backlog_bytes{')
    for (const line of text.trimEnd().split('\n'))
      expect(line).toMatch(/^(# (HELP|TYPE) rehost_\w+ .+|rehost_\w+(\{.*\})? -?[\d.e+]+)$/)
  })
})
