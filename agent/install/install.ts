/**
 * Makes this machine a source server: enrols it, writes configuration and unit, starts the service.
 * @module
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SourceProperties } from '../../domain/source_server.ts'
import type { ControlClient } from '../control_client.ts'
import type { CommandRunner } from '../run_command.ts'
import type { Identity, StateFiles } from '../state_files.ts'
import { errorMessage, PermanentError } from '../../domain/errors.ts'
import { ControlError } from '../control_error.ts'
import { machineFiles } from '../inventory/system_files.ts'
import { enrol, isExpired } from '../enrolment.ts'
import { writeAtomically } from '../state_files.ts'
import type { ProxySettings } from '../proxy.ts'
import { proxyName } from '../proxy.ts'
import { defaultRingKb } from '../tracking/ring_size.ts'
import { addBootTrace, bootTraceRemovalCommand, checkBootTrace, longestGrubMs } from './boot_trace.ts'
import { bootPaths, layout, serviceName, unitText } from './layout.ts'
import { placeProgram } from './place_program.ts'

/** What an installation is made of. */
export interface InstallInput {
  gatewayUrl: string
  caPem: string
  token: string
  sourceProperties: SourceProperties
  devices?: readonly string[]
  tags?: Record<string, string>
  userProvidedId?: string
  client: ControlClient
  files: StateFiles
  run: CommandRunner
  nowMs: () => number
  /** What the service is to use, too. */
  proxy?: ProxySettings
  isRoot: boolean
  /** Change the kernel's command line, so that a clean reboot needs no comparison. */
  isTracingFromBoot?: boolean
  /** What the service runs. */
  program: string
  /** The program that runs now, to be put where the service runs it; undefined when it stays where it is. */
  executable?: string
  /** A line for the person who installs. */
  say(line: string): void
  /** Files other than the state; default: the layout of an installed agent. */
  paths?: { configFile: string; unitFile: string }
}

/** Bytes in a form for people. */
function gib(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`
}

/** Says which disks are taken and which are not. */
function describeDisks(input: InstallInput): void {
  for (const disk of input.sourceProperties.disks) {
    const boot = disk.isBootDisk ? ', boot disk' : ''
    if (disk.excludedBecause === undefined)
      input.say(`  ${disk.deviceName} (${gib(disk.sizeBytes)}${boot}) will be replicated`)
    else input.say(`  ${disk.deviceName} (${gib(disk.sizeBytes)}) is left out: ${disk.excludedBecause}`)
  }
}

/**
 * Enrols. A machine that is enrolled already and whose agent is running keeps what it has: only the program is replaced.
 */
async function enrolOrKeep(input: InstallInput): Promise<Identity> {
  const known = await input.files.readIdentity().catch((error: unknown) => {
    input.say(`  The earlier enrolment cannot be used: ${errorMessage(error)}`)
    return undefined
  })
  try {
    return await enrol(input)
  } catch (error) {
    const isConflict =
      error instanceof Error && error.cause instanceof ControlError && error.cause.status === 409
    const isUsable =
      known !== undefined &&
      known.gatewayUrl === input.gatewayUrl &&
      !isExpired(known.certificatePem, input.nowMs())
    if (!isConflict || !isUsable || known === undefined) throw error
    input.say(
      `  This server is enrolled already as ${known.sourceServerId}; it stays so, and the agent is replaced`,
    )
    return known
  }
}

/**
 * Installs. Doing it again replaces program, configuration and unit.
 * @throws PermanentError with what to do; nothing is started then.
 */
export async function install(input: InstallInput): Promise<Identity> {
  if (!input.isRoot) throw new PermanentError('Cannot install without root; run it with sudo')
  const paths = input.paths ?? layout
  if (input.isTracingFromBoot === true) await checkBootTrace({ run: input.run, files: machineFiles })
  input.say('Disks of this server:')
  describeDisks(input)
  const proxy = proxyName(input.proxy ?? {})
  const way =
    proxy === undefined ? '' : ` by way of the proxy ${proxy}; blocks go straight to the replication server`
  input.say(`Enrolling with ${input.gatewayUrl}${way}`)
  await input.files.prepare()
  const identity = await enrolOrKeep(input)
  await mkdir(dirname(paths.configFile), { recursive: true, mode: 0o755 })
  const config = {
    gatewayUrl: input.gatewayUrl,
    ...(input.devices === undefined ? {} : { devices: input.devices }),
    ...(input.tags === undefined ? {} : { tags: input.tags }),
    ...(input.userProvidedId === undefined ? {} : { userProvidedId: input.userProvidedId }),
    ...(proxy === undefined ? {} : { proxy: input.proxy }),
    ...(input.isTracingFromBoot === true ? { traceFromBoot: true } : {}),
    stateDir: input.files.directory,
  }
  await writeAtomically(
    paths.configFile,
    `${JSON.stringify(config, null, 2)}\n`,
    proxy === undefined ? 0o644 : 0o600,
  )
  if (input.executable !== undefined) await placeProgram(input.executable, input.program)
  await writeFile(paths.unitFile, unitText(input.program), { mode: 0o644 })
  await changeBoot(input)
  await startService(input)
  input.say(
    `Installed. This is source server ${identity.sourceServerId}; its disks are being copied while it keeps working.`,
  )
  input.say(
    `  Progress: the dashboard.  Log: journalctl -u rehost-agent -f.  Remove: ${layout.program} uninstall`,
  )
  return identity
}

/** Whether the kernel traces from its start on is as this installation says it. */
async function changeBoot({ run, program, say, isTracingFromBoot }: InstallInput): Promise<void> {
  try {
    if (isTracingFromBoot === true)
      await addBootTrace({ run, files: machineFiles, program, ringKb: await defaultRingKb(), say })
    else if ((await machineFiles.realPath(bootPaths.grubScript)) !== undefined)
      await run('sh', ['-c', bootTraceRemovalCommand()], longestGrubMs)
  } catch (error) {
    throw new PermanentError(
      `Cannot change how GRUB starts the kernel: ${errorMessage(error)}; mend that and install again`,
      { cause: error },
    )
  }
}

async function startService({ run }: InstallInput): Promise<void> {
  try {
    // Reads the unit anew, too.
    await run('systemctl', ['enable', serviceName])
    await run('systemctl', ['restart', serviceName])
  } catch (error) {
    throw new PermanentError(
      `Cannot start the service ${serviceName}; see journalctl -u rehost-agent and systemctl status rehost-agent`,
      { cause: error },
    )
  }
}
