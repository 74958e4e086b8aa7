/**
 * The gateway: HTTP for operators and programs on one port, HTTPS for agents and replication servers on another.
 * @module
 */
import 'reflect-metadata'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import type { Services } from './services.ts'
import { errorMessage } from '../domain/errors.ts'
import { platformRandomBytes } from '../domain/ids.ts'
import { RedisChanges } from '../queues/changes.ts'
import { BullWakeUps } from '../queues/enqueue.ts'
import { PromptRedis } from '../queues/prompt_redis.ts'
import { createRedisClient, evictionWarning } from '../queues/redis.ts'
import { createDynamoRecords, createDynamoStore } from '../store/dynamodb/factory.ts'
import { gatewayServerName } from '../wire/control_api.ts'
import { renderInstallScript } from '../wire/install_script.ts'
import { createAgentApp } from './agent_app.ts'
import { FolderDownloads } from './agent_api/downloads.ts'
import { peerOfSocket } from './agent_api/identity.ts'
import { createOperatorApp } from './app.ts'
import { ApiCounts } from './api_counts.ts'
import { FileArtefacts } from './artefacts.ts'
import { AuditLog } from './audit_log.ts'
import { loadAssets } from './assets.ts'
import { EmbeddedCa } from './certificates/embedded_ca.ts'
import { readGatewayConfig, urlHost } from './config.ts'
import { withDeadline } from './deadline.ts'
import { yieldCollectorThreads } from './collector_threads.ts'
import { BandwidthPlan } from './bandwidth_plan.ts'
import { FolderFiles } from './file_store.ts'
import { S3Files } from './s3_files.ts'
import { EventStreams } from './event_streams.ts'
import { Fleet } from './fleet.ts'
import { Forecasts } from './forecasts.ts'
import { holdRecords } from './held_items.ts'
import { prepareInstallation } from './installation.ts'
import { agentPortPlaces, listenHttp, listenTls, stopListening } from './listen.ts'
import { sweepKeptAnswers } from './kept_answers.ts'
import { LiveHub } from './live_hub.ts'
import { LiveStreams } from './live_stream.ts'
import { sweepInstallationTokens } from './people/installation_tokens.ts'
import { sweepSessions } from './people/sessions.ts'
import { RateLimiter } from './rate_limit.ts'
import { RefusalLog } from './refusal_log.ts'
import { settleCutShort } from './server_jobs.ts'
import { mendMemberships } from './mgn/memberships.ts'
import { LongCalls, patienceMs } from './long_calls.ts'
import { settleTransfers } from './mgn/transfer_runs.ts'
import { QuietWrites } from './quiet_writes.ts'
import { Refusals } from './refusals.ts'
import { RequestRates } from './request_rates.ts'
import { SecretBox } from '../store/secret_box.ts'
import { RedisTelemetry } from './telemetry.ts'
import { WebhookFigures } from './webhook_figures.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const hourMs = 3_600_000
const log = pino({
  name: 'gateway',
  redact: ['authorization', 'cookie', 'token', 'password', 'secretAccessKey'],
})

try {
  await run()
} catch (error) {
  process.stderr.write(`${errorMessage(error)}\n`)
  process.exit(1)
}

