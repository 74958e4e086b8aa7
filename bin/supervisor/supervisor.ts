/**
 * The embedded service: starts every process, keeps them alive, and leaves nothing running when it stops. Machines that it has launched
 * are shut down with it and started again with it.
 * @module
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SupervisorConfig } from './config.ts'
import { makeFolder } from '../../cloud/qemu/files.ts'
import {
  runningMachines,
  startMachinesAgain,
  stopEverything,
  stopReplicationServers,
} from '../../cloud/qemu/service_stops.ts'
import { errorMessage } from '../../domain/errors.ts'
import { dashboardUrl, urlAuthority } from '../reach.ts'
import { SupervisedChild } from './child.ts'
import { childEnvironment, childSpecs, redisSocketPath } from './children.ts'
import { DataFolder } from './data_folder.ts'
import { checkBeforeStart } from './preflight.ts'

/** A running service. */
export interface Supervisor {
  dashboardUrl: string
  agentUrl: string
  /** The administrator's first password, when this start made one. Shown once, kept nowhere. */
  firstPassword: string | undefined
  /** Process ids by name, for the operator and for tests that kill things. */
  pids(): Record<string, number | undefined>
  stop(): Promise<void>
}

/**
 * Starts the service.
 * @throws Error in plain words when a tool or port is missing or a process does not come up; nothing is left running then.
 */
export async function startSupervisor(options: {
  config: SupervisorConfig
  root: string
  environment: Record<string, string | undefined>
  say: (line: string) => void
  /** The data folder, where the caller has it already and gives it back itself. */
  folder?: DataFolder
}): Promise<Supervisor> {
  const { config, root, environment, say } = options
  const ownFolder = options.folder === undefined ? await DataFolder.take(config.dataDir) : undefined
  let shortFolder: string | undefined
  const started: SupervisedChild[] = []
  const stop = async (): Promise<void> => {
    for (const child of started.toReversed()) await child.stop()
    if (config.cloud === 'qemu') await stopCloud(config, say)
    if (shortFolder !== undefined) await rm(shortFolder, { recursive: true, force: true })
    await ownFolder?.giveBack()
  }
  try {
    for (const name of ['logs', 'redis']) await makeFolder(join(config.dataDir, name))
    // A supervisor that was killed leaves them, and they have the port. Machines that it left are not touched.
    if (config.cloud === 'qemu') await stopReplicationServers(config.dataDir)
    await checkBeforeStart(config, environment['PATH'] ?? '')
    // Before the workers, for which a machine that stands still is one that has failed.
    if (config.cloud === 'qemu') await startCloud(config, environment['PATH'], say)
    let socket = redisSocketPath(config)
    if (socket === undefined) {
      shortFolder = await mkdtemp(join(tmpdir(), 'rehost-'))
      socket = join(shortFolder, 'redis.sock')
    }
    for (const spec of childSpecs(config, root, childEnvironment(config, environment, socket), socket)) {
      const child = new SupervisedChild(spec, say)
      started.push(child)
      await child.start()
      child.keepAlive()
    }
    return {
      dashboardUrl: dashboardUrl(config.httpHost, config.httpPort),
      agentUrl: `https://${urlAuthority(config.publicHost, config.agentPort)}`,
      firstPassword: await takeFirstPassword(config.dataDir),
      pids: () => Object.fromEntries(started.map((child) => [child.spec.name, child.pid])),
      stop,
    }
  } catch (error) {
    await stop().catch((stopError: unknown) => say(`While cleaning up: ${errorMessage(stopError)}`))
    throw error
  }
}

/** Shuts machines down in order, and tells why that takes time. */
async function stopCloud(config: SupervisorConfig, say: (line: string) => void): Promise<void> {
  const { length } = await runningMachines(config.dataDir)
  if (length > 0 && config.shutdownMs > 0) {
    const what = length === 1 ? '1 machine' : `${length} machines`
    say(`Shutting down ${what}, for up to ${config.shutdownMs / 1000} s; the next start starts them again`)
  }
  for (const { id, trouble } of await stopEverything(config.dataDir, config.shutdownMs)) {
    if (trouble !== undefined) say(`Machine ${id} lost its power: ${trouble}`)
  }
}

async function startCloud(
  config: SupervisorConfig,
  toolPath: string | undefined,
  say: (line: string) => void,
): Promise<void> {
  for (const { id, name, movedPorts, trouble } of await startMachinesAgain({ ...config, toolPath })) {
    const moved = movedPorts.map(
      ({ guestPort, hostPort }) => `; its port ${guestPort} is now 127.0.0.1:${hostPort}`,
    )
    say(
      trouble === undefined
        ? `Machine ${id} (${name}) is started again${moved.join('')}`
        : `Machine ${id} (${name}) stays off: ${trouble}`,
    )
  }
}

/** Reads and removes the file in which the gateway leaves a password that it made up. */
async function takeFirstPassword(dataDir: string): Promise<string | undefined> {
  const file = join(dataDir, 'first-sign-in')
  const password = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  await rm(file, { force: true })
  return password?.trim()
}
