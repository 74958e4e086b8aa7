/**
 * Enrols agents over the public way, without machines behind them.
 * @module
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NewToken } from '../../bin/commands/tokens.ts'
import type { AgentEnrol } from '../../wire/control_api.ts'
import type { Service } from '../service.ts'
import type { EnrolledAgent, FleetFile } from './fleet_file.ts'
import { newKeyAndRequest } from '../../agent/certificate_request.ts'
import { HttpsControlClient } from '../../agent/control_client.ts'

const enrolmentsAtOnce = 4

/** The inventory of a small server named after its number. */
export function inventoryOf(
  number: number,
  diskSizeBytes: readonly number[],
): AgentEnrol['sourceProperties'] {
  const hostname = `bench-${String(number).padStart(5, '0')}`
  return {
    lastUpdatedAt: new Date().toISOString(),
    identificationHints: {
      hostname,
      fqdn: `${hostname}.example.com`,
      machineId: number.toString(16).padStart(32, '0'),
    },
    os: { fullString: 'Debian GNU/Linux 12 (bookworm)', family: 'linux' },
    cpus: [{ cores: 2, modelName: 'Bench' }],
    ramBytes: 4 * 2 ** 30,
    firmware: 'BIOS',
    networkInterfaces: [
      {
        name: 'eth0',
        macAddress: `02:00:00:00:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`,
        ips: [`10.1.${number >> 8}.${number & 255}`],
        isPrimary: true,
      },
    ],
    disks: diskSizeBytes.map((sizeBytes, index) => ({
      deviceName: `/dev/sd${String.fromCharCode(97 + index)}`,
      sizeBytes,
      stableId: `bench-${number}-${index}`,
      isBootDisk: index === 0,
    })),
  }
}

/**
 * Enrols `count` servers with disks of these sizes at the service, and writes what the process that plays them is told to `path`.
 * @throws Error with what the gateway says.
 */
export async function enrolFleet(
  service: Service,
  path: string,
  { count, diskSizeBytes }: { count: number; diskSizeBytes: number[] },
): Promise<EnrolledAgent[]> {
  const { token } = await service.api.post<NewToken>('/tokens', { uses: count })
  const gatewayUrl = 'https://127.0.0.1:8443'
  const caPem = await readFile(join(service.folder, 'ca/ca.crt.pem'), 'utf8')
  const client = new HttpsControlClient({ gatewayUrl, caPem, nowMs: Date.now })
  const enrol = async (number: number): Promise<EnrolledAgent> => {
    const { keyPem, csrPem } = await newKeyAndRequest()
    const sourceProperties = inventoryOf(number, diskSizeBytes)
    const body = { token, csrPem, version: '0.0.0-bench', sourceProperties }
    const { subjectId, certificatePem } = await client.enrol(body)
    return { sourceServerId: subjectId, keyPem, certificatePem }
  }
  const agents: EnrolledAgent[] = []
  for (let first = 0; first < count; first += enrolmentsAtOnce) {
    const numbers = Array.from(
      { length: Math.min(enrolmentsAtOnce, count - first) },
      (_, index) => first + index,
    )
    agents.push(...(await Promise.all(numbers.map(enrol))))
  }
  client.close()
  await writeFile(path, JSON.stringify({ gatewayUrl, caPem, diskSizeBytes, agents } satisfies FleetFile))
  return agents
}