async function run(): Promise<void> {
  const config = readGatewayConfig(process.env, root)
  await yieldCollectorThreads().catch((error: unknown) =>
    log.warn(
      { error: errorMessage(error) },
      'Cannot lower the priority of the threads that collect garbage: answers wait longer for them where processors are few',
    ),
  )
  const clock = () => new Date()
  const random = platformRandomBytes
  const trouble = (message: string) => log.warn(message)
  const packageFile = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }

  const { dynamodb } = config
  const store = createDynamoStore({ table: config.table, ...dynamodb })
  const records = createDynamoRecords(dynamodb, config.recordTable)
  await store.initialise()
  const redis = createRedisClient(config.redisUrl, trouble)
  const subscriber = createRedisClient(config.redisUrl, trouble)
  await withDeadline(Promise.all([redis.connect(), subscriber.connect()]), 15_000, 'Redis at REDIS_URL')
  const promptRedis = new PromptRedis(redis)
  const changes = new RedisChanges(promptRedis, trouble)
  await changes.receive(subscriber)
  const warning = await evictionWarning(redis)
  if (warning !== undefined) log.warn(warning)

  const issuer = await EmbeddedCa.open({
    folder: join(config.dataDir, 'ca'),
    clock,
    random,
    validityMs: config.certificateValidityMs,
  })
  const hosts = [...new Set([gatewayServerName, config.publicHost, 'localhost', '127.0.0.1'])]
  const identity = await issuer.gatewayIdentity(hosts)
  const { origin } = config
  const fleet = new Fleet(store, changes, clock)
  const telemetry = new RedisTelemetry(promptRedis)
  const held = holdRecords(store, changes, clock)
  const services: Services = {
    store,
    records,
    recordTimeZone: config.recordTable.timeZone,
    fleet,
    forecasts: new Forecasts({ store, records, fleet, clock, log }),
    held,
    wakeUps: new BullWakeUps(redis, trouble),
    changes,
    telemetry,
    bandwidth: new BandwidthPlan({ store, fleet, telemetry, clock, log }),
    issuer,
    audit: new AuditLog(store, clock),
    artefacts: new FileArtefacts(join(config.dataDir, 'artefacts')),
    downloads: new FolderDownloads(config.agentDir),
    files:
      config.s3 === undefined
        ? new FolderFiles(join(config.dataDir, 'files'), config.account.accountId)
        : new S3Files(config.s3),
    account: config.account,
    renderInstallScript,
    installation: {
      version: packageFile.version,
      agentUrl: `https://${urlHost(config.publicHost)}:${config.agentPort}`,
      pin: identity.pin,
      agentPort: config.agentPort,
      replicationPort: config.replicationPort,
    },
    rateLimits: {
      signIn: new RateLimiter(10, 15 * 60_000, clock),
      token: new RateLimiter(20, 10 * 60_000, clock),
      api: new RateLimiter(50, 10 * 60_000, clock),
    },
    requestRates: config.apiRate === undefined ? undefined : new RequestRates(config.apiRate, clock),
    quietWrites: new QuietWrites(() => held.servers.size),
    refusals: new Refusals(clock),
    refusalLog: new RefusalLog(log),
    trustedProxies: config.trustedProxies,
    secretBox: await SecretBox.open({ folder: config.dataDir, key: config.sealingKey, random }),
    scrub: config.scrub,
    thresholds: config.thresholds,
    origin,
    apiCounts: new ApiCounts(),
    longCalls: new LongCalls(patienceMs, log),
    webhookFigures: new WebhookFigures(store, clock),
    eventStreams: new EventStreams({ store, origin, changes, log }),
    clock,
    random,
    log,
  }
  await prepareInstallation(services, config)
  const hub = new LiveHub(changes, log)
  const streams = new LiveStreams(hub, services)

  const agents = await listenTls(
    createAgentApp(services, peerOfSocket),
    identity,
    issuer.caPem,
    {
      host: config.listenHost,
      port: config.agentPort,
      hostVariable: 'REHOST_LISTEN_HOST',
      portVariable: 'REHOST_AGENT_PORT',
    },
    {
      limits: agentPortPlaces,
      onRefused: (address, reason) => services.refusalLog.addConnection(address, reason),
    },
  )
  const operators = await listenHttp(createOperatorApp(services, await loadAssets(root), streams), {
    host: config.httpHost,
    port: config.httpPort,
    hostVariable: 'REHOST_HTTP_HOST',
    portVariable: 'REHOST_HTTP_PORT',
  })
  log.info(
    { http: `http://${urlHost(config.httpHost)}:${config.httpPort}`, agents: services.installation.agentUrl },
    'Listening',
  )

  const sweep = (): void => {
    const swept = [
      sweepSessions(store, clock()),
      sweepInstallationTokens(store, clock()),
      sweepKeptAnswers(store, clock()),
      settleCutShort(services),
      settleTransfers(services),
      mendMemberships(services),
    ]
    Promise.all(swept).catch((error: unknown) =>
      log.warn(
        { error: errorMessage(error) },
        'Cannot sweep what is over: sessions, tokens, answers kept for keys, parts of jobs, transfers, members of groups',
      ),
    )
  }
  sweep()
  const sweeping = setInterval(sweep, hourMs)
  const renewing = setInterval(() => {
    issuer
      .gatewayIdentity(hosts)
      .then(agents.renew, (error: unknown) =>
        log.warn({ error: errorMessage(error) }, 'Cannot renew the certificate of the agent port'),
      )
  }, 24 * hourMs)

  let isStopping = false
  const stop = async (): Promise<void> => {
    if (isStopping) return
    isStopping = true
    clearInterval(sweeping)
    clearInterval(renewing)
    streams.close()
    services.eventStreams.close()
    hub.close()
    services.fleet.close()
    services.held.close()
    await Promise.all([stopListening(operators), stopListening(agents.server), services.longCalls.stop()])
    await services.quietWrites.settle()
    await services.wakeUps.close()
    redis.destroy()
    subscriber.destroy()
    await Promise.all([store.close(), records.close()])
    log.info('Stopped')
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop())
}
