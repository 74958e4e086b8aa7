import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { LaunchTime, LaunchTimes } from '../../../domain/forecast.ts'
import type { ForecastView } from '../../../gateway/api/answers/forecast_answers.ts'
import { learnPace, pastCopies } from '../../../domain/copy_pace.ts'
import { unwrittenRecord } from '../../../domain/initial_replication.ts'
import type { ReplicationRecord } from '../../../domain/replication_record.ts'
import { performAction } from '../../../gateway/actions.ts'
import { startJob } from '../../../gateway/server_jobs.ts'
import {
  callAgentPort,
  enrolServer,
  getPage,
  heartbeat,
  putServer,
  serverOf,
  staged,
  upToDate,
} from './callers.ts'
import type { TestGateway } from './support.ts'
import { until } from '../../fixtures/waiting.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway
beforeEach(async () => {
  gateway = await testGateway()
})
afterEach(() => gateway.close())

const sizeBytes = 3_221_225_472

/** A copy at about 10 MB/s that is over. */
function record(index: number, overrides: Partial<ReplicationRecord> = {}): ReplicationRecord {
  const bytes = (index + 3) * 1e9
  const start = Date.parse('2026-02-01T00:00:00Z') + index * 3_600_000
  return {
    sourceServerId: `s-past-${index}`,
    hostname: `past-${index}`,
    replicationStartedAt: new Date(start).toISOString(),
    readyForTestAt: new Date(start + (bytes / 10e6) * 1000).toISOString(),
    replicatedStorageBytes: bytes,
    bandwidthThrottlingMbps: 0,
    replicationServerInstanceType: 'local',
    ...overrides,
  }
}

async function recordMany(count = 12): Promise<void> {
  for (let index = 0; index < count; index++) await gateway.records.add(record(index))
}

async function get<T>(path: string): Promise<T> {
  const answer = await gateway.app.request(`http://localhost:8080/api/v1${path}`, {
    headers: { authorization: `Bearer ${await gateway.apiToken('viewer')}` },
  })
  expect(answer.status).toBe(200)
  return (await answer.json()) as T
}

const forecastOf = (id: string): Promise<ForecastView> => get(`/servers/${id}/forecast`)

/** A server whose staging area stands and whose agent has started. */
async function enrolled(): Promise<string> {
  const { sourceServerId } = await enrolServer(gateway)
  await putServer(gateway, sourceServerId, (server) => {
    const standing = staged(server)
    return { ...standing, agent: { ...standing.agent, generation: 1 } }
  })
  return sourceServerId
}

/** The agent reports so many bytes copied. */
async function beat(replicatedBytes: number, overrides: Record<string, unknown> = {}): Promise<void> {
  const isWhole = replicatedBytes === sizeBytes
  const answer = await callAgentPort(
    gateway,
    '/agent/v1/heartbeat',
    heartbeat(1, {
      state: isWhole ? 'CONTINUOUS' : 'INITIAL_SYNC',
      lagMs: isWhole ? 0 : null,
      disks: [
        {
          diskIndex: 0,
          sizeBytes,
          replicatedBytes,
          rescannedBytes: 0,
          backlogBytes: sizeBytes - replicatedBytes,
          tracker: { kind: 'tracefs', reason: 'The kernel reports every completed write' },
        },
      ],
      ...overrides,
    }),
  )
  expect(answer.status).toBe(200)
}

