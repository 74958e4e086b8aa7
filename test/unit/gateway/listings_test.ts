import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Job } from '../../../domain/job.ts'
import type { InstallationToken } from '../../../domain/enrolment.ts'
import type { JobId, TokenId } from '../../../domain/ids.ts'
import type { TestGateway } from './support.ts'
import { describedCalls } from '../../../gateway/api/openapi.ts'
import { sweepInstallationTokens } from '../../../gateway/people/installation_tokens.ts'
import { getPage } from './callers.ts'
import { testGateway } from './support.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

/** The `number`th id in the order in which the store lists them. */
const idOf = (prefix: string, number: number) => prefix + number.toString(16).padStart(17, '0')

/** A moment, as far from now. */
const at = (fromNowMs: number) => new Date(gateway.now().getTime() + fromNowMs).toISOString()

async function putToken(number: number, expiresInMs: number): Promise<TokenId> {
  const tokenId = idOf('tok-', number) as TokenId
  const token: InstallationToken = {
    tokenId,
    secretSha256: '',
    purpose: 'AGENT',
    createdAt: at(expiresInMs - hourMs),
    createdBy: 'admin',
    expiresAt: at(expiresInMs),
    usesLeft: 1,
    usedBy: [],
  }
  await gateway.store.create('token', { id: tokenId }, token)
  return tokenId
}

async function putJob(number: number, createdAt: string): Promise<JobId> {
  const jobId = idOf('mgnjob-', number) as JobId
  const job: Job = {
    jobId,
    type: 'LAUNCH',
    initiatedBy: 'START_TEST',
    actor: 'admin',
    status: 'COMPLETED',
    createdAt,
    participatingServers: [],
  }
  await gateway.store.create('job', { id: jobId }, job)
  return jobId
}

interface Page<T> {
  items: T[]
  nextToken?: string
}

async function get(path: string): Promise<Response> {
  const authorization = `Bearer ${await gateway.apiToken()}`
  return gateway.app.request(`http://localhost/api/v1/${path}`, { headers: { authorization } })
}

async function page<T>(path: string): Promise<Page<T>> {
  return (await (await get(path)).json()) as Page<T>
}

async function firstOf<T>(path: string): Promise<T | undefined> {
  return (await page<T>(path)).items[0]
}

describe('listings', () => {
  it('begin with the newest token, however many old ones come before it in the store', async () => {
    for (let number = 0; number < 1000; number++) await putToken(number, -2 * hourMs)
    const live = await putToken(1000, hourMs)
    expect((await firstOf<InstallationToken>('tokens'))?.tokenId).toBe(live)
    expect(await (await getPage(gateway, '/settings', await gateway.signIn())).text()).toContain(live)
  })

  it('begin with the newest job, however many old ones come before it in the store', async () => {
    for (let number = 0; number < 5000; number++) await putJob(number, at(-dayMs))
    const newest = await putJob(5000, at(0))
    expect((await firstOf<Job>('jobs'))?.jobId).toBe(newest)
    expect(await (await getPage(gateway, '/jobs', await gateway.signIn())).text()).toContain(newest)
  })

  it('give each job once, newest first, page by page', async () => {
    for (let number = 0; number < 7; number++) await putJob(number, at(Math.floor(number / 2)))
    const { items } = await page<Job>('jobs')
    const paged: Job[] = []
    for (let token: string | undefined = ''; token !== undefined;) {
      const next: Page<Job> = await page<Job>(`jobs?limit=3${token === '' ? '' : `&nextToken=${token}`}`)
      expect(next.items.length).toBeLessThanOrEqual(3)
      paged.push(...next.items)
      token = next.nextToken
    }
    expect(paged).toEqual(items)
    expect(items.map(({ createdAt }) => createdAt)).toEqual([3, 2, 2, 1, 1, 0, 0].map(at))
    for (const token of ['', 'garbage', 'MQ']) expect((await get(`jobs?nextToken=${token}`)).status).toBe(400)
  })
})

describe('a query', () => {
  const asking = describedCalls.filter(({ method, query, path }) => {
    return method === 'get' && query !== undefined && !path.includes(':')
  })

  it.each(asking.map(({ path, query }) => [path, Object.keys(query?.shape ?? {})] as const))(
    'of %s with a parameter that there is not, or with one twice, is refused',
    async (path, names) => {
      const detailOf = async (query: string): Promise<string> => {
        const response = await get(`${path.slice(1)}?${query}`)
        expect(response.status, query).toBe(400)
        return ((await response.json()) as { detail: string }).detail
      }
      expect(await detailOf('Limit=1')).toBe(
        `Cannot read the query: there is no parameter Limit, but ${names.join(', ')}`,
      )
      const [name = ''] = names
      expect(await detailOf(`${name}=1&${name}=1`)).toContain(`${name} is given more than once`)
    },
  )
})

describe('sweepInstallationTokens()', () => {
  it('removes what expired 30 days ago, and nothing else', async () => {
    await putToken(1, -400 * dayMs)
    await putToken(2, -30 * dayMs)
    const kept = [await putToken(3, -30 * dayMs + 1), await putToken(4, -hourMs), await putToken(5, hourMs)]
    await sweepInstallationTokens(gateway.store, gateway.now())
    expect((await gateway.store.list('token')).items.map(({ value }) => value.tokenId)).toEqual(kept)
  })
})
