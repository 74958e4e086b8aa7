import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ReplicationRecord } from '../../../domain/replication_record.ts'
import { recordFields } from '../../../gateway/api/record_listing.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway
beforeEach(async () => {
  gateway = await testGateway({ recordTimeZone: 'Asia/Tokyo' })
})
afterEach(() => gateway.close())

/** A record of the `day`th of February; `overrides` say what is different. */
function record(name: string, day: number, overrides: Partial<ReplicationRecord> = {}): ReplicationRecord {
  const date = `2025-02-${String(day).padStart(2, '0')}`
  return {
    sourceServerId: `s-${name}`,
    hostname: `${name}.example.test`,
    replicationStartedAt: `${date}T12:00:00.250Z`,
    readyForTestAt: `${date}T12:30:00.000Z`,
    initialReplicationDurationMinutes: 29,
    replicatedStorageBytes: 1_610_612_736,
    bandwidthThrottlingMbps: 0,
    replicationServerInstanceType: 'local',
    ...overrides,
  }
}

/** Every number that a record can have, each its own and larger than that of any other record here. */
const filled: Required<Omit<ReplicationRecord, 'isForecastNever'>> = {
  ...record('d', 4),
  replicationStartedAt: '2025-02-04T12:00:00.250Z',
  initialReplicationDurationMinutes: 1001,
  replicatedStorageBytes: 1_610_612_737,
  bandwidthThrottlingMbps: 1003,
  averageBytesPerSecond: 1004,
  peakBytesPerSecond: 1005,
  wireBytes: 1006,
  peakWireBytesPerSecond: 1007,
  changedBytes: 1008,
  heldBackSeconds: 1009,
  heldBackBytes: 1010,
  usedBytes: 1011,
  fileSystemBytes: 1012,
  forecastMinutes: 1013,
  forecastLowMinutes: 1014,
  forecastHighMinutes: 1015,
  forecastCoveragePercent: 1016,
  disks: [],
}

async function get(query: string, accept?: string): Promise<Response> {
  return gateway.app.request(`http://localhost:8080/api/v1/replication-records${query}`, {
    headers: {
      authorization: `Bearer ${await gateway.apiToken('viewer')}`,
      ...(accept === undefined ? {} : { accept }),
    },
  })
}

interface Listing {
  items: ReplicationRecord[]
  nextToken?: string
  unreadableIds?: string[]
}
const list = async (query: string): Promise<Listing> => (await get(query)).json() as Promise<Listing>
const namesOf = ({ items }: Listing) => items.map(({ sourceServerId }) => sourceServerId.slice(2))

async function put(...records: ReplicationRecord[]): Promise<void> {
  for (const one of records) await gateway.records.add(one)
}

