/**
 * The worker process: takes wake-ups from the queues, runs the steps, relays events and reconciles.
 * @module
 */
import { join } from 'node:path'
import { pino } from 'pino'
import { hostAccelerator } from '../cloud/qemu/host_accelerator.ts'
import { createProvider } from '../cloud/registry.ts'
import { errorMessage } from '../domain/errors.ts'
import { platformRandomBytes } from '../domain/ids.ts'
import { RedisChanges } from '../queues/changes.ts'
import { BullWakeUps } from '../queues/enqueue.ts'
import { BullWebhookWakeUps } from '../queues/webhook_wake_ups.ts'
import { createRedisClient, evictionWarning } from '../queues/redis.ts'
import { SecretBox } from '../store/secret_box.ts'
import { createDynamoRecords, createDynamoStore } from '../store/dynamodb/factory.ts'
import type { Bench } from './bench.ts'
import { FileArtefacts } from './artefacts.ts'
import { readWorkersConfig } from './config.ts'
import { convertGuest } from './conversion/guest.ts'
import { ownWorkFolder } from './conversion/work_folder.ts'
import { startLoop } from './loop.ts'
import { WorkerPool } from './pool.ts'
import { reconcile, wakeUnfinished } from './reconciler.ts'
import { relayById } from './relay.ts'
import { RelayQueue } from './relay_queue.ts'
import { becomeOwner } from './owner.ts'
import { steps } from './steps.ts'
import { TaskRunner } from './task_runner.ts'
import { LaneRunner } from './webhooks/lane_runner.ts'
import { WebhookPool } from './webhooks/pool.ts'
import { createPost } from './webhooks/post.ts'
import { WebhookSender, wakeSenders } from './webhooks/sender.ts'
import { sweepEvents } from './event_sweep.ts'
import { sweepWebhooks } from './webhooks/sweep.ts'
import { watchVolumes } from './volume_watch.ts'

/** Everything is looked at this often, whether or not a notice came. */
const reconcileIntervalMs = 3000

/** Staging volumes are looked at this often. */
const volumeWatchIntervalMs = 10_000

/** What is old in the log of webhooks goes this often. */
const sweepIntervalMs = 3_600_000

/** Longest wait for running steps at the end. */
const stopTimeoutMs = 6000

const log = pino({ name: 'workers' })
const config = readWorkersConfig(process.env)
const trouble = (message: string): void => log.warn(message)

const { dynamodb } = config
const store = createDynamoStore({ table: config.table, ...dynamodb })
await store.initialise()
const records = createDynamoRecords(dynamodb, config.recordTable)
// Replication goes on without it; the recorder tries again.
await records
  .initialise()
  .catch((error: unknown) =>
    log.warn(`Cannot make table ${config.recordTable.name} (REHOST_RECORD_TABLE): ${errorMessage(error)}`),
  )
const redis = createRedisClient(config.redisUrl, trouble)
const subscriber = createRedisClient(config.redisUrl, trouble)
await Promise.all([redis.connect(), subscriber.connect()])
const warning = await evictionWarning(redis)
if (warning !== undefined) log.warn(warning)

const changes = new RedisChanges(redis, trouble)
await changes.receive(subscriber)
const wakeUps = new BullWakeUps(redis, trouble)
const webhookWakeUps = new BullWebhookWakeUps(redis, trouble)
const owner = await becomeOwner()
const conversionDir = join(config.dataDir, 'conversion')
const secrets = await SecretBox.open({
  folder: config.dataDir,
  key: config.sealingKey,
  random: platformRandomBytes,
})
const bench: Bench = {
  store,
  records,
  cloud: createProvider(config.cloud, {
    dataDir: config.dataDir,
    listenHost: config.listenHost,
    publicHost: config.publicHost,
    replicationPort: config.replicationPort,
    redisUrl: config.redisUrl,
    compileCacheDir: config.compileCacheDir,
    toolPath: config.toolPath,
    accelerator: config.accelerator,
  }),
  wakeUps,
  webhookWakeUps,
  changes,
  convert: convertGuest(
    {
      workDir: await ownWorkFolder(join(conversionDir, 'work'), {
        owner,
        now: new Date(),
        warn: trouble,
      }),
      cacheDir: join(conversionDir, 'cache'),
    },
    process.env,
    // The disks are converted on this host, whichever cloud they go to.
    async () => (await hostAccelerator(config)).kind,
  ),
  secrets,
  artefacts: new FileArtefacts(join(config.dataDir, 'artefacts')),
  fetch,
  clock: () => new Date(),
  isGone: async (other) => (await owner.fateOf(other)) === 'GONE',
  random: platformRandomBytes,
  thresholds: config.thresholds,
  origin: config.origin,
  log,
}
for (const finding of await bench.cloud.preflight()) {
  if (finding.ok) log.info(finding.what)
  else log.error(`${finding.what}. ${finding.whatToDo ?? ''}`)
}

const pool = new WorkerPool(redis, new TaskRunner(bench, steps, owner.name), log)
const sender = new WebhookSender(
  bench,
  new LaneRunner({
    bench,
    secrets,
    post: createPost(),
    allowed: config.webhookNetworks,
    timeoutMs: config.webhookTimeoutMs,
    owner: owner.name,
    userAgent: 'Rehost-Webhooks',
  }),
)
const webhookPool = new WebhookPool(redis, sender, log)
await Promise.all([pool.ready(), webhookPool.ready()])
await wakeUnfinished(bench)
const volumeWatch = startLoop(
  volumeWatchIntervalMs,
  () => watchVolumes(bench),
  (error) => log.error({ err: error }, `Cannot look after volumes: ${errorMessage(error)}`),
)
const loop = startLoop(
  reconcileIntervalMs,
  async () => {
    await reconcile(bench)
    await pool.watch(wakeUps, Date.now())
    await wakeSenders(bench)
    await webhookPool.watch(webhookWakeUps, Date.now())
  },
  (error) => log.error({ err: error }, `Cannot reconcile: ${errorMessage(error)}`),
)
const sweeping = startLoop(
  sweepIntervalMs,
  async () => {
    await sweepWebhooks(bench)
    await sweepEvents(bench)
  },
  (error) => log.error({ err: error }, `Cannot sweep old deliveries and events: ${errorMessage(error)}`),
)
const relays = new RelayQueue({
  relay: (id) => relayById(bench, id),
  trouble: (sourceServerId, error) =>
    log.warn({ sourceServerId }, `Cannot relay events now: ${errorMessage(error)}`),
})
changes.listen((notice) => {
  if (notice.kind === 'webhook') {
    wakeSenders(bench).catch((error: unknown) =>
      log.warn({ webhookId: notice.id }, `Cannot send webhooks now: ${errorMessage(error)}`),
    )
  }
  relays.hear(notice)
})

let isStopping = false
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (isStopping) return
    isStopping = true
    void stop()
  })
}
log.info({ cloud: config.cloud }, 'Ready')

/** Steps are told to stop; whatever does not in time is taken up by another worker as after a crash. */
async function stop(): Promise<void> {
  setTimeout(() => process.exit(0), stopTimeoutMs).unref()
  await Promise.all([loop.stop(), volumeWatch.stop(), sweeping.stop(), pool.close(), webhookPool.close()])
  await Promise.all([wakeUps.close(), webhookWakeUps.close()])
  redis.destroy()
  subscriber.destroy()
  await Promise.all([store.close(), records.close()])
  process.exit(0)
}
