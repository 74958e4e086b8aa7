import { describe, expect, it } from 'vitest'
import type { LaunchHistory } from '../../../domain/downtime.ts'
import type { LaunchTime, LaunchTimes } from '../../../domain/forecast.ts'
import type { JobId, SourceServerId } from '../../../domain/ids.ts'
import type { Task } from '../../../domain/task.ts'
import { applyAction } from '../../../domain/actions.ts'
import { cutoverDowntime, forecastDowntime, launchHistory, withLaunchTime } from '../../../domain/downtime.ts'
import { downtimeInWords } from '../../../domain/forecast_words.ts'
import { serverForecast } from '../../../domain/server_forecast.ts'
import { newTask } from '../../../queues/task_steps.ts'
import { addedAt, later, testJobId, testServer } from '../../fixtures/source_server.ts'

const otherJobId = 'mgnjob-00000000000000002' as JobId

/** A launch asked for at the beginning, with 5 seconds to its point and `seconds` from there. */
const launch = (seconds: number, jobId = testJobId): LaunchTime => ({
  jobId,
  askedAt: addedAt,
  pointAt: later(5),
  upAt: later(5 + seconds),
})

const history = (index: number, times: LaunchTimes): LaunchHistory => ({
  sourceServerId: `s-0000000000000000${index}` as SourceServerId,
  ...times,
})

const server = (launchTimes?: LaunchTimes) =>
  testServer('READY_FOR_CUTOVER', 'CONTINUOUS', launchTimes === undefined ? {} : { launchTimes })

describe('forecastDowntime()', () => {
  it('says nothing before any machine was launched and checked', () => {
    expect(forecastDowntime(server(), [])).toEqual({
      state: 'UNKNOWN',
      because: 'No machine has been launched and checked yet; a test launch of this server tells it best',
    })
  })

  it('goes by launches of others, with a wide interval from few', () => {
    const past = [
      history(2, { cutover: launch(90) }),
      history(3, { test: launch(110), cutover: launch(100) }),
    ]
    const forecast = forecastDowntime(server(), past)
    if (forecast.state !== 'EXPECTED') throw new Error(forecast.because)
    expect(forecast.expectedSeconds).toBeGreaterThan(90)
    expect(forecast.expectedSeconds).toBeLessThan(105)
    expect(forecast.lowSeconds).toBeLessThan(60)
    expect(forecast.highSeconds).toBeGreaterThan(160)
    expect(forecast.beforePointSeconds).toBe(5)
    expect(forecast.basis).toEqual({
      launches: 3,
      isOwnTest: false,
      words: 'from 3 launches of other servers; a test launch of this server would tell it better',
    })
  })

  it("goes by the server's own test, and how tests and cutovers of others compare", () => {
    const own = server({ test: launch(300) })
    const alone = forecastDowntime(own, [])
    if (alone.state !== 'EXPECTED') throw new Error(alone.because)
    expect(alone.expectedSeconds).toBe(300)
    expect(alone.highSeconds).toBeLessThan(600)
    const past = Array.from({ length: 12 }, (_, index) =>
      history(index, { test: launch(100), cutover: launch(118 + (index % 3) * 2) }),
    )
    const among = forecastDowntime(own, past)
    if (among.state !== 'EXPECTED') throw new Error(among.because)
    expect(among.expectedSeconds).toBeGreaterThanOrEqual(358)
    expect(among.expectedSeconds).toBeLessThanOrEqual(362)
    expect(among.highSeconds - among.lowSeconds).toBeLessThan(alone.highSeconds - alone.lowSeconds)
    expect(among.basis.words).toBe(
      'from a launch of this server, which took 300 s, and how test and cutover of 12 servers compare',
    )
  })
})

