/**
 * What the agent is told: command line, configuration file and environment, read once and checked by name.
 * @module
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import * as z from 'zod'
import { errorMessage, InvalidInputError } from '../domain/errors.ts'
import { isId } from '../domain/ids.ts'
import { splitInstallationToken } from '../domain/installation_token.ts'
import { defaultHashThreads, mostHashThreads } from './disk/hash_threads.ts'
import type { ProxySettings } from './proxy.ts'
import { layout } from './install/layout.ts'
import { proxyOf } from './proxy.ts'

/** The agent's commands. `seal` is for systemd alone, at the end of a shutdown, and not in the help. */
export const commands = ['run', 'install', 'uninstall', 'inventory', 'version', 'help', 'seal'] as const
/** One of them. */
export type Command = (typeof commands)[number]

/** Everything the agent is told. */
export interface AgentConfig {
  command: Command
  gatewayUrl: string | undefined
  caFile: string | undefined
  token: string | undefined
  devices: string[] | undefined
  tags: Record<string, string> | undefined
  userProvidedId: string | undefined
  stateDirectory: string
  /** Threads that read and hash for comparisons: how many processors those may take. */
  hashThreads: number
  /** Blocks go as they are. Not for operators, for whom the agent finds out what is faster: the benchmark measures by it whether that is so. */
  isCompressionOff: boolean
  /** A clean reboot needs no comparison: the kernel traces from its start on, and a shutdown seals how the copies stand. */
  isTracingFromBoot: boolean
  /** How the machine goes down, for `seal`. */
  way: string
  isJson: boolean
  isRoot: boolean
  /** Between this machine and the gateway. */
  proxy: ProxySettings
}

/** Help, for people. */
export const helpText = `Usage: rehost-agent <command> [options]

Commands
  run                  replicate this server's disks; needs an enrolment, or --token and --ca-file
  install              enrol this server and install the service (run by install.sh)
  uninstall            remove service, program, configuration and state
  inventory [--json]   show what the agent sees of this machine
  version              show the agent's version

Options
  --gateway-url URL        https://host:port of the gateway's agent port
  --ca-file FILE           certificate of the CA that the gateway must have
  --token TOKEN            installation token from the add-server page
  --devices A,B            exactly these devices or disk images; default: all local disks
  --tags K=V               a tag of the server; may be given several times
  --user-provided-id ID    your own name for the server
  --state-dir DIR          certificate and key; default /var/lib/rehost, for users other than root ~/.local/state/rehost
  --hash-threads N         processors that comparing disks may take, 1 to ${mostHashThreads}; default ${defaultHashThreads}, at low priority
  --trace-from-boot        for install: a clean reboot needs no comparison of the disks; changes the kernel's command line, which
                           --no-trace-from-boot takes back
  --config FILE            default ${layout.configFile}
`

const fileSchema = z.strictObject({
  gatewayUrl: z.string().optional(),
  caFile: z.string().optional(),
  devices: z.array(z.string()).min(1).max(60).optional(),
  tags: z.record(z.string(), z.string()).optional(),
  userProvidedId: z.string().optional(),
  stateDir: z.string().optional(),
  hashThreads: z.int().min(1).max(mostHashThreads).optional(),
  traceFromBoot: z.boolean().optional(),
  proxy: z.object({ HTTPS_PROXY: z.string().optional(), NO_PROXY: z.string().optional() }).optional(),
})

/** What reading the configuration needs of the process. */
export interface ConfigInput {
  argv: readonly string[]
  environment: Readonly<Record<string, string | undefined>>
  isRoot: boolean
}

/** The configuration file's content; nothing when there is none and none was named. */
function readConfigFile(named: string | undefined): z.infer<typeof fileSchema> {
  const path = named ?? layout.configFile
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (isMissing && named === undefined) return {}
    throw new InvalidInputError('config', `Cannot read the configuration file ${path}`, { cause: error })
  }
  try {
    return fileSchema.parse(JSON.parse(text))
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : errorMessage(error)
    throw new InvalidInputError('config', `Cannot use the configuration file ${path}: ${reason}`)
  }
}

/** `K=V` as given several times. */
function parseTags(given: readonly string[] | undefined): Record<string, string> | undefined {
  if (given === undefined) return undefined
  const tags: Record<string, string> = {}
  for (const text of given.flatMap((value) => value.split(','))) {
    const [key, ...rest] = text.split('=')
    if (
      key === undefined ||
      key === '' ||
      rest.length === 0 ||
      key.length > 128 ||
      rest.join('=').length > 256
    ) {
      throw new InvalidInputError(
        'tags',
        `Cannot read the tag "${text}": write --tags KEY=VALUE, the key up to 128, the value up to 256 characters`,
      )
    }
    tags[key] = rest.join('=')
  }
  return tags
}

