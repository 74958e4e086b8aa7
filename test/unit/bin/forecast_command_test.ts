import { afterEach, beforeEach, expect, it } from 'vitest'
import { enrolServer, putServer } from '../gateway/callers.ts'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

let cli: CliGateway

beforeEach(async () => {
  cli = await cliGateway('viewer')
})

afterEach(() => cli.close())

it(
  'rehost forecast says what is to be expected, from what, and how that has held',
  { timeout: 120_000 },
  async () => {
    for (let index = 0; index < 12; index++) {
      const start = Date.parse('2026-02-01T00:00:00Z') + index * 3_600_000
      await cli.gateway.records.add({
        sourceServerId: `s-past-${index}`,
        hostname: `past-${index}`,
        replicationStartedAt: new Date(start).toISOString(),
        readyForTestAt: new Date(start + 600_000).toISOString(),
        replicatedStorageBytes: 6e9,
        bandwidthThrottlingMbps: 0,
        replicationServerInstanceType: 'local',
        forecastMinutes: 12,
        forecastLowMinutes: 8,
        forecastHighMinutes: 20,
        forecastCoveragePercent: 80,
      })
    }
    const { sourceServerId } = await enrolServer(cli.gateway)
    const lines = (await cli.rehost('forecast', sourceServerId)).stdout.split('\n')
    expect(lines[0]).toMatch(
      /^Initial replication {6}5\.4 min \(4 min to 7\.2 min\): from 12 records; copies here go at about 10\.0 MB\/s$/,
    )
    expect(lines[1]).toMatch(/^Comes to an end {10}not known: How much changes on it was not measured yet/)
    expect(lines[2]).toMatch(/^Downtime of the cutover {2}not known: No machine has been launched/)
    expect(lines[3]).toBe(
      'Initial replications     12 past forecasts: off by 20 % in the median, 20 % too long in the middle; 100 % took a time within the interval',
    )
    const accuracy = await cli.rehost('forecast', '--accuracy', '--json')
    expect(JSON.parse(accuracy.stdout)).toEqual({
      initialReplications: { count: 12, medianErrorPercent: 20, biasPercent: 20, withinPercent: 100 },
      cutovers: { count: 0 },
    })

    // What is not known of a copy that is done is not worth a line.
    const at = '2026-03-01T12:00:00.000Z'
    const names = async () =>
      (await cli.rehost('forecast', sourceServerId)).stdout.split('\n').map((line) => line.split(/ {2,}/)[0])
    const begun = { firstByteAt: at, readyForTestAt: at }
    const is = (state: 'CONTINUOUS' | 'DISCONNECTED') =>
      putServer(cli.gateway, sourceServerId, (own) => ({
        ...own,
        lifecycle: { ...own.lifecycle, ...begun },
        replication: { ...own.replication, state },
      }))
    await is('CONTINUOUS')
    expect(await names()).toContain('Comes to an end')
    await is('DISCONNECTED')
    expect((await names()).slice(0, 2)).toEqual(['Initial replication', 'Downtime of the cutover'])
    for (const words of [['forecast'], ['forecast', sourceServerId, '--accuracy']])
      expect(await cli.rehost(...words)).toMatchObject({
        code: 1,
        stderr: 'Name one source server, or ask for --accuracy alone\n',
      })
  },
)
