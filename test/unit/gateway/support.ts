/**
 * A whole gateway for tests: real store (in memory), real certificate authority, real apps; time and queue in the test's hand.
 * @module
 */
import 'reflect-metadata'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import type { Hono } from 'hono'
import type { SourceProperties, SourceServer } from '../../../domain/source_server.ts'
import type { TaskId } from '../../../domain/ids.ts'
import type { PeerCertificate } from '../../../gateway/agent_api/identity.ts'
import type { Role } from '../../../gateway/people/accounts.ts'
import type { Services } from '../../../gateway/services.ts'
import type { PageEnv } from '../../../gateway/session_guard.ts'
import type { ChangeNotice } from '../../../queues/changes.ts'
import type { QueueName } from '../../../queues/names.ts'
import type { ServerTelemetry } from '../../../wire/telemetry.ts'
import { platformRandomBytes } from '../../../domain/ids.ts'
import { createAgentApp } from '../../../gateway/agent_app.ts'
import { createOperatorApp } from '../../../gateway/app.ts'
import { FileArtefacts } from '../../../gateway/artefacts.ts'
import { FolderDownloads } from '../../../gateway/agent_api/downloads.ts'
import { loadAssets } from '../../../gateway/assets.ts'
import { EmbeddedCa } from '../../../gateway/certificates/embedded_ca.ts'
import { Fleet } from '../../../gateway/fleet.ts'
import { LiveHub } from '../../../gateway/live_hub.ts'
import { LiveStreams } from '../../../gateway/live_stream.ts'
import { createApiToken } from '../../../gateway/people/api_tokens.ts'
import { createInstallationToken } from '../../../gateway/people/installation_tokens.ts'
import { startSession } from '../../../gateway/people/sessions.ts'
import { RateLimiter } from '../../../gateway/rate_limit.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { gatewayServerName } from '../../../wire/control_api.ts'
import { renderInstallScript } from '../../../wire/install_script.ts'

/** The project's folder. */
export const projectRoot = join(import.meta.dirname, '../../..')

