/**
 * A running replication server: listener, registry and membership put together.
 * @module
 */
import type { Logger } from 'pino'
import { errorMessage } from '../domain/errors.ts'
import { WireError } from '../wire/wire_error.ts'
import { pause } from './backoff.ts'
import type { ReplicatorConfig } from './config.ts'
import { ControlClient } from './control_client.ts'
import { identityFile } from './identity.ts'
import type { Identity } from './identity.ts'
import { takeLease } from './lease.ts'
import { requirePort } from './listening_port.ts'
import { startListener } from './listener.ts'
import { Membership } from './membership.ts'
import { Registry } from './registry.ts'
import { StateDirectory } from './state_directory.ts'
import type { TelemetrySink } from './telemetry.ts'
import { runScrubber } from './scrubber.ts'
import { runTicker } from './ticker.ts'

/** How long writes under way may take to become durable when the process ends. */
const shutdownMs = 8000

/** What a replicator is made of. */
export interface ReplicatorOptions {
  config: ReplicatorConfig
  caPem: string
  version: string
  telemetry: TelemetrySink | undefined
  log: Logger
  nowMs: () => number
  random: () => number
}

const credentials = (identity: Identity, caPem: string): { cert: string; key: string; ca: string } => ({
  cert: identity.certificatePem,
  key: identity.keyPem,
  ca: caPem,
})

/**
 * Runs a replication server until `signal` aborts: then it accepts no more, makes everything durable and closes cleanly.
 * @param onListening told the port once agents can connect.
 * @throws Error when it can't start.
 */
export async function runReplicator(
  options: ReplicatorOptions,
  signal: AbortSignal,
  onListening: (port: number) => void = () => {},
): Promise<void> {
  const { config, caPem, version, telemetry, log, nowMs, random } = options
  const { replicationServerId } = config
  await requirePort(config.host, config.port)
  const state = new StateDirectory(config.stateDir, takeLease)
  await state.prepare()
  const client = new ControlClient({ gatewayUrl: config.gatewayUrl, caPem, identity: undefined })
  const identity = identityFile(state.identityPath)
  const membership = new Membership({ replicationServerId, version, client, identity, log, nowMs, random })
  const registry = new Registry({
    replicationServerId,
    state,
    announce: (reached, abort) => membership.announce(reached, abort),
    log,
  })
  const listener = await startListener({
    host: config.host,
    port: config.port,
    credentials: credentials(await membership.enrol(config.tokenFile, signal), caPem),
    serverOf: (peer) => registry.serverOf(peer),
    onUnassigned: () => membership.nudge(),
    onExpired: (peer, refusal) => registry.noteExpired(peer, refusal),
    log,
  })
  log.info(
    { port: listener.port, host: config.host, replicationServerId, version },
    'Replication server listens',
  )
  onListening(listener.port)
  await Promise.all([
    membership.run(
      {
        registry,
        port: listener.port,
        onIdentity: (renewed) => listener.setCredentials(credentials(renewed, caPem)),
      },
      signal,
    ),
    runTicker({ registry, telemetry, nowMs, log }, signal),
    runScrubber(
      {
        servers: () => registry.servers,
        policy: () => registry.scrubPolicy,
        recordOf: (volumeId) => state.scrubRecord(volumeId),
        nowMs,
        log,
      },
      signal,
    ),
  ])
  listener.stopAccepting()
  const closed = registry
    .close(
      new WireError(
        'SHUTTING_DOWN',
        'Cannot go on now: the replication server is shutting down; connect again',
      ),
    )
    .catch((error: unknown) => log.error({ err: error }, `Cannot close cleanly: ${errorMessage(error)}`))
  const deadline = new AbortController()
  const isInTime = await Promise.race([
    closed.then(() => true),
    pause(shutdownMs, deadline.signal).then(() => false),
  ])
  deadline.abort()
  if (!isInTime)
    log.warn('Not all writes ended in time; their segments are looked at again at the next start')
  listener.destroyAll()
  client.close()
  telemetry?.close()
  await state.close()
  log.info('Replication server ended')
}
