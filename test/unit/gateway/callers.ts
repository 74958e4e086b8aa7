/**
 * Who calls a gateway under test: agents with their inventories and certificates, browsers with their forms; and the store's own view.
 * @module
 */
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'
import type { SourceProperties, SourceServer } from '../../../domain/source_server.ts'
import type { ReplicationServerId, VolumeId } from '../../../domain/ids.ts'
import type { Problem } from '../../../wire/control_api.ts'
import type { PeerCertificate } from '../../../gateway/agent_api/identity.ts'
import type { TestGateway } from './support.ts'

/** Where browsers find the gateway. */
export const origin = 'http://localhost'

/** Loads a page. */
export async function getPage(
  gateway: TestGateway,
  path: string,
  cookie = '',
  headers: Record<string, string> = {},
): Promise<Response> {
  return gateway.app.request(`${origin}${path}`, { headers: { cookie, ...headers } })
}

/** Sends a form, as a browser on a page of this site does unless `headers` say otherwise. */
export async function postForm(
  gateway: TestGateway,
  path: string,
  form: Record<string, string>,
  cookie = '',
  headers: Record<string, string> = { origin },
): Promise<Response> {
  return gateway.app.request(`${origin}${path}`, {
    method: 'POST',
    headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(form).toString(),
  })
}

/** `server` with its first copy done and no work going on. */
export function upToDate(gateway: TestGateway): (server: SourceServer) => SourceServer {
  return ({ activeTask: _done, ...server }) => ({
    ...server,
    lifecycle: { ...server.lifecycle, state: 'READY_FOR_TEST' },
    replication: { ...server.replication, state: 'CONTINUOUS' },
    agent: { ...server.agent, lastSeenAt: gateway.now().toISOString() },
  })
}

/** An inventory of a small machine. */
export function inventory(hostname = 'web-1', overrides: Partial<SourceProperties> = {}): SourceProperties {
  return {
    lastUpdatedAt: '2026-03-01T11:59:00.000Z',
    identificationHints: { hostname, fqdn: `${hostname}.example.test`, machineId: `machine-${hostname}` },
    os: { fullString: 'Debian GNU/Linux 12 (bookworm)', family: 'linux' },
    cpus: [{ cores: 2, modelName: 'Test processor' }],
    ramBytes: 2_147_483_648,
    firmware: 'BIOS',
    networkInterfaces: [
      { name: 'eth0', macAddress: `52:54:00:00:00:${hostname.length}`, ips: ['192.0.2.20'], isPrimary: true },
    ],
    disks: [
      {
        deviceName: '/dev/sda',
        sizeBytes: 3_221_225_472,
        stableId: `serial-${hostname}-a`,
        isBootDisk: true,
      },
      {
        deviceName: '/dev/sr0',
        sizeBytes: 1_048_576,
        stableId: 'cd',
        isBootDisk: false,
        excludedBecause: 'It is removable',
      },
    ],
    ...overrides,
  }
}

/** A signing request with a new key. */
export async function signingRequest(curve = 'P-256'): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: curve, hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=anybody',
    keys,
    signingAlgorithm: algorithm,
  })
  return request.toString('pem')
}

/** A call on the agent port. */
export function callAgentPort(
  { agentApp }: Pick<TestGateway, 'agentApp'>,
  path: string,
  body: unknown,
): Promise<Response> {
  return Promise.resolve(
    agentApp.request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  )
}

/** The certificate as TLS would present it. */
export function peerOf(certificatePem: string, overrides: Partial<PeerCertificate> = {}): PeerCertificate {
  const certificate = new x509.X509Certificate(certificatePem)
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? []
  return {
    uris: names.filter(({ type }) => type === 'url').map(({ value }) => value),
    serial: certificate.serialNumber.toUpperCase(),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    isTrusted: true,
    distrust: '',
    ...overrides,
  }
}

/** Enrols an agent; later calls present its certificate. Its server, as stored. */
export async function enrolServer(
  gateway: TestGateway,
  hostname = 'web-1',
  properties = inventory(hostname),
): Promise<SourceServer> {
  const response = await callAgentPort(gateway, '/agent/v1/enrol', {
    token: await gateway.installationToken(),
    csrPem: await signingRequest(),
    version: '0.1.0',
    sourceProperties: properties,
  })
  if (response.status !== 200)
    throw new Error(`Enrolment answered ${response.status}: ${await response.text()}`)
  const { subjectId, certificatePem } = (await response.json()) as {
    subjectId: string
    certificatePem: string
  }
  gateway.present(peerOf(certificatePem))
  return serverOf(gateway, subjectId)
}

/** The server as stored. */
export async function serverOf(gateway: TestGateway, id: string): Promise<SourceServer> {
  const found = await gateway.store.get('server', { id })
  if (found === undefined) throw new Error(`There is no server ${id}`)
  return found.value
}

/** Writes a server as a worker would. */
export async function putServer(
  gateway: TestGateway,
  id: string,
  change: (server: SourceServer) => SourceServer,
): Promise<SourceServer> {
  const found = await gateway.store.get('server', { id })
  if (found === undefined) throw new Error(`There is no server ${id}`)
  const next = change(found.value)
  await gateway.store.replace('server', { id }, found.revision, next)
  await gateway.changes.publish({ kind: 'server', id })
  return next
}

/** A heartbeat of an agent in continuous mode; `overrides` say what is different. */
export function heartbeat(
  generation: number,
  overrides: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    generation,
    state: 'CONTINUOUS',
    isConnected: true,
    firstByteAt: '2026-03-01T11:00:00.000Z',
    lagMs: 400,
    backlogBytes: 0,
    bytesPerSecond: 1_000_000,
    sentBytes: 500_000_000,
    rescanEpoch: 0,
    disks: [
      {
        diskIndex: 0,
        sizeBytes: 3_221_225_472,
        replicatedBytes: 3_221_225_472,
        rescannedBytes: 0,
        backlogBytes: 0,
        tracker: { kind: 'tracefs', reason: 'The kernel reports every completed write' },
      },
    ],
    notes: [],
    ...overrides,
  }
}

/** The body of an enrolment with a token of its own; `overrides` say what is different. */
export async function enrolment(
  gateway: TestGateway,
  overrides: Record<string, unknown> = {},
): Promise<Record<string, unknown>> {
  return {
    token: await gateway.installationToken(),
    csrPem: await signingRequest(),
    version: '0.1.0',
    sourceProperties: inventory(),
    ...overrides,
  }
}

/** `server` with its staging area raised at replication server i-00000000000000001. */
export function staged({ activeTask: _done, ...server }: SourceServer): SourceServer {
  return {
    ...server,
    disks: server.disks.map((disk) => ({
      ...disk,
      volumeId: 'vol-00000000000000001' as VolumeId,
      devicePath: '/volumes/1',
    })),
    replication: {
      ...server.replication,
      state: 'INITIATING',
      replicationServerId: 'i-00000000000000001' as ReplicationServerId,
    },
  }
}

/** The problem that an answer carries. @throws Error when it carries none, or one of another status. */
export async function problemOf(response: Response): Promise<Problem> {
  const type = response.headers.get('content-type')
  const problem = (await response.json()) as Problem
  if (type !== 'application/problem+json' || problem.status !== response.status)
    throw new Error(`Not a problem of status ${response.status}: ${type} ${JSON.stringify(problem)}`)
  return problem
}
