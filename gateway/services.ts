/**
 * What the gateway's handlers work with. Everything comes from outside: `main.ts` chooses the implementations, tests choose others.
 * @module
 */
import type { EventOrigin } from '../domain/event_envelope.ts'
import type { RandomBytes } from '../domain/ids.ts'
import type { Thresholds } from '../domain/thresholds.ts'
import type { ChangePublisher } from '../queues/changes.ts'
import type { WakeUps } from '../queues/enqueue.ts'
import type { RecordStore } from '../store/records.ts'
import type { Store } from '../store/store.ts'
import type { ReplicatorDesired } from '../wire/control_api.ts'
import type { InstallScriptFacts } from '../wire/install_script.ts'
import type { AgentDownloads } from './agent_api/downloads.ts'
import type { Allowances } from './allowances.ts'
import type { ApiCounts } from './api_counts.ts'
import type { Artefacts } from './artefacts.ts'
import type { AuditLog } from './audit_log.ts'
import type { ChangeFeed } from './change_feed.ts'
import type { CertIssuer } from './certificates/issuer.ts'
import type { FileStore } from './file_store.ts'
import type { EventStreams } from './event_streams.ts'
import type { Fleet } from './fleet.ts'
import type { ForecastMaker } from './forecast_maker.ts'
import type { HeldRecords } from './held_items.ts'
import type { Log } from './log.ts'
import type { LongCalls } from './long_calls.ts'
import type { OwnAccount } from './mgn/account.ts'
import type { RateLimiter } from './rate_limit.ts'
import type { RefusalLog } from './refusal_log.ts'
import type { QuietWrites } from './quiet_writes.ts'
import type { Refusals } from './refusals.ts'
import type { RequestRates } from './request_rates.ts'
import type { SecretBox } from '../store/secret_box.ts'
import type { TelemetryStore } from './telemetry.ts'
import type { TrustedProxies } from './trusted_proxies.ts'
import type { WebhookFigures } from './webhook_figures.ts'

/** Facts of this installation that pages and scripts show. */
export interface Installation {
  version: string
  /** `https://host:port`: where agents reach the gateway. */
  agentUrl: string
  /** SHA-256 of the gateway's public key on the agent port, base64. */
  pin: string
  agentPort: number
  replicationPort: number
}

/** How replication servers read their volumes again in the background. */
export type ScrubPolicy = NonNullable<ReplicatorDesired['scrub']>

/** The limits on guessing, each by address. */
export interface RateLimits {
  signIn: RateLimiter
  token: RateLimiter
  api: RateLimiter
}

/** Everything. */
export interface Services {
  store: Store
  /** Records of initial replications, and on which clocks a file tells their times. */
  records: RecordStore
  recordTimeZone: string
  fleet: Fleet
  forecasts: ForecastMaker
  held: HeldRecords
  wakeUps: WakeUps
  changes: ChangePublisher & ChangeFeed
  telemetry: TelemetryStore
  bandwidth: Allowances
  issuer: CertIssuer
  artefacts: Artefacts
  audit: AuditLog
  downloads: AgentDownloads
  files: FileStore
  account: OwnAccount
  renderInstallScript: (facts: InstallScriptFacts) => string
  installation: Installation
  rateLimits: RateLimits
  /** How much each program may ask for; no limit when left out. */
  requestRates: RequestRates | undefined
  quietWrites: QuietWrites
  refusals: Refusals
  refusalLog: RefusalLog
  trustedProxies: TrustedProxies
  secretBox: SecretBox
  scrub: ScrubPolicy
  /** Limits of lag and backlog whose crossing is told. */
  thresholds: Thresholds
  /** Where events are said to come from. */
  origin: EventOrigin
  eventStreams: EventStreams
  apiCounts: ApiCounts
  longCalls: LongCalls
  webhookFigures: WebhookFigures
  clock: () => Date
  random: RandomBytes
  log: Log
}
