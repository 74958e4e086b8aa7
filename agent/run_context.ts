/**
 * What a run of the agent is made with: the machine, its settings, and how it reaches the gateway.
 * @module
 */
import type { Worker } from 'node:worker_threads'
import type { Random } from './backoff.ts'
import type { Clock } from './clock.ts'
import type { AgentConfig } from './config.ts'
import type { ControlClient } from './control_client.ts'
import type { Host } from './inventory.ts'
import type { LineLog } from './log.ts'
import type { CommandRunner } from './run_command.ts'
import type { Identity, StateFiles } from './state_files.ts'

/** What a run is made with. */
export interface RunContext {
  config: AgentConfig
  files: StateFiles
  host: Host
  clock: Clock
  log: LineLog
  random: Random
  run: CommandRunner
  /** A new thread that hashes. */
  startHashThread(): Worker
  /** This process was started by the service manager. */
  isService: boolean
  newClient(input: {
    gatewayUrl: string
    caPem: string
    identity: () => Identity | undefined
    signal: AbortSignal
  }): ControlClient
  readText(path: string): Promise<string>
  /** Text of a file that must hold a certificate. */
  readCertificate(path: string): Promise<string>
}
