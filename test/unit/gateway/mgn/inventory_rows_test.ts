import { describe, expect, it } from 'vitest'
import type { SourceServer } from '../../../../domain/source_server.ts'
import type { MgnContext } from '../../../../gateway/mgn/operation.ts'
import { standardQuotas } from '../../../../gateway/mgn/account.ts'
import { readCsv, writeCsv } from '../../../../gateway/mgn/inventory_csv.ts'
import { errorsIn } from '../../../../gateway/mgn/inventory_rows.ts'

const count = 2000

const context = {
  account: {
    accountId: '123456789012',
    region: 'us-east-1',
    quotas: { ...standardQuotas, servers: 2 * count },
  },
  services: { clock: () => new Date('2026-03-01T12:00:00Z') },
} as unknown as MgnContext

/** Servers that count how often somebody looks at their ids. */
function watched(): { servers: SourceServer[]; looks: () => number } {
  let looks = 0
  const servers = Array.from({ length: count }, (_, number) => ({
    get sourceServerId() {
      looks++
      return `s-${String(number).padStart(17, '0')}`
    },
    get userProvidedId() {
      looks++
      return `own-${number}`
    },
    isArchived: false,
    tags: {},
  }))
  return { servers: servers as unknown as SourceServer[], looks: () => looks }
}

const rowsOf = (prefix: string) =>
  Array.from({ length: count }, (_, number) => ({ 'mgn:server:user-provided-id': `${prefix}-${number}` }))

/** How often others had their turn while `work` was done. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  const timer = (): NodeJS.Immediate =>
    setImmediate(() => {
      turns++
      next = timer()
    })
  let next = timer()
  await work()
  clearImmediate(next)
  return turns
}

describe('errorsIn() of a large file', () => {
  it.each(['own', 'new'])('does not go through all servers for each row (%s)', async (prefix) => {
    const { servers, looks } = watched()
    expect(await errorsIn(rowsOf(prefix), { servers, applications: [], waves: [] }, context)).toEqual([])
    expect(looks()).toBeLessThan(10 * count)
  })

  it('finds the row that is wrong', async () => {
    const { servers } = watched()
    const rows = [...rowsOf('own'), { 'mgn:server:id': 's-99999999999999999' }]
    const wrong = await errorsIn(rows, { servers, applications: [], waves: [] }, context)
    expect(wrong.map(({ rowNumber, rawError }) => [rowNumber, rawError])).toEqual([
      [count + 2, 'there is no server s-99999999999999999: leave mgn:server:id out to await a new one'],
    ])
  })

  it('lets others have their turn', async () => {
    const turns = await turnsDuring(() =>
      errorsIn(rowsOf('new'), { servers: [], applications: [], waves: [] }, context),
    )
    expect(turns).toBeGreaterThan(5)
  })
})

describe('readCsv()', () => {
  const file = (rows: number) => Buffer.from(`mgn:app:name\n${'web\n'.repeat(rows)}`)

  it('reads as many rows as are allowed, and lets others have their turn', async () => {
    let read: unknown[] = []
    const turns = await turnsDuring(async () => (read = await readCsv(file(50_000))))
    expect(read).toHaveLength(50_000)
    expect(read.at(-1)).toEqual({ 'mgn:app:name': 'web' })
    expect(turns).toBeGreaterThan(50)
  })

  it.each([50_001, 200_000])('refuses more: %d', async (rows) => {
    await expect(readCsv(file(rows))).rejects.toThrow('more than 50000 rows')
  })

  it('reads letters that stand on two pieces of the file', async () => {
    const name = 'ü'.repeat(100_001)
    const text = `\u{feff}mgn:app:name\n${name}\n`
    expect(await readCsv(Buffer.from(text))).toEqual([{ 'mgn:app:name': name }])
  })

  it.each([
    ['letters that are not UTF-8', Buffer.from([0x6d, 0xff, 0x0a])],
    ['an open quote', Buffer.from('mgn:app:name\n"web\n')],
  ])('refuses %s', async (_what, bytes) => {
    await expect(readCsv(bytes)).rejects.toThrow('The file is no CSV in UTF-8')
  })
})

it('writeCsv() lets others have their turn, and writes every row once', async () => {
  const rows = rowsOf('own')
  let bytes = new Uint8Array()
  const turns = await turnsDuring(async () => (bytes = new Uint8Array(await writeCsv(rows))))
  expect(turns).toBeGreaterThan(2)
  expect(await readCsv(bytes)).toEqual(rows)
})
