/**
 * `rehost up`: the whole service on this machine, until Ctrl-C.
 * @module
 */
import type { Command } from 'commander'
import { stat } from 'node:fs/promises'
import { unlessMissing } from '../../cloud/qemu/files.ts'
import { ensureAgentBuilt } from '../supervisor/agent_build.ts'
import { readSupervisorConfig } from '../supervisor/config.ts'
import { startSupervisor } from '../supervisor/supervisor.ts'
import { stopSignal, untilAborted } from './stop_signal.ts'

/** Adds the command. */
export function addUpCommand(program: Command, root: string): void {
  program
    .command('up')
    .description(
      'start the service here: dashboard, APIs and workers; a replication server comes with the first source server',
    )
    .action(async () => {
      const config = readSupervisorConfig(process.env)
      const say = (line: string) => process.stdout.write(`${line}\n`)
      const isNew = (await unlessMissing(stat(config.dataDir))) === undefined
      say(`Starting Rehost on ${config.dataDir}${isNew ? ', which is new' : ''}`)
      const stopped = untilAborted(stopSignal())
      await ensureAgentBuilt(root, say)
      const service = await startSupervisor({ config, root, environment: process.env, say })
      say(`Dashboard   ${service.dashboardUrl}`)
      say(`Agents      ${service.agentUrl}`)
      if (service.firstPassword !== undefined) {
        say(`First sign-in: user admin, password ${service.firstPassword} (shown only now)`)
      }
      say('Ctrl-C stops everything')
      await stopped
      say('Stopping')
      await service.stop()
    })
}
