import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SourceServerId } from '../../../domain/ids.ts'
import type { TestGateway } from './support.ts'
import { enrolServer, getPage, putServer, upToDate } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

const page = async (path: string) => (await getPage(gateway, path, await gateway.signIn())).text()
const rowsOf = (text: string) =>
  [...text.matchAll(/class="row-name"[^>]*>\s*([^<\s]+)/g)].map(([, name]) => name)

/** Copies of one server, `n-1` the oldest. */
async function addServers(count: number): Promise<void> {
  const { sourceServerId } = await enrolServer(gateway)
  const model = upToDate(gateway)(
    (await gateway.store.get('server', { id: sourceServerId }))?.value ?? ({} as never),
  )
  await gateway.store.remove('server', { id: sourceServerId })
  for (let number = 1; number <= count; number++) {
    const id = `s-${String(number).padStart(17, '0')}` as SourceServerId
    const source = model.sourceProperties
    const hints = { ...source.identificationHints, hostname: `n-${number}` }
    const createdAt = new Date(gateway.now().getTime() + number).toISOString()
    await gateway.store.create(
      'server',
      { id },
      {
        ...model,
        sourceServerId: id,
        createdAt,
        sourceProperties: { ...source, identificationHints: hints },
      },
    )
  }
  gateway.pass(2000)
}

describe('the list', () => {
  it('shows fifty servers a page, the newest first, and leads to the others', async () => {
    await addServers(120)
    const first = await page('/servers')
    expect([rowsOf(first).length, rowsOf(first)[0], rowsOf(first)[49]]).toEqual([50, 'n-120', 'n-71'])
    expect(first).toContain('1–50 of 120 servers')
    expect(first).toContain('href="/servers?page=2"')
    expect(first).toContain('hx-sse:connect="/servers/live"')
    const last = await page('/servers?page=3')
    expect([rowsOf(last).length, rowsOf(last)[19]]).toEqual([20, 'n-1'])
    expect(last).toContain('101–120 of 120 servers')
    expect(last).toContain('hx-sse:connect="/servers/live?page=3"')
    const found = await page('/servers?q=n-1')
    expect(rowsOf(found)).toHaveLength(32)
  })

  it.each(['0', '-1', 'x', '1.5', '99', '1e99'])('gives a page for page=%s too', async (number) => {
    await addServers(60)
    expect(rowsOf(await page(`/servers?page=${number}`)).length).toBeGreaterThan(0)
  })

  it('knows who needs attention', async () => {
    await addServers(3)
    await putServer(gateway, 's-00000000000000002', (server) => ({
      ...server,
      replication: {
        ...server.replication,
        state: 'STALLED',
        error: { error: 'NOT_CONVERGING', rawError: 'Cannot read sector 8', whatToDo: 'Replace it' },
      },
    }))
    const text = await page('/servers?view=attention')
    expect(rowsOf(text)).toEqual(['n-2'])
    expect(text).toMatch(/Need attention <span class="tab-count">1</)
    gateway.pass(61_000)
    expect(rowsOf(await page('/servers?view=attention'))).toHaveLength(3)
  })

  it('says so when nobody needs attention', async () => {
    await addServers(1)
    expect(await page('/servers?view=attention')).toContain('All is well')
  })

  it('finds servers by their address too', async () => {
    await enrolServer(gateway)
    gateway.pass(2000)
    expect(rowsOf(await page('/servers?q=192.0.2.20'))).toEqual(['web-1'])
  })
})
