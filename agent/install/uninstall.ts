/**
 * Takes the agent off the machine: service, program, configuration and state.
 * @module
 */
import { join } from 'node:path'
import * as z from 'zod'
import type { CommandRunner } from '../run_command.ts'
import { PermanentError } from '../../domain/errors.ts'
import { machineFiles } from '../inventory/system_files.ts'
import { nativeFolderPrefix } from '../native_directories.ts'
import { isInstalled } from '../run_command.ts'
import { stateFileNames } from '../state_files.ts'
import { tracingFolder } from '../tracking/instance_names.ts'
import { runFolder } from '../tracking/run_folder.ts'
import { traceInstanceName, trackKey } from '../tracking/track_folder.ts'
import { planSuffix } from '../reboot/seal_plan.ts'
import { bootTraceRemovalCommand, longestGrubMs } from './boot_trace.ts'
import { layout, serviceName } from './layout.ts'

/** What an uninstall works with. */
export interface UninstallContext {
  run: CommandRunner
  stateDirectory: string
  /** This process is the service itself: stopping the service stops it. */
  isService: boolean
  isRoot: boolean
}

/** Whether the agent whose state is in `stateDirectory` is the installed one, and not another that was only run. */
async function isInstalledAgent(stateDirectory: string): Promise<boolean> {
  if ((await machineFiles.realPath(layout.unitFile)) === undefined) return false
  const config = (await machineFiles.readText(layout.configFile)) ?? '{}'
  try {
    const { stateDir = layout.stateFolder } = installedConfigSchema.parse(JSON.parse(config))
    return stateDir === stateDirectory
  } catch (error) {
    throw new PermanentError(`Cannot read ${layout.configFile}; mend or remove it and try again`, {
      cause: error,
    })
  }
}

const installedConfigSchema = z.object({ stateDir: z.string().optional() })

/** A path between single quotes of a shell. */
function quoted(path: string): string {
  return `'${path.replaceAll("'", String.raw`'\''`)}'`
}

/**
 * The shell command that removes what the agent keeps in `stateDirectory`, and the folder if nothing else is in it: an operator may have
 * named any folder with --state-dir.
 */
export function stateRemovalCommand(stateDirectory: string): string {
  const files = stateFileNames.map((name) => quoted(join(stateDirectory, name)))
  const key = trackKey(stateDirectory)
  const instance = join(tracingFolder, 'instances', traceInstanceName(key))
  return [
    // The kernel's trace outlives the agent: it goes with it here.
    `if [ -d ${quoted(instance)} ]; then rmdir ${quoted(instance)}; fi`,
    `rm -rf -- ${quoted(join(runFolder, key))}`,
    `rm -f -- ${quoted(join(runFolder, `${key}${planSuffix}`))}`,
    `rmdir -- ${quoted(runFolder)} 2>/dev/null`,
    `rm -f -- ${files.join(' ')}`,
    `rm -rf -- ${quoted(join(stateDirectory, nativeFolderPrefix))}*`,
    `rmdir -- ${quoted(stateDirectory)} 2>/dev/null`,
    'true',
  ].join('; ')
}

/** The shell command that removes everything but the operator's hooks; safe to run again. */
export function removalCommand(stateDirectory: string): string {
  const folders = [layout.programFolder, layout.stateFolder]
  const config = quoted(layout.configFolder)
  return [
    `systemctl disable --now ${serviceName}`,
    `rm -f ${quoted(layout.unitFile)}`,
    `${bootTraceRemovalCommand()} || echo 'GRUB still has the parameters of the agent: run update-grub or grub2-mkconfig' >&2`,
    stateRemovalCommand(stateDirectory),
    `rm -rf ${folders.map(quoted).join(' ')}`,
    // Hooks are the operator's own.
    `find ${config} -mindepth 1 -maxdepth 1 ! -name hooks.d -exec rm -rf {} +`,
    `rmdir -- ${config} 2>/dev/null`,
    'systemctl daemon-reload',
    `systemctl reset-failed ${serviceName} 2>/dev/null`,
    'true',
  ].join('; ')
}

/**
 * Removes an installed agent. When it is the service that asks, the work is handed to a unit of its own, because systemd ends this process as soon
 * as the service is stopped. An agent that was only run, not installed, removes its state and nothing else.
 */
export async function uninstall(context: UninstallContext): Promise<void> {
  const { run, stateDirectory, isService, isRoot } = context
  if (!(await isInstalledAgent(stateDirectory))) {
    await run('sh', ['-c', stateRemovalCommand(stateDirectory)])
    return
  }
  if (!isRoot) throw new PermanentError('Cannot uninstall without root; run it with sudo')
  const command = removalCommand(stateDirectory)
  if (isService && (await isInstalled(run, 'systemd-run'))) {
    await run('systemd-run', ['--collect', '--unit=rehost-agent-uninstall', '/bin/sh', '-c', command])
    return
  }
  await run('sh', ['-c', command], longestGrubMs)
}