describe('the downtime of a cutover', () => {
  const past = [history(2, { cutover: launch(90) })]
  const cutting = applyAction(server({ test: launch(60, otherJobId) }), 'START_CUTOVER', {
    at: later(100),
    actor: 'anna',
    jobId: testJobId,
    pastLaunches: past,
  })

  it('is forecast in the write that starts it, and not of a test', () => {
    expect(cutting.lifecycle.state).toBe('CUTTING_OVER')
    expect(cutting.launchTimes).toMatchObject({
      test: launch(60, otherJobId),
      forecast: { jobId: testJobId, madeAt: later(100), expectedSeconds: 60, coveragePercent: 80 },
    })
    const testing = applyAction(server(), 'START_TEST', {
      at: later(100),
      actor: 'anna',
      jobId: testJobId,
      pastLaunches: past,
    })
    expect(testing.launchTimes).toBeUndefined()
  })

  /** The task of the cutover, its machine up at `upAt`. */
  function done(overrides: Partial<Task> = {}, checked: string[] = ['login prompt']): Task {
    if (cutting.activeTask === undefined) throw new Error('The cutover has no task')
    const task = newTask(cutting, cutting.activeTask)
    return {
      ...task,
      status: 'SUCCEEDED',
      steps: task.steps.map((step) => ({
        ...step,
        status: 'DONE',
        ...(step.name === 'request-consistency-point' ? { output: { consistencyPointId: 'cp-1' } } : {}),
        ...(step.name === 'check-boot' ? { output: { checked }, endedAt: later(175) } : {}),
      })),
      ...overrides,
    }
  }

  const reached = {
    ...cutting,
    consistencyRequest: {
      consistencyPointId: 'cp-1' as never,
      state: 'TAKEN' as const,
      requestedAt: later(101),
      expiresAt: later(221),
      reachedAt: later(103),
    },
  }

  it('is measured from its consistency point to the end of the check', () => {
    const after = withLaunchTime(reached, done())
    expect(after.launchTimes?.cutover).toEqual({
      jobId: testJobId,
      askedAt: later(100),
      pointAt: later(103),
      upAt: later(175),
    })
    expect(cutoverDowntime(after)).toMatchObject({ actualSeconds: 72, forecast: { expectedSeconds: 60 } })
    expect(launchHistory([after, server()])).toHaveLength(1)
  })

  it('is not held against a forecast of another cutover', () => {
    const again = applyAction(
      { ...withLaunchTime(reached, done()), activeTask: undefined as never, lifecycle: server().lifecycle },
      'START_CUTOVER',
      { at: later(500), actor: 'anna', jobId: otherJobId, pastLaunches: past },
    )
    expect(again.launchTimes?.forecast?.jobId).toBe(otherJobId)
    expect(cutoverDowntime(again)).not.toHaveProperty('forecast')
    const { downtime } = serverForecast(again, undefined, past, new Date(later(501)))
    expect(downtime.kept).toMatchObject({ jobId: otherJobId })
    expect(downtime).not.toHaveProperty('actualSeconds')
    expect(downtimeInWords(downtime).said).toMatch(/^60 s \(/)
  })

  it('is forecast again once the cutover was reverted, which is still told', () => {
    const reverted = { ...withLaunchTime(reached, done()), lifecycle: server().lifecycle }
    const { downtime } = serverForecast(reverted, undefined, past, new Date(later(500)))
    expect(downtime).toMatchObject({ actualSeconds: 72, kept: { jobId: testJobId, expectedSeconds: 60 } })
    expect(downtimeInWords(downtime).said).toMatch(/^60 s \(/)
    expect(downtimeInWords(downtime).from).toContain('the cutover before took 72 s')
  })

  it('is what it was while the cutover stands', () => {
    const { downtime } = serverForecast(
      withLaunchTime(reached, done()),
      undefined,
      past,
      new Date(later(180)),
    )
    expect(downtime).not.toHaveProperty('forecast')
    expect(downtimeInWords(downtime)).toEqual({
      said: 'was 72 s',
      from: expect.stringMatching(/^60 s \(.*was said before$/) as string,
    })
  })

  it('has no measure where the machine was left stopped, or the point is another one', () => {
    expect(withLaunchTime(reached, done({}, []))).toBe(reached)
    const { consistencyRequest } = reached
    const other = {
      ...reached,
      consistencyRequest: { ...consistencyRequest, consistencyPointId: 'cp-2' as never },
    }
    expect(withLaunchTime(other, done())).toBe(other)
  })
})
