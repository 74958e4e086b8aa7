/**
 * The embedded service: starts every process, keeps them alive, and leaves nothing running when it stops.
 * @module
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SupervisorConfig } from './config.ts'
import { stopEverything } from '../../cloud/qemu/processes.ts'
import { errorMessage } from '../../domain/errors.ts'
import { SupervisedChild } from './child.ts'
import { childEnvironment, childSpecs, redisSocketPath } from './children.ts'
import { checkBeforeStart, takeDataDir } from './preflight.ts'

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
}): Promise<Supervisor> {
  const { config, root, environment, say } = options
  const giveBack = await takeDataDir(config.dataDir)
  const shortFolder = await mkdtemp(join(tmpdir(), 'rehost-'))
  const started: SupervisedChild[] = []
  const stop = async (): Promise<void> => {
    for (const child of started.toReversed()) await child.stop()
    if (config.cloud === 'qemu') await stopEverything(config.dataDir)
    await rm(shortFolder, { recursive: true, force: true })
    await giveBack()
  }
  try {
    if (config.cloud === 'qemu') await stopEverything(config.dataDir)
    await checkBeforeStart(config, environment['PATH'] ?? '')
    const socket = redisSocketPath(config, shortFolder)
    for (const spec of childSpecs(config, root, childEnvironment(config, environment, socket), socket)) {
      const child = new SupervisedChild(spec, say)
      started.push(child)
      await child.start()
      child.keepAlive()
    }
    const host = config.httpHost === '0.0.0.0' ? '127.0.0.1' : config.httpHost
    return {
      dashboardUrl: `http://${host}:${config.httpPort}`,
      agentUrl: `https://${config.publicHost}:${config.agentPort}`,
      firstPassword: await takeFirstPassword(config.dataDir),
      pids: () => Object.fromEntries(started.map((child) => [child.spec.name, child.pid])),
      stop,
    }
  } catch (error) {
    await stop().catch((stopError: unknown) => say(`While cleaning up: ${errorMessage(stopError)}`))
    throw error
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