/** Notices within this process. */
export class LocalChanges {
  readonly published: ChangeNotice[] = []
  readonly #listeners = new Set<(notice: ChangeNotice) => void>()
  publish(notice: ChangeNotice): Promise<void> {
    this.published.push(notice)
    for (const listener of this.#listeners) listener(notice)
    return Promise.resolve()
  }
  listen(listener: (notice: ChangeNotice) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** Wake-ups that are written down. */
export class RecordedWakeUps {
  readonly added: { queue: QueueName; taskId: TaskId }[] = []
  fails = false
  add(queue: QueueName, taskId: TaskId): Promise<void> {
    if (this.fails) return Promise.reject(new Error('Cannot reach Redis'))
    this.added.push({ queue, taskId })
    return Promise.resolve()
  }
  has(queue: QueueName, taskId: TaskId): Promise<boolean> {
    return Promise.resolve(this.added.some((one) => one.queue === queue && one.taskId === taskId))
  }
  ping(): Promise<void> {
    return this.fails ? Promise.reject(new Error('Cannot reach Redis')) : Promise.resolve()
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Figures in this process. */
export class LocalTelemetry {
  readonly figures = new Map<string, ServerTelemetry>()
  read(ids: readonly string[]): Promise<Map<string, ServerTelemetry>> {
    return Promise.resolve(new Map([...this.figures].filter(([id]) => ids.includes(id))))
  }
  offer(telemetry: ServerTelemetry): Promise<void> {
    if (!this.figures.has(telemetry.sourceServerId)) this.figures.set(telemetry.sourceServerId, telemetry)
    return Promise.resolve()
  }
}

/** The gateway under test. */
export interface TestGateway {
  services: Services
  store: MemoryStore
  changes: LocalChanges
  wakeUps: RecordedWakeUps
  telemetry: LocalTelemetry
  issuer: EmbeddedCa
  app: Hono<PageEnv>
  agentApp: Hono
  streams: LiveStreams
  hub: LiveHub
  folder: string
  logged: string[]
  /** Moves the clock. */
  pass(milliseconds: number): void
  now(): Date
  /** The certificate that the next calls on the agent port present. */
  present(peer: PeerCertificate | undefined): void
  /** A cookie of somebody signed in. */
  signIn(role?: Role): Promise<string>
  /** An API token. */
  apiToken(role?: Role): Promise<string>
  /** An installation token. */
  installationToken(uses?: number, lifetimeMs?: number): Promise<string>
  close(): Promise<void>
}

/** Makes one. The clock stands still at `start` unless it is the real one. */
export async function testGateway(
  options: { start?: string; realClock?: boolean; folder?: string } = {},
): Promise<TestGateway> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'rehost-gateway-')))
  let time = new Date(options.start ?? '2026-03-01T12:00:00.000Z')
  const clock = () => (options.realClock ? new Date() : new Date(time))
  const random = platformRandomBytes
  const store = new MemoryStore()
  const changes = new LocalChanges()
  const wakeUps = new RecordedWakeUps()
  const telemetry = new LocalTelemetry()
  const issuer = await EmbeddedCa.open({
    folder: join(folder, 'ca'),
    clock,
    random,
    validityMs: 7 * 86_400_000,
  })
  const { pin } = await issuer.gatewayIdentity([gatewayServerName])
  const logged: string[] = []
  const write = (fields: Record<string, unknown>, message: string) => {
    logged.push(`${message} ${JSON.stringify(fields)}`)
  }
  const services: Services = {
    store,
    fleet: new Fleet(store, changes, clock),
    wakeUps,
    changes,
    telemetry,
    issuer,
    artefacts: new FileArtefacts(join(folder, 'artefacts')),
    downloads: new FolderDownloads(join(folder, 'agent')),
    renderInstallScript,
    installation: {
      version: '0.1.0',
      agentUrl: 'https://192.0.2.10:8443',
      pin,
      agentPort: 8443,
      replicationPort: 1500,
    },
    rateLimits: {
      signIn: new RateLimiter(5, 15 * 60_000, clock),
      token: new RateLimiter(5, 10 * 60_000, clock),
      api: new RateLimiter(5, 10 * 60_000, clock),
    },
    clock,
    random,
    log: { info: write, warn: write, error: write },
  }
  const hub = new LiveHub(changes, services.log)
  const streams = new LiveStreams(hub, services)
  let peer: PeerCertificate | undefined
  return {
    services,
    store,
    changes,
    wakeUps,
    telemetry,
    issuer,
    app: createOperatorApp(services, await loadAssets(projectRoot), streams),
    agentApp: createAgentApp(services, () => peer),
    streams,
    hub,
    folder,
    logged,
    pass: (milliseconds) => {
      time = new Date(time.getTime() + milliseconds)
    },
    now: clock,
    present: (next) => {
      peer = next
    },
    signIn: async (role = 'admin') => {
      const user = { userName: role, passwordHash: '', role, createdAt: clock().toISOString() }
      if ((await store.get('user', { id: role })) === undefined)
        await store.create('user', { id: role }, user)
      return `rehost_session=${await startSession(store, user, services)}`
    },
    apiToken: (role = 'admin') => createApiToken(store, { name: `test ${role}`, role }, services),
    installationToken: async (uses = 1, lifetimeMs = 3_600_000) => {
      const at = clock().toISOString()
      const wanted = { purpose: 'AGENT', createdBy: 'test', at, uses, lifetimeMs } as const
      return (await createInstallationToken(store, wanted, random)).token
    },
    close: async () => {
      streams.close()
      hub.close()
      services.fleet.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
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
export function callAgentPort(gateway: TestGateway, path: string, body: unknown): Promise<Response> {
  return Promise.resolve(
    gateway.agentApp.request(path, {
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