describe('GET /api/v1/servers/:id/forecast', () => {
  it('says that nothing is known while nothing is recorded', async () => {
    const id = await enrolled()
    expect(await forecastOf(id)).toEqual({
      sourceServerId: id,
      initialReplication: {
        phase: 'NOT_STARTED',
        forecast: {
          state: 'UNKNOWN',
          because: 'No initial replication is recorded yet, so nothing tells how fast the link is',
        },
      },
      convergence: {
        verdict: 'UNKNOWN',
        because: 'No initial replication is recorded yet, so nothing tells how fast the link is',
      },
      downtime: {
        forecast: {
          state: 'UNKNOWN',
          because: 'No machine has been launched and checked yet; a test launch of this server tells it best',
        },
      },
      accuracy: { initialReplications: { count: 0 }, cutovers: { count: 0 } },
    })
  })

  it('is from the records before the first byte, kept with it, and held against what came of it', async () => {
    await recordMany()
    const id = await enrolled()
    const before = (await forecastOf(id)).initialReplication.forecast
    // 3.2 GB at 10 MB/s.
    expect(before).toMatchObject({ state: 'EXPECTED', expectedMinutes: 5.37, basis: { records: 12 } })
    await beat(0)
    const begun = await serverOf(gateway, id)
    expect(begun.lifecycle.firstByteAt).toBe(gateway.now().toISOString())
    const kept = {
      madeAt: gateway.now().toISOString(),
      expectedMinutes: 5.37,
      records: 12,
      coveragePercent: 80,
    }
    expect(begun.copyForecast).toMatchObject(kept)

    // Whatever is learned later, and however the settings change, what was said stays.
    for (let index = 20; index < 40; index++)
      await gateway.records.add(record(index, { replicatedStorageBytes: 1e12 }))
    await putServer(gateway, id, (server) => ({
      ...server,
      replicationConfiguration: { ...server.replicationConfiguration, bandwidthThrottlingMbps: 1 },
    }))
    gateway.pass(300_000)
    await beat(sizeBytes / 2, { timeLeftMs: 240_000 })
    const half = (await forecastOf(id)).initialReplication
    expect(half).toMatchObject({ phase: 'COPYING', kept, left: { expectedMinutes: 4 } })
    expect(half).not.toHaveProperty('forecast')
    expect(half.left?.lowMinutes).toBeLessThan(4)
    expect(half.left?.highMinutes).toBeGreaterThan(4)
    gateway.pass(240_000)
    await beat(sizeBytes)
    const ready = await serverOf(gateway, id)
    expect(ready.copyForecast).toEqual(begun.copyForecast)
    const said = begun.copyForecast
    if (said === undefined || said.never !== undefined) throw new Error('No time was said')
    const made = unwrittenRecord(ready)
    expect(made).toMatchObject({
      initialReplicationDurationMinutes: 9,
      forecastMinutes: 5.37,
      forecastLowMinutes: said.lowMinutes,
      forecastHighMinutes: said.highMinutes,
      forecastCoveragePercent: 80,
    })
    if (made === undefined) throw new Error('No record')
    await gateway.records.add(made)
    gateway.pass(61_000)
    const after = await forecastOf(id)
    expect(after.initialReplication).toMatchObject({ phase: 'DONE', actualMinutes: 9, kept })
    // 5.4 of 9 minutes.
    expect(after.accuracy.initialReplications).toMatchObject({
      count: 1,
      medianErrorPercent: 40,
      biasPercent: -40,
    })
    expect(await get('/forecasts/accuracy')).toEqual(after.accuracy)
  })

  it('heeds the limit that holds', async () => {
    await recordMany()
    const id = await enrolled()
    await putServer(gateway, id, (server) => ({
      ...server,
      replicationConfiguration: { ...server.replicationConfiguration, bandwidthThrottlingMbps: 8 },
    }))
    const { forecast } = (await forecastOf(id)).initialReplication
    // 3.2 GB, all of it sent as no record says less, at 95 % of 1 MB/s.
    expect(forecast).toMatchObject({
      state: 'EXPECTED',
      expectedMinutes: 57,
      basis: { heldBackBy: 'LIMIT', limitBytesPerSecond: 1_000_000 },
    })
  })

  it('heeds how full the disks are once enough records know it, and keeps it in the record', async () => {
    // Copies that took a time by what was used, from a tenth of their disks to all of them.
    for (let index = 0; index < 20; index++) {
      const bytes = 10e9
      const usedBytes = Math.round(bytes * (0.1 + (0.9 * index) / 19))
      const start = Date.parse('2026-02-01T00:00:00Z') + index * 3_600_000
      const times = {
        replicationStartedAt: new Date(start).toISOString(),
        readyForTestAt: new Date(start + (usedBytes / 10e6) * 1000).toISOString(),
      }
      const known = { usedBytes, fileSystemBytes: bytes, replicatedStorageBytes: bytes, wireBytes: usedBytes }
      await gateway.records.add(record(index, { ...times, ...known }))
    }
    const id = await enrolled()
    const disk = { deviceName: '/dev/sda', sizeBytes, stableId: 'disk-1', isBootDisk: true }
    const [own = disk] = (await serverOf(gateway, id)).sourceProperties.disks
    const unknown = (await forecastOf(id)).initialReplication.forecast
    const usage = { usedBytes: sizeBytes / 4, fileSystemBytes: sizeBytes }
    await callAgentPort(
      gateway,
      '/agent/v1/heartbeat',
      heartbeat(1, { state: 'INITIATING', firstByteAt: undefined, sourceDisks: [{ ...own, usage }] }),
    )
    expect((await serverOf(gateway, id)).sourceProperties.disks).toEqual([{ ...own, usage }])
    const { forecast } = (await forecastOf(id)).initialReplication
    // A quarter of 3.2 GB at 10 MB/s, and something for what is free.
    expect(forecast).toMatchObject({ state: 'EXPECTED', basis: usage })
    if (forecast?.state !== 'EXPECTED' || unknown?.state !== 'EXPECTED') throw new Error('Not expected')
    expect(forecast.expectedMinutes).toBeGreaterThan(1.3)
    expect(forecast.expectedMinutes).toBeLessThan(2.2)
    expect(unknown.expectedMinutes).toBeGreaterThan(2.2)
    expect(forecast.basis.words).toContain('; 25 % of its file systems are used')
    const page = await (await getPage(gateway, `/servers/${id}`, await gateway.signIn('viewer'))).text()
    expect(page).toContain('>805 MB used</span>')

    await beat(0)
    gateway.pass(60_000)
    const told = { ...own, usage: { ...usage, usedBytes: sizeBytes } }
    await beat(sizeBytes, { sourceDisks: [told] })
    expect(unwrittenRecord(await serverOf(gateway, id))).toMatchObject(usage)
  })

  it('learns from what nothing held back, as the allowances of its heartbeats were', async () => {
    const id = await enrolled()
    const limitTo = (bandwidthThrottlingMbps: number) =>
      putServer(gateway, id, (server) => ({
        ...server,
        replicationConfiguration: { ...server.replicationConfiguration, bandwidthThrottlingMbps },
      }))
    await beat(0, { sentBytes: 0 })
    gateway.pass(200_000)
    // 5 MB/s, then a limit that leaves a fifth of it.
    await limitTo(8)
    await beat(1_000_000_000, { sentBytes: 1_000_000_000 })
    gateway.pass(1_000_000)
    await limitTo(0)
    await beat(2_000_000_000, { sentBytes: 2_000_000_000 })
    gateway.pass(244_000)
    await beat(sizeBytes, { sentBytes: sizeBytes })
    const made = unwrittenRecord(await serverOf(gateway, id))
    expect(made).toMatchObject({ heldBackSeconds: 1000, heldBackBytes: 1_000_000_000 })
    if (made === undefined) throw new Error('No record')
    const [copy] = pastCopies([made])
    const pace = learnPace(copy === undefined ? [] : [copy], {
      instanceType: 'local',
      areChangesKnown: false,
      isFullnessKnown: false,
    })
    expect(Math.exp(pace?.link.middle ?? 0) / 5e6).toBeCloseTo(1, 1)
  })

  it('says before the start whether it ends, from what was written since the machine was started', async () => {
    await recordMany()
    const id = await enrolled()
    const written = (bytesPerSecond: number, seconds = 36_000) =>
      putServer(gateway, id, (server) => ({
        ...server,
        sourceProperties: {
          ...server.sourceProperties,
          writes: { seconds, bytes: bytesPerSecond * seconds },
        },
      }))
    await written(1e6)
    const quiet = await forecastOf(id)
    expect(quiet.convergence).toMatchObject({
      verdict: 'YES',
      because: expect.stringMatching(/^1\.0 MB\/s change, and about 10\.0 MB\/s can be copied$/),
      changedBytesPerSecond: 1_000_000,
    })
    await written(20e6)
    const busy = await forecastOf(id)
    expect(busy.initialReplication.forecast).toMatchObject({ state: 'NEVER' })
    expect(busy.convergence).toMatchObject({
      verdict: 'NO',
      because: expect.stringContaining('Blocks change at 20.0 MB/s, and the link carries about 10.0 MB/s'),
    })
    await written(9.5e6)
    expect((await forecastOf(id)).convergence.verdict).toBe('UNKNOWN')
    // A machine that has just started has written what belongs to its start.
    await written(20e6, 600)
    expect((await forecastOf(id)).convergence).toMatchObject({
      verdict: 'UNKNOWN',
      because: expect.stringContaining('was not measured yet'),
    })
  })

  it('keeps that a copy never ends, and counts it by what came of it', async () => {
    await recordMany()
    const id = await enrolled()
    await putServer(gateway, id, (server) => ({
      ...server,
      sourceProperties: { ...server.sourceProperties, writes: { seconds: 36_000, bytes: 20e6 * 36_000 } },
    }))
    await beat(0)
    const begun = await serverOf(gateway, id)
    expect(begun.copyForecast).toEqual({
      madeAt: gateway.now().toISOString(),
      records: 12,
      never: {
        because: expect.stringContaining('Blocks change at 20.0 MB/s, and the link carries about 10.0 MB/s'),
      },
    })
    expect((await forecastOf(id)).accuracy.initialReplications).toEqual({
      count: 0,
      never: { came: 0, givenUp: 0, open: 1 },
    })
    const page = await (await getPage(gateway, `/servers/${id}`, await gateway.signIn('viewer'))).text()
    expect(page).toContain('that it never ends was said when it began, from 12 records')
    expect(page).toContain('1 was said never to end, of which 1 is still copied')
    gateway.pass(400_000)
    await beat(sizeBytes)
    const ready = await serverOf(gateway, id)
    const made = unwrittenRecord(ready)
    expect(made).toMatchObject({ isForecastNever: true })
    expect(made).not.toHaveProperty('forecastMinutes')
    if (made === undefined) throw new Error('No record')
    await gateway.records.add(made)
    gateway.pass(61_000)
    expect(await get('/forecasts/accuracy')).toEqual({
      initialReplications: { count: 0, never: { came: 1, givenUp: 0, open: 0 } },
      cutovers: { count: 0 },
    })
    const { readyForTestAt: _ready, ...unready } = ready.lifecycle
    await putServer(gateway, id, (server) => ({
      ...server,
      lifecycle: { ...unready, state: 'DISCONNECTED' },
    }))
    expect(await get('/forecasts/accuracy')).toMatchObject({
      initialReplications: { never: { came: 1, givenUp: 1, open: 0 } },
    })
  })

  it('says while it is copied whether it ends, with the rate of change that is measured', async () => {
    const id = await enrolled()
    await beat(0, { changedBytes: 0 })
    gateway.pass(100_000)
    await beat(1e9, { changedBytes: 200_000_000, timeLeftMs: 60_000 })
    expect((await forecastOf(id)).convergence).toEqual({
      verdict: 'YES',
      because: 'What is left becomes less, as it is measured now',
      changedBytesPerSecond: 2_000_000,
    })
    gateway.pass(10_000)
    const pace = {
      measuredMs: 400_000,
      changedBytesPerSecond: 9e6,
      durableBytesPerSecond: 5e6,
      rest: { bytes: 2e9, waitingBytes: 1e9, shrinkBytesPerSecond: 0 },
    }
    await beat(1e9, { changedBytes: 400_000_000, pace })
    expect((await forecastOf(id)).convergence).toMatchObject({
      verdict: 'NO',
      because: expect.stringMatching(/^Blocks change at 9\.0 MB\/s, and 5\.0 MB\/s .*more bandwidth/),
    })
  })

  it('is no reason to refuse a heartbeat: without records nothing is said', async () => {
    const id = await enrolled()
    gateway.records.list = () => Promise.reject(new Error('The table is away'))
    await beat(0)
    const begun = await serverOf(gateway, id)
    expect(begun.lifecycle.firstByteAt).toBeDefined()
    expect(begun.copyForecast).toBeUndefined()
    expect(gateway.logged.join()).toContain('Cannot forecast an initial replication')
    // The page is there all the same.
    const page = await getPage(gateway, `/servers/${id}`, await gateway.signIn())
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('The records that it is made from cannot be read now')
    // Asked for again after a while.
    gateway.records.list = async () => ({ records: [record(1)], unreadableIds: [] })
    gateway.pass(10_000)
    expect((await forecastOf(id)).initialReplication.phase).toBe('COPYING')
  })

  it('does not keep a page waiting for a table that hangs', async () => {
    const id = await enrolled()
    gateway.records.list = () => new Promise(() => undefined)
    const cookie = await gateway.signIn()
    const pages = await Promise.all([1, 2].map(() => getPage(gateway, `/servers/${id}`, cookie)))
    for (const page of pages) expect(await page.text()).toContain('It could not be made in time')
    await until('it is logged', () => Promise.resolve(gateway.logged.join().includes('do not come')))
    const lines = gateway.logged.filter((line) => line.startsWith('The records that forecasts are learned'))
    expect(lines).toHaveLength(1)
  })

  it('is not made again for a server that has a record', async () => {
    await recordMany()
    const id = await enrolled()
    await putServer(gateway, id, (server) => ({
      ...server,
      initialReplication: { state: 'RECORDED', recordedAt: gateway.now().toISOString() },
    }))
    await beat(0)
    expect((await serverOf(gateway, id)).copyForecast).toBeUndefined()
  })
})