describe('GET /api/v1/replication-records', () => {
  it('shows records with their storage, oldest first', async () => {
    await put(record('b', 2, { peakBytesPerSecond: 5 }), record('a', 1))
    expect(await list('')).toEqual({
      items: [
        { ...record('a', 1), replicatedTotalStorageGB: 1.5 },
        { ...record('b', 2, { peakBytesPerSecond: 5 }), replicatedTotalStorageGB: 1.5 },
      ],
    })
  })

  it('filters by host name and time', async () => {
    await put(record('Web-1', 1), record('web-2', 2), record('db-1', 3))
    expect(namesOf(await list('?hostname=WEB'))).toEqual(['Web-1', 'web-2'])
    expect(namesOf(await list('?from=2025-02-02'))).toEqual(['web-2', 'db-1'])
    expect(namesOf(await list('?to=2025-02-02'))).toEqual(['Web-1'])
    // From the moment itself on, and up to but not with it; whatever its zone.
    const moment = encodeURIComponent('2025-02-02T21:30:00+09:00')
    expect(namesOf(await list(`?from=${moment}`))).toEqual(['web-2', 'db-1'])
    expect(namesOf(await list(`?to=${moment}`))).toEqual(['Web-1'])
  })

  it('filters by server, type and the bounds of any number; what has no value is within none', async () => {
    await put(
      record('a', 1, { wireBytes: 9, bandwidthThrottlingMbps: 300 }),
      record('b', 2, { wireBytes: 100, replicationServerInstanceType: 't3.small' }),
      record('c', 3),
    )
    expect(namesOf(await list('?sourceServerId=s-b'))).toEqual(['b'])
    expect(namesOf(await list('?replicationServerInstanceType=local'))).toEqual(['a', 'c'])
    expect(namesOf(await list('?minWireBytes=9'))).toEqual(['a', 'b'])
    expect(namesOf(await list('?minWireBytes=9.5'))).toEqual(['b'])
    expect(namesOf(await list('?maxWireBytes=9'))).toEqual(['a'])
    expect(namesOf(await list('?minWireBytes=10&maxWireBytes=99'))).toEqual([])
    expect(namesOf(await list('?maxBandwidthThrottlingMbps=0&order=-readyForTestAt'))).toEqual(['c', 'b'])
    expect(await (await get('?format=csv&minBandwidthThrottlingMbps=1')).text()).toMatch(/\ns-a,.*\n$/)
    const { sourceServerId: _id, hostname: _host, disks: _disks, ...whole } = filled
    await put(record('d', 4, whole))
    for (const [field, value] of Object.entries(whole)) {
      if (typeof value !== 'number') continue
      const name = field.charAt(0).toUpperCase() + field.slice(1)
      expect(namesOf(await list(`?min${name}=${value}&max${name}=${value}`)), field).toEqual(['d'])
      expect(namesOf(await list(`?order=-${field}`))[0], field).toBe('d')
    }
  })

  it('orders by any field, what has no value last', async () => {
    await put(
      record('a', 1, { wireBytes: 9, bandwidthThrottlingMbps: 300 }),
      record('b', 2, { wireBytes: 100, bandwidthThrottlingMbps: 20 }),
      record('c', 3),
    )
    expect(namesOf(await list('?order=wireBytes'))).toEqual(['a', 'b', 'c'])
    expect(namesOf(await list('?order=-wireBytes'))).toEqual(['b', 'a', 'c'])
    expect(namesOf(await list('?order=bandwidthThrottlingMbps'))).toEqual(['c', 'b', 'a'])
    for (const field of recordFields) {
      expect(namesOf(await list(`?order=${field}`)).sort(), field).toEqual(['a', 'b', 'c'])
    }
  })

  it.each(['readyForTestAt', '-readyForTestAt', 'wireBytes', '-wireBytes', 'hostname'])(
    'gives each once in pages ordered by %s, also when others are added meanwhile',
    async (order) => {
      const names = Array.from({ length: 11 }, (_, index) => `n${String(index).padStart(2, '0')}`)
      await put(
        // Every third has no figure, and several have the same.
        ...names.map((name, index) =>
          record(name, 1 + (index % 4), index % 3 === 0 ? {} : { wireBytes: index % 2 }),
        ),
      )
      const whole = namesOf(await list(`?order=${order}`))
      const paged: string[] = []
      let next = ''
      do {
        const page = await list(`?order=${order}&limit=2${next}`)
        expect(page.items.length).toBeLessThanOrEqual(2)
        paged.push(...namesOf(page))
        next = page.nextToken === undefined ? '' : `&nextToken=${page.nextToken}`
        await put(record(`new${paged.length}`, 5))
      } while (next !== '')
      expect(paged.filter((name) => !name.startsWith('new'))).toEqual(whole)
      expect(new Set(paged).size).toBe(paged.length)
    },
  )

  it.each([
    ['?order=password', 'order by one of sourceServerId, hostname'],
    ['?order=disks', 'order by one of'],
    ['?from=yesterday', 'write a date as 2025-02-10'],
    ['?to=2025-02-30', 'write a date as'],
    ['?hostname=', 'Cannot read hostname'],
    ['?minWireBytes=', 'Cannot read minWireBytes: write a number'],
    ['?maxWireBytes=-1', 'Cannot read maxWireBytes'],
    ['?maxHostname=3', 'maxHostname'],
    ['?hostnam=web', 'hostnam'],
    ['?limit=0', 'Cannot read limit'],
    ['?format=xml', 'csv'],
    ['?format=csv&limit=5', 'limit'],
  ])('refuses %s', async (query, said) => {
    const answer = await get(query)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(((await answer.json()) as { detail: string }).detail).toContain(said)
  })

  it('refuses a token of another order, and what is none', async () => {
    await put(record('a', 1), record('b', 2))
    const { nextToken } = await list('?limit=1')
    for (const query of [`?order=hostname&nextToken=${nextToken}`, '?nextToken=bm9uZQ']) {
      expect((await get(query)).status).toBe(400)
    }
  })

  it('names items that are no records', async () => {
    gateway.records.list = async () => ({ records: [record('a', 1)], unreadableIds: ['s-note'] })
    expect(await list('')).toMatchObject({ items: [{ sourceServerId: 's-a' }], unreadableIds: ['s-note'] })
  })

  it('asks for a token', async () => {
    const answer = await gateway.app.request('http://localhost:8080/api/v1/replication-records')
    expect(answer.status).toBe(401)
  })
})