/** A gateway's address: HTTPS, host and port, nothing more. */
function parseGatewayUrl(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== 'https:' || url.pathname !== '/' || url.search !== '' || url.username !== '') {
    throw new InvalidInputError(
      'gateway-url',
      `Cannot use "${text}" as --gateway-url: write https://HOST:PORT`,
    )
  }
  return url.origin
}

function parseDevices(text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined
  const devices = text.split(',').filter((name) => name !== '')
  if (devices.length === 0)
    throw new InvalidInputError(
      'devices',
      'Cannot use --devices without a device: write --devices /dev/sda,/dev/sdb',
    )
  return devices
}

function parseCompression(text: string | undefined): boolean {
  if (text === undefined || text === 'auto' || text === 'off') return text === 'off'
  throw new InvalidInputError('compression', `Cannot use "${text}" as --compression: write auto or off`)
}

function parseHashThreads(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= mostHashThreads) return count
  throw new InvalidInputError(
    'hash-threads',
    `Cannot use "${text}" as --hash-threads: write a whole number from 1 to ${mostHashThreads}`,
  )
}

/** The installation token; what it is stays out of the message, as it may be one with a slip. */
function parseToken(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const { tokenId, secret } = splitInstallationToken(text)
  if (isId('token', tokenId) && secret !== '') return text
  throw new InvalidInputError(
    'token',
    'What --token was given is no installation token, which begins with tok- and has one dot: copy the whole command from the add-server page',
  )
}

/** Options of the command line. */
function parseCommandLine(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        'gateway-url': { type: 'string' },
        'ca-file': { type: 'string' },
        token: { type: 'string' },
        devices: { type: 'string' },
        tags: { type: 'string', multiple: true },
        'user-provided-id': { type: 'string' },
        'state-dir': { type: 'string' },
        'hash-threads': { type: 'string' },
        compression: { type: 'string' },
        'trace-from-boot': { type: 'boolean' },
        'no-trace-from-boot': { type: 'boolean' },
        at: { type: 'string' },
        config: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new InvalidInputError('arguments', `${errorMessage(error)}; see rehost-agent help`)
  }
}

function parseCommand(
  positionals: readonly string[],
  values: { help?: boolean; version?: boolean },
): Command {
  if (values.help === true) return 'help'
  if (values.version === true) return 'version'
  const [name = 'help', extra] = positionals
  const command = commands.find((candidate) => candidate === name)
  const told = commands.filter((known) => known !== 'seal')
  if (command === undefined)
    throw new InvalidInputError('command', `Unknown command "${name}": there are ${told.join(', ')}`)
  if (extra !== undefined)
    throw new InvalidInputError(
      'arguments',
      `Cannot understand "${extra}" after ${command}; see rehost-agent help`,
    )
  return command
}

/** Default place of the state. */
function defaultStateDirectory(input: ConfigInput): string {
  if (input.isRoot) return layout.stateFolder
  const { XDG_STATE_HOME, HOME } = input.environment
  return join(XDG_STATE_HOME ?? join(HOME ?? '/tmp', '.local/state'), 'rehost')
}

/**
 * Everything the agent is told. The command line comes before the file.
 * @throws InvalidInputError naming the bad option, file or variable.
 */
export function readConfig(input: ConfigInput): AgentConfig {
  const { values, positionals } = parseCommandLine(input.argv)
  const command = parseCommand(positionals, {
    ...(values.help === undefined ? {} : { help: values.help }),
    ...(values.version === undefined ? {} : { version: values.version }),
  })
  const needsNoFile = command === 'help' || command === 'version'
  const file = needsNoFile ? {} : readConfigFile(values.config)
  const fromEnvironment = proxyOf(input.environment)
  return {
    command,
    gatewayUrl: parseGatewayUrl(values['gateway-url'] ?? file.gatewayUrl),
    caFile: values['ca-file'] ?? file.caFile,
    token: parseToken(values.token),
    devices: parseDevices(values.devices) ?? file.devices,
    tags: parseTags(values.tags) ?? file.tags,
    userProvidedId: values['user-provided-id'] ?? file.userProvidedId,
    stateDirectory: resolve(values['state-dir'] ?? file.stateDir ?? defaultStateDirectory(input)),
    hashThreads: parseHashThreads(values['hash-threads']) ?? file.hashThreads ?? defaultHashThreads,
    isCompressionOff: parseCompression(values.compression),
    isTracingFromBoot:
      values['no-trace-from-boot'] !== true && (values['trace-from-boot'] ?? file.traceFromBoot ?? false),
    way: values.at ?? '',
    isJson: values.json ?? false,
    isRoot: input.isRoot,
    proxy: fromEnvironment.HTTPS_PROXY === undefined ? proxyOf(file.proxy ?? {}) : fromEnvironment,
  }
}
