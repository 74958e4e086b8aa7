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

describe('the list by API', () => {
  interface ListPage {
    items: { sourceServerId: SourceServerId }[]
    nextToken?: string
  }
  const ask = async (query: string): Promise<Response> =>
    gateway.app.request(`/api/v1/servers${query}`, {
      headers: { authorization: `Bearer ${await gateway.apiToken()}` },
    })
  const list = async (query: string) => (await (await ask(query)).json()) as ListPage
  const numbers = ({ items }: ListPage) => items.map(({ sourceServerId }) => Number(sourceServerId.slice(2)))
  const range = (first: number, last: number) =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index)

  it('comes in pages of a hundred unless told, oldest first, and ends without a token', async () => {
    await addServers(120)
    const first = await list('')
    expect(numbers(first)).toEqual(range(1, 100))
    const second = await list(`?nextToken=${first.nextToken}`)
    expect(numbers(second)).toEqual(range(101, 120))
    expect(second).not.toHaveProperty('nextToken')
    expect(await list('?limit=120')).not.toHaveProperty('nextToken')
  })

  it('gives each server once whatever comes and goes between pages, also those of one moment', async () => {
    await addServers(30)
    const at = gateway.now().toISOString()
    for (const number of range(5, 25)) {
      const id = `s-${String(number).padStart(17, '0')}` as SourceServerId
      await putServer(gateway, id, (server) => ({ ...server, createdAt: at }))
    }
    gateway.pass(2000)
    const all = numbers(await list('?limit=1000'))
    expect(all).toHaveLength(30)
    const found: number[] = []
    let query = '?limit=7'
    for (;;) {
      const part = await list(query)
      found.push(...numbers(part))
      if (part.nextToken === undefined) break
      query = `?limit=7&nextToken=${part.nextToken}`
      if (found.length === 7) {
        // The last one given goes: the token still names its place.
        const last = part.items.at(-1)?.sourceServerId ?? ('' as SourceServerId)
        await gateway.store.remove('server', { id: last })
        gateway.pass(2000)
      }
    }
    expect(found).toEqual(all)
  })

  it('leaves out archived servers unless asked for, on every page', async () => {
    await addServers(6)
    for (const number of [1, 4]) {
      const id = `s-${String(number).padStart(17, '0')}` as SourceServerId
      await putServer(gateway, id, (server) => ({ ...server, isArchived: true }))
    }
    gateway.pass(2000)
    const first = await list('?limit=2')
    expect(numbers(first)).toEqual([2, 3])
    expect(numbers(await list(`?limit=2&nextToken=${first.nextToken}`))).toEqual([5, 6])
    expect(numbers(await list('?limit=2&archived=true'))).toEqual([1, 2])
  })

  it.each([
    ['?limit=0', 400],
    ['?limit=1001', 400],
    ['?limit=1.5', 400],
    ['?limit=many', 400],
    ['?nextToken=', 400],
    ['?nextToken=AAAA', 400],
    ['?nextToken=MjAyNg', 400],
  ])('refuses %s with %d', async (query, status) => {
    const response = await ask(query)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
  })
})

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
