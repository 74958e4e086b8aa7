/**
 * What an honest agent still gets while a thousand clients are connected that say nothing, or a byte a second.
 * @module
 */
import { join } from 'node:path'
import type { BenchContext } from './context.ts'
import type { Row } from './row.ts'
import { readSupervisorConfig } from '../bin/supervisor/config.ts'
import { makeRandomFile } from './disk_files.ts'
import { firstCopy } from './first_copy.ts'
import { SlowClients } from './fleet/slow_clients.ts'
import { beside, median, middleOf } from './row.ts'

const clientsOfPort = 500
const leastRatio = 0.9
/** Where they come from: what one address may have of the connections is bounded. */
const localAddress = '127.0.0.66'

/** Clients on the replication port and on the agent port. */
function disturb(): { end(): void } {
  const { replicationPort, agentPort } = readSupervisorConfig({})
  const slow = [replicationPort, agentPort].map(
    (port) =>
      new SlowClients({ host: '127.0.0.1', port, count: clientsOfPort, localAddress, sayEveryMs: 1000 }),
  )
  return {
    end: () => {
      for (const clients of slow) clients.end()
    },
  }
}

/** The row of it, of `replicator_cost`. */
export async function besideSlowClients({ folder, sizeBytes, runs, say }: BenchContext): Promise<Row> {
  const device = join(folder, 'random.img')
  await makeRandomFile(device, sizeBytes)
  const speeds = { alone: [] as number[], disturbed: [] as number[] }
  for (let index = 0; index < runs; index++) {
    speeds.alone.push(sizeBytes / 1e9 / (await firstCopy({ folder, device })).seconds)
    speeds.disturbed.push(sizeBytes / 1e9 / (await firstCopy({ folder, device, disturb })).seconds)
    say(
      `  first copy alone ${speeds.alone.at(-1)?.toFixed(3)} GB/s, beside slow clients ${speeds.disturbed.at(-1)?.toFixed(3)} GB/s`,
    )
  }
  const measured = middleOf(speeds.disturbed)
  const compared = beside('without those clients', measured.value, median(speeds.alone))
  return {
    name: 'replicator_cost',
    what: `first copy beside ${2 * clientsOfPort} clients that say nothing or a byte a second, half of them on each port`,
    ...measured,
    unit: 'GB/s',
    ...compared,
    budget: `at least ${leastRatio} ×`,
    met: (compared.ratio ?? 0) >= leastRatio,
    bound: null,
    limit: 'Those clients and the benchmark, which plays them, share the processors with both ends',
  }
}
