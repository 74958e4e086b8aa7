/**
 * The agent's program: reads what it is told, chooses implementations, runs a command.
 * @module
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname, networkInterfaces } from 'node:os'
import type { AgentConfig } from './config.ts'
import type { ControlClientOptions } from './control_client.ts'
import type { Host } from './inventory.ts'
import { errorMessage, InvalidInputError, isPermanent, unreachable } from '../domain/errors.ts'
import { AgentRunsError } from './agent_lock.ts'
import { systemClock } from './clock.ts'
import { helpText, readConfig } from './config.ts'
import { HttpsControlClient } from './control_client.ts'
import { ControlError } from './control_error.ts'
import { startHashThread } from './disk/start_hash_thread.ts'
import { install } from './install/install.ts'
import { layout } from './install/layout.ts'
import { uninstall } from './install/uninstall.ts'
import { takeInventory } from './inventory.ts'
import { machineFiles } from './inventory/system_files.ts'
import { LineLog } from './log.ts'
import { setNativeDirectories } from './native_directories.ts'
import { sealMachine } from './reboot/seal_machine.ts'
import { runAgent } from './run.ts'
import { runCommand } from './run_command.ts'
import { StateFiles } from './state_files.ts'
import { agentVersion } from './version.ts'

const host: Host = {
  files: machineFiles,
  hostname,
  addresses: networkInterfaces,
  nowMs: () => systemClock.nowMs(),
}

/** Whether this runs as the one file that source servers get. Asked for at run time: not every runtime has such files. */
function isSingleExecutable(): boolean {
  return process.getBuiltinModule('node:sea')?.isSea() ?? false
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** The CA's certificate in a file named on the command line. */
async function readCertificate(path: string): Promise<string> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new InvalidInputError('ca-file', `Cannot read ${path}`, { cause: error })
  }
  try {
    void new X509Certificate(text)
  } catch (error) {
    // TLS would blame the gateway for it.
    throw new InvalidInputError(
      'ca-file',
      `${path} holds no certificate (PEM, -----BEGIN CERTIFICATE-----): give the CA certificate of the gateway, ca.crt.pem in its data folder`,
      { cause: error },
    )
  }
  return text
}

async function runCommandRun(config: AgentConfig): Promise<number> {
  const controller = new AbortController()
  const stop = () => controller.abort(new Error('The agent was told to stop'))
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  const log = new LineLog(process.stdout, () => systemClock.nowMs())
  const context = {
    config,
    files: new StateFiles(config.stateDirectory),
    host,
    clock: systemClock,
    log,
    random: Math.random,
    run: runCommand,
    startHashThread,
    isService: process.env['INVOCATION_ID'] !== undefined,
    newClient: (input: Pick<ControlClientOptions, 'gatewayUrl' | 'caPem' | 'identity' | 'signal'>) =>
      new HttpsControlClient({
        ...input,
        proxy: config.proxy,
        nowMs: () => systemClock.nowMs(),
      }),
    readText: (path: string) => readFile(path, 'utf8'),
    readCertificate,
  }
  try {
    return await runAgent(context, controller.signal)
  } catch (error) {
    if (!controller.signal.aborted) throw error
    return 0
  }
}

async function runCommandInstall(config: AgentConfig): Promise<number> {
  const { gatewayUrl, caFile, token, devices, tags, userProvidedId } = config
  if (gatewayUrl === undefined || caFile === undefined || token === undefined) {
    throw new InvalidInputError(
      'arguments',
      'install needs --gateway-url, --ca-file and --token; use the command from the add-server page',
    )
  }
  const caPem = await readCertificate(caFile)
  const client = new HttpsControlClient({
    gatewayUrl,
    caPem,
    proxy: config.proxy,
    nowMs: () => systemClock.nowMs(),
  })
  await install({
    gatewayUrl,
    caPem,
    token,
    sourceProperties: await takeInventory(host, devices === undefined ? {} : { devices }),
    ...(devices === undefined ? {} : { devices }),
    ...(tags === undefined ? {} : { tags }),
    ...(userProvidedId === undefined ? {} : { userProvidedId }),
    client,
    files: new StateFiles(config.stateDirectory),
    run: runCommand,
    nowMs: () => systemClock.nowMs(),
    proxy: config.proxy,
    isRoot: config.isRoot,
    isTracingFromBoot: config.isTracingFromBoot,
    ...(isSingleExecutable()
      ? { program: layout.program, executable: process.execPath }
      : { program: `${process.execPath} ${process.argv[1] ?? ''}` }),
    say,
  })
  client.close()
  return 0
}

