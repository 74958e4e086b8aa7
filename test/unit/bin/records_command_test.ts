import { afterEach, beforeEach, expect, it } from 'vitest'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

let cli: CliGateway

beforeEach(async () => {
  cli = await cliGateway('viewer')
})

afterEach(() => cli.close())

const records = (...args: string[]) => cli.rehost('records', ...args)

it('rehost records shows them as a table, as JSON and as CSV', { timeout: 120_000 }, async () => {
  expect((await records()).stdout).toBe('There are no records\n')
  const web = {
    sourceServerId: 's-1',
    hostname: 'web-1',
    replicationStartedAt: '2025-02-10T12:51:42.303Z',
    readyForTestAt: '2025-02-10T13:06:09.000Z',
    initialReplicationDurationMinutes: 14,
    replicatedStorageBytes: 19_327_352_832,
    bandwidthThrottlingMbps: 300,
    replicationServerInstanceType: 'local',
    averageBytesPerSecond: 22_300_000,
    peakBytesPerSecond: 90_000_000,
  }
  await cli.gateway.records.add(web)
  await cli.gateway.records.add({
    sourceServerId: 's-2',
    hostname: 'db-1',
    readyForTestAt: '2025-02-11T00:00:00.000Z',
    replicatedStorageBytes: 0,
    bandwidthThrottlingMbps: 0,
    replicationServerInstanceType: 'local',
  })
  expect((await records('--order', 'hostname')).stdout).toBe(
    [
      'SERVER  HOST   READY FOR TEST            MINUTES  GB    LIMIT       AVERAGE    PEAK       TYPE',
      's-2     db-1   2025-02-11T00:00:00.000Z           0.0   none                              local',
      's-1     web-1  2025-02-10T13:06:09.000Z  14       18.0  300 Mbit/s  22.3 MB/s  90.0 MB/s  local',
      '',
    ].join('\n'),
  )
  const asJson = await records('--json', '--from', '2025-02-10', '--to', '2025-02-11')
  expect(JSON.parse(asJson.stdout)).toEqual([{ ...web, replicatedTotalStorageGB: 18 }])
  const asCsv = await records('--csv', '--hostname', 'WEB')
  expect(asCsv.stdout.split('\n')).toHaveLength(3)
  expect(asCsv.stdout).toContain(
    '\ns-1,web-1,2025-02-10T12:51:42.303000+00:00,2025-02-10T13:06:09+00:00,14,18,300,',
  )
  expect(await records('--order', 'size')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('order by one of sourceServerId'),
  })
  expect((await records('--csv', '--json')).stderr).toContain('cannot be used with')
  const refused = [
    [['wireBytes=5=6'], 'Cannot read minWireBytes: write a number, as 12 or 1.5'],
    [['wireBytes'], 'Cannot read --min wireBytes: write a field and a number, such as wireBytes=5'],
    [['=5'], 'Cannot read --min =5: write a field and a number, such as wireBytes=5'],
    [['wireBytes=9', 'wireBytes=5'], 'Cannot take --min wireBytes=5: wireBytes has a bound already'],
  ] as const
  for (const [conditions, words] of refused)
    expect(await records('--min', ...conditions)).toMatchObject({ code: 1, stderr: `${words}\n` })
})
