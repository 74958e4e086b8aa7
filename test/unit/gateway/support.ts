/**
 * A whole gateway for tests: real store (in memory), real certificate authority, real apps; time and queue in the test's hand.
 * @module
 */
import 'reflect-metadata'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hono } from 'hono'
import type { PeerCertificate } from '../../../gateway/agent_api/identity.ts'
import type { Role } from '../../../gateway/people/accounts.ts'
import type { Services } from '../../../gateway/services.ts'
import type { PageEnv } from '../../../gateway/session_guard.ts'
import { platformRandomBytes } from '../../../domain/ids.ts'
import { createAgentApp } from '../../../gateway/agent_app.ts'
import { createOperatorApp } from '../../../gateway/app.ts'
import { ApiCounts } from '../../../gateway/api_counts.ts'
import { FileArtefacts } from '../../../gateway/artefacts.ts'
import { AuditLog } from '../../../gateway/audit_log.ts'
import { FolderDownloads } from '../../../gateway/agent_api/downloads.ts'
import { loadAssets } from '../../../gateway/assets.ts'
import { EmbeddedCa } from '../../../gateway/certificates/embedded_ca.ts'
import { BandwidthPlan } from '../../../gateway/bandwidth_plan.ts'
import { standardQuotas } from '../../../gateway/mgn/account.ts'
import { FolderFiles } from '../../../gateway/file_store.ts'
import { EventStreams } from '../../../gateway/event_streams.ts'
import { Fleet } from '../../../gateway/fleet.ts'
import { Forecasts } from '../../../gateway/forecasts.ts'
import { holdRecords } from '../../../gateway/held_items.ts'
import { LiveHub } from '../../../gateway/live_hub.ts'
import { LongCalls } from '../../../gateway/long_calls.ts'
import { LiveStreams } from '../../../gateway/live_stream.ts'
import { createApiToken } from '../../../gateway/people/api_tokens.ts'
import { createInstallationToken } from '../../../gateway/people/installation_tokens.ts'
import { startSession } from '../../../gateway/people/sessions.ts'
import { RateLimiter } from '../../../gateway/rate_limit.ts'
import { RefusalLog } from '../../../gateway/refusal_log.ts'
import { QuietWrites } from '../../../gateway/quiet_writes.ts'
import { Refusals } from '../../../gateway/refusals.ts'
import type { RatePolicy } from '../../../gateway/request_rates.ts'
import { RequestRates } from '../../../gateway/request_rates.ts'
import { SecretBox } from '../../../store/secret_box.ts'
import { WebhookFigures } from '../../../gateway/webhook_figures.ts'
import { TrustedProxies } from '../../../gateway/trusted_proxies.ts'
import { MemoryRecords } from '../../../store/memory/records.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { gatewayServerName } from '../../../wire/control_api.ts'
import { renderInstallScript } from '../../../wire/install_script.ts'
import { listening } from '../../fixtures/told_changes.ts'
import { checked } from './answer_check.ts'
import { LocalChanges, LocalTelemetry, RecordedWakeUps } from './doubles.ts'

/** The project's folder. */
export const projectRoot = join(import.meta.dirname, '../../..')

/** The gateway under test. */
export interface TestGateway {
  services: Services
  store: MemoryStore
  records: MemoryRecords
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
  /** The certificate presented now. */
  peer(): PeerCertificate | undefined
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
  options: {
    start?: string
    realClock?: boolean
    folder?: string
    trustedProxies?: string[]
    recordTimeZone?: string
    apiRate?: RatePolicy
  } = {},
): Promise<TestGateway> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'rehost-gateway-')))
  let time = new Date(options.start ?? '2026-03-01T12:00:00.000Z')
  const clock = () => (options.realClock ? new Date() : new Date(time))
  const random = platformRandomBytes
  const store = new MemoryStore()
  // What the gateway writes of servers without an event; a test that leaves any fails.
  const untold: string[] = []
  const records = new MemoryRecords()
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
  const log = { info: write, warn: write, error: write }
  const origin = { accountId: '123456789012', region: 'us-east-1' }
  const eventStreams = new EventStreams({ store, origin, changes, log })
  const fleet = new Fleet(store, changes, clock)
  const services: Services = {
    store: listening(store, untold),
    records,
    recordTimeZone: options.recordTimeZone ?? 'UTC',
    fleet,
    forecasts: new Forecasts({ store, records, fleet, clock, log }),
    held: holdRecords(store, changes, clock),
    wakeUps,
    changes,
    telemetry,
    bandwidth: new BandwidthPlan({ store, fleet, telemetry, clock, log }),
    issuer,
    audit: new AuditLog(store, clock),
    artefacts: new FileArtefacts(join(folder, 'artefacts')),
    downloads: new FolderDownloads(join(folder, 'agent')),
    files: new FolderFiles(join(folder, 'files'), '123456789012'),
    account: { accountId: '123456789012', quotas: standardQuotas },
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
    requestRates: options.apiRate && new RequestRates(options.apiRate, clock),
    quietWrites: new QuietWrites(() => 0),
    refusals: new Refusals(clock),
    refusalLog: new RefusalLog(log, () => clock().getTime()),
    trustedProxies: new TrustedProxies(options.trustedProxies ?? []),
    secretBox: new SecretBox(random(32), random),
    scrub: { intervalMs: 604_800_000, bytesPerSecond: 16_000_000 },
    origin,
    eventStreams,
    apiCounts: new ApiCounts(),
    longCalls: new LongCalls(60_000, log),
    webhookFigures: new WebhookFigures(store, clock),
    thresholds: { lagMs: 300_000, backlogBytes: 10 * 2 ** 30 },
    clock,
    random,
    log,
  }
  const hub = new LiveHub(changes, services.log)
  const streams = new LiveStreams(hub, services)
  let peer: PeerCertificate | undefined
  return {
    services,
    store,
    records,
    changes,
    wakeUps,
    telemetry,
    issuer,
    app: checked(createOperatorApp(services, await loadAssets(projectRoot), streams)),
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
    peer: () => peer,
    signIn: async (role = 'admin') => {
      const user = { userName: role, passwordHash: '', role, createdAt: clock().toISOString() }
      if ((await store.get('user', { id: role })) === undefined)
        await store.create('user', { id: role }, user)
      return `rehost_session=${await startSession(store, user, services)}`
    },
    apiToken: async (role = 'admin') =>
      (await createApiToken(store, { name: `test ${role}`, role }, services)).secret,
    installationToken: async (uses = 1, lifetimeMs = 3_600_000) => {
      const at = clock().toISOString()
      const wanted = { purpose: 'AGENT', createdBy: 'test', at, uses, lifetimeMs } as const
      return (await createInstallationToken(store, wanted, random)).token
    },
    close: async () => {
      streams.close()
      eventStreams.close()
      hub.close()
      services.fleet.close()
      await rm(folder, { recursive: true, force: true })
      if (untold.length > 0) throw new Error(`Changed without an event: ${untold.join('; ')}`)
    },
  }
}

/** The refused calls among the lines of a log. */
export function refusalsIn(lines: readonly string[]): { message: string; fields: Record<string, unknown> }[] {
  return lines.flatMap((line) => {
    const begin = line.lastIndexOf(' {')
    const fields = JSON.parse(line.slice(begin)) as Record<string, unknown>
    return fields['event'] === 'call-refused' ? [{ message: line.slice(0, begin), fields }] : []
  })
}
