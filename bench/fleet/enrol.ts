/**
 * Enrols agents over the public way, without machines behind them.
 * @module
 */
import { Agent, request } from 'node:https'
import type { AgentEnrol } from '../../wire/control_api.ts'
import type { EnrolledAgent } from './fleet_file.ts'
import { newKeyAndRequest } from '../../agent/certificate_request.ts'
import { enrolledSchema, gatewayServerName } from '../../wire/control_api.ts'

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

/** Enrols `count` servers with disks of these sizes. @throws Error with what the gateway says. */
export async function enrolAgents(input: {
  gatewayUrl: string
  caPem: string
  token: string
  count: number
  diskSizeBytes: readonly number[]
}): Promise<EnrolledAgent[]> {
  const { gatewayUrl, caPem, token, count, diskSizeBytes } = input
  const agent = new Agent({
    keepAlive: true,
    ca: caPem,
    minVersion: 'TLSv1.3',
    servername: gatewayServerName,
  })
  const enrol = async (number: number): Promise<EnrolledAgent> => {
    const { keyPem, csrPem } = await newKeyAndRequest()
    const sourceProperties = inventoryOf(number, diskSizeBytes)
    const body: AgentEnrol = { token, csrPem, version: '0.0.0-bench', sourceProperties }
    const text = await post(new URL('/agent/v1/enrol', gatewayUrl), agent, JSON.stringify(body))
    const { subjectId, certificatePem } = enrolledSchema.parse(JSON.parse(text))
    return { sourceServerId: subjectId, keyPem, certificatePem }
  }
  const enrolled: EnrolledAgent[] = []
  for (let first = 0; first < count; first += enrolmentsAtOnce) {
    const numbers = Array.from(
      { length: Math.min(enrolmentsAtOnce, count - first) },
      (_, index) => first + index,
    )
    enrolled.push(...(await Promise.all(numbers.map(enrol))))
  }
  agent.destroy()
  return enrolled
}

/** The text of a successful answer. */
function post(url: URL, agent: Agent, body: string): Promise<string> {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', agent, headers }, (incoming) => {
      let text = ''
      incoming.setEncoding('utf8')
      incoming.on('data', (piece: string) => (text += piece))
      incoming.on('end', () => {
        if (incoming.statusCode === 200) resolve(text)
        else reject(new Error(`The gateway answered ${url.pathname} with ${incoming.statusCode}: ${text}`))
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