describe('the downtime of a cutover', () => {
  const at = (seconds: number) => new Date(gateway.now().getTime() + seconds * 1000).toISOString()

  /** A server that is ready for its cutover, with such launches. */
  async function ready(id: string, launchTimes: LaunchTimes = {}): Promise<string> {
    await putServer(gateway, id, (server) => {
      const copied = upToDate(gateway)(server)
      return {
        ...copied,
        lifecycle: {
          ...copied.lifecycle,
          state: 'READY_FOR_CUTOVER',
          firstByteAt: at(-900),
          readyForTestAt: at(-600),
        },
        launchTimes,
      }
    })
    return id
  }

  /** A launch that was down for a minute. */
  const launch = (): LaunchTime => ({
    jobId: 'mgnjob-1' as never,
    askedAt: at(0),
    pointAt: at(2),
    upAt: at(62),
  })

  /** A server of which nothing is known, beside one that was cut over. */
  async function besideAnother(): Promise<string> {
    const { sourceServerId: other } = await enrolServer(gateway, 'db-1')
    await ready(other, { cutover: launch() })
    return ready(await enrolled())
  }

  it('is kept when a cutover is asked for by the own API', async () => {
    const id = await besideAnother()
    expect((await forecastOf(id)).downtime.forecast).toMatchObject({ expectedSeconds: 60 })
    const cutting = await performAction(gateway.services, id as never, 'START_CUTOVER', 'anna')
    expect(cutting.launchTimes?.forecast).toMatchObject({
      jobId: cutting.activeTask?.jobId,
      expectedSeconds: 60,
    })
  })

  it("is kept when a cutover is asked for by MGN's clients", async () => {
    const id = await besideAnother()
    const job = await startJob(gateway.services, [id], 'START_CUTOVER', { actor: 'anna' })
    expect((await serverOf(gateway, id)).launchTimes?.forecast).toMatchObject({
      jobId: job.jobId,
      expectedSeconds: 60,
    })
  })

  it('is held against what it was, and shown on the page', async () => {
    const id = await ready(await enrolled(), { test: launch() })
    await performAction(gateway.services, id as never, 'START_CUTOVER', 'anna')
    await putServer(gateway, id, (server) => {
      const jobId = server.launchTimes?.forecast?.jobId
      if (jobId === undefined) throw new Error('No forecast')
      return {
        ...server,
        launchTimes: {
          ...server.launchTimes,
          cutover: { jobId, askedAt: at(0), pointAt: at(3), upAt: at(83) },
        },
      }
    })
    const { downtime, accuracy } = await forecastOf(id)
    expect(downtime).toMatchObject({ actualSeconds: 80, kept: { expectedSeconds: 60 } })
    expect(accuracy.cutovers).toEqual({
      count: 1,
      medianErrorPercent: 25,
      biasPercent: -25,
      withinPercent: 100,
    })
    const page = await getPage(gateway, `/servers/${id}`, await gateway.signIn())
    const words = (await page.text()).replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ')
    expect(words).toContain('Downtime of the cutover was 80 s 60 s (')
    expect(words).toContain('1 past forecast: off by 25 % in the median, 25 % too short')
  })
})