describe('the records as CSV', () => {
  it('have the names and values of the table, in the order and filter asked for', async () => {
    await put(
      record('b', 2, {
        wireBytes: 7,
        forecastMinutes: 12.5,
        forecastLowMinutes: 8,
        forecastHighMinutes: 20,
        forecastCoveragePercent: 80,
        disks: [{ deviceName: '/dev/sda', sizeBytes: 5, isBootDisk: true }],
      }),
      record('a', 1, { replicatedStorageBytes: 1_073_741_825 }),
      record('c', 9),
    )
    const answer = await get('?order=-readyForTestAt&to=2025-02-05', 'text/csv')
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(answer.headers.get('content-disposition')).toContain('replication-records.csv')
    expect(await answer.text()).toBe(
      [
        'SourceServerID,Hostname,ReplicationStartTimeJST,ReadyForTestTimeJST,InitialReplicationDurationMinutes,' +
          'ReplicatedTotalStorageGB,BandwidthThrottlingMbps,ReplicationServerInstanceType,AverageBytesPerSecond,' +
          'PeakBytesPerSecond,WireBytes,PeakWireBytesPerSecond,ChangedBytes,HeldBackSeconds,HeldBackBytes,UsedBytes,FileSystemBytes,ForecastMinutes,ForecastLowMinutes,' +
          'ForecastHighMinutes,ForecastCoveragePercent,ForecastNever,Disks,TimeZone',
        's-b,b.example.test,2025-02-02T21:00:00.250000+09:00,2025-02-02T21:30:00+09:00,29,1.5,0,local,,,7,,,,,,,12.5,8,20,80,,' +
          '"[{""DeviceName"":""/dev/sda"",""SizeBytes"":5,""IsBootDisk"":true}]",Asia/Tokyo',
        's-a,a.example.test,2025-02-01T21:00:00.250000+09:00,2025-02-01T21:30:00+09:00,29,' +
          '1.000000000931322574615478516,0,local,,,,,,,,,,,,,,,,Asia/Tokyo',
        '',
      ].join('\n'),
    )
    expect(await (await get('?format=csv&hostname=c.')).text()).toMatch(/\ns-c,/)
    expect((await get('?format=json', 'text/csv')).headers.get('content-type')).toContain('json')
  })

  it('run nothing in a spreadsheet', async () => {
    const names = ['=HYPERLINK("http://evil")', '+1', '-1', '@SUM(A1)', "'=1", '\t=1', '\n=1', '＝1']
    await put(...names.map((hostname, index) => record(`h${index}`, 1, { hostname })))
    await put(record('t', 2, { replicationServerInstanceType: '=cmd' }))
    const text = await (await get('?format=csv')).text()
    expect(text).toContain(`"'=HYPERLINK(""http://evil"")"`)
    for (const marked of ["'+1", "'-1", "'@SUM(A1)", "''=1", "'\t=1", "'=cmd", "'＝1"])
      expect(text).toContain(`,${marked},`)
    const broken = `,"'\n=1",`
    expect(text).toContain(broken)
    expect(text.replace(broken, '')).not.toMatch(/(^|,)"?[=+\-@\t\r＝]/m)
  })
})
