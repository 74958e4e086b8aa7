/**
 * What a provider hands to the registry: its name, how its settings are checked, how they are shown, and how it is made.
 * @module
 */
import type { z } from 'zod'
import { InvalidInputError } from '../domain/errors.ts'
import type { CloudProvider } from './provider.ts'

/**
 * Every setting a provider may ask for. The process that owns the environment fills it in; a provider reads nothing by itself and
 * takes only the fields its own schema names.
 */
export interface CloudSettings {
  /** Folder for everything Rehost keeps on this host; the provider uses the folder `cloud` in it. */
  dataDir: string
  /** Address on which replication servers on this host listen. */
  listenHost: string
  /** Address at which agents reach this host. */
  publicHost: string
  /** TCP port of the replication server; 0 takes any free one, so that several fit on one host. */
  replicationPort: number
  /** Where replication servers report telemetry. Secret: it may carry a password. */
  redisUrl: string
  /** Program and arguments of a replication server. Default: this Node and `replicator/main.ts`. */
  replicatorCommand?: readonly string[]
  /** Where Node keeps what it has compiled, see its variable NODE_COMPILE_CACHE. */
  compileCacheDir?: string | undefined
  /** Folders, separated by colons, in which tools are looked for. Default: the usual ones of a Linux system. */
  toolPath?: string | undefined
  /** `tcg` emulates machines on this host in software; `auto`, the default, uses KVM where a trial shows that it works. */
  accelerator?: 'auto' | 'tcg' | undefined
  /** Bytes that must stay free in `dataDir` when something is made there. Default: 256 MiB. */
  minFreeBytes?: number
}

/** One entry of the registry. */
export interface ProviderFactory {
  readonly name: string
  /** @throws InvalidInputError naming the first setting that is missing or wrong. Touches no disk and no network. */
  create(settings: CloudSettings): CloudProvider
  /** The settings in use, defaults filled in and secrets removed, for logs and the dashboard. @throws InvalidInputError as `create`. */
  describe(settings: CloudSettings): Record<string, unknown>
}

/** What a provider's author writes. */
export interface ProviderDefinition<Config extends object> {
  name: string
  schema: z.ZodType<Config>
  /** The settings for people to see, secrets removed. */
  show(config: Config): Record<string, unknown>
  make(config: Config): CloudProvider
}

/** Turns a definition into a registry entry, so that checking and hiding are done in one way for all providers. */
export function defineProvider<Config extends object>(
  definition: ProviderDefinition<Config>,
): ProviderFactory {
  return {
    name: definition.name,
    create: (settings) => definition.make(parse(definition, settings)),
    describe: (settings) => definition.show(parse(definition, settings)),
  }
}

function parse<Config extends object>(
  definition: ProviderDefinition<Config>,
  settings: CloudSettings,
): Config {
  const result = definition.schema.safeParse(settings)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const field = issue?.path.join('.') ?? ''
  const reasons = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
  throw new InvalidInputError(field, `Cannot set up the ${definition.name} cloud: ${reasons}`)
}

/** A URL with user name and password replaced, or a placeholder when it is no URL. */
export function withoutCredentials(url: string): string {
  if (!URL.canParse(url)) return '(hidden)'
  const parsed = new URL(url)
  if (parsed.username !== '') parsed.username = 'hidden'
  if (parsed.password !== '') parsed.password = 'hidden'
  parsed.search = ''
  return parsed.href
}