/** Removes the agent and tells the gateway, if it can be told: the operator at this machine has the last word. */
async function runCommandUninstall(config: AgentConfig): Promise<number> {
  const identity = await new StateFiles(config.stateDirectory).readIdentity().catch((error: unknown) => {
    say(`The enrolment cannot be read: ${errorMessage(error)}`)
    return undefined
  })
  const { stateDirectory, isRoot } = config
  await uninstall({ run: runCommand, stateDirectory, isService: false, isRoot })
  say('The agent is removed from this machine')
  if (identity === undefined) return 0
  const client = new HttpsControlClient({
    gatewayUrl: identity.gatewayUrl,
    caPem: identity.caPem,
    identity: () => identity,
    proxy: config.proxy,
    nowMs: () => systemClock.nowMs(),
  })
  await client.uninstalled().catch((error: unknown) => {
    say(`The gateway could not be told; disconnect the server in the dashboard (${errorMessage(error)})`)
  })
  return 0
}

async function showInventory(config: AgentConfig): Promise<number> {
  const inventory = await takeInventory(host, config.devices === undefined ? {} : { devices: config.devices })
  if (config.isJson) {
    say(JSON.stringify(inventory, null, 2))
    return 0
  }
  const {
    identificationHints: hints,
    os,
    cpus,
    ramBytes,
    firmware,
    networkInterfaces: cards,
    disks,
  } = inventory
  say(`${hints.fqdn}, ${os.fullString}, ${firmware}`)
  for (const { cores, modelName } of cpus) say(`CPU      ${modelName}, ${cores} cores`)
  say(`Memory   ${(ramBytes / 2 ** 30).toFixed(1)} GiB`)
  for (const { name, macAddress, ips, isPrimary } of cards)
    say(`Network  ${name} ${macAddress} ${ips.join(' ')}${isPrimary ? ' (primary)' : ''}`)
  for (const disk of disks) {
    const what =
      disk.excludedBecause === undefined
        ? disk.isBootDisk
          ? 'boot disk'
          : 'taken'
        : `left out: ${disk.excludedBecause}`
    say(`Disk     ${disk.deviceName} ${(disk.sizeBytes / 2 ** 30).toFixed(1)} GiB, ${what}`)
  }
  return 0
}

/** What systemd's shutdown starts last of all. */
async function runCommandSeal(config: AgentConfig): Promise<number> {
  const { way, stateDirectory } = config
  const disks = await sealMachine({ way, stateDirectory, files: machineFiles, run: runCommand })
  say(`rehost-agent: the copies of ${disks} disks need no comparison after this reboot`)
  return 0
}

function runNamed(config: AgentConfig): Promise<number> | number {
  setNativeDirectories([config.stateDirectory])
  switch (config.command) {
    case 'run':
      return runCommandRun(config)
    case 'install':
      return runCommandInstall(config)
    case 'uninstall':
      return runCommandUninstall(config)
    case 'inventory':
      return showInventory(config)
    case 'seal':
      return runCommandSeal(config)
    case 'version':
      say(`rehost-agent ${agentVersion}`)
      return 0
    case 'help':
      process.stdout.write(helpText)
      return 0
    default:
      return unreachable(config.command)
  }
}

/** The exit code of what the command line asks for. Operators' errors are told in a sentence, others with their stack. */
async function main(): Promise<number> {
  try {
    const isRoot = process.getuid?.() === 0
    return await runNamed(readConfig({ argv: process.argv.slice(2), environment: process.env, isRoot }))
  } catch (error) {
    process.stderr.write(`rehost-agent: ${errorMessage(error)}\n`)
    const isTold = isPermanent(error) || error instanceof ControlError || error instanceof AgentRunsError
    if (!isTold && error instanceof Error && error.stack !== undefined)
      process.stderr.write(`${error.stack}\n`)
    return isPermanent(error) ? 2 : 1
  }
}

void main().then((code) => {
  // Connections kept open must not keep the process.
  process.exit(code)
})
