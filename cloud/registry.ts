/**
 * The only list of cloud providers. A new provider is one folder and one line here.
 * @module
 */
import { InvalidInputError } from '../domain/errors.ts'
import type { CloudSettings, ProviderFactory } from './factory.ts'
import { memoryFactory } from './memory/provider.ts'
import type { CloudProvider } from './provider.ts'
import { qemuFactory } from './qemu/provider.ts'

/** Providers by name. */
export interface ProviderRegistry {
  readonly names: readonly string[]
  /** @throws InvalidInputError for an unknown name or a wrong setting. */
  create(name: string, settings: CloudSettings): CloudProvider
  /** The settings `create` would use, secrets removed. @throws InvalidInputError as `create`. */
  describe(name: string, settings: CloudSettings): Record<string, unknown>
}

/** Builds a registry. @throws Error when two providers have the same name: a mistake of the programmer, found at start. */
export function createRegistry(factories: readonly ProviderFactory[]): ProviderRegistry {
  const byName = new Map<string, ProviderFactory>()
  for (const factory of factories) {
    if (byName.has(factory.name)) throw new Error(`Cannot register two clouds named ${factory.name}`)
    byName.set(factory.name, factory)
  }
  const names = [...byName.keys()].sort()
  const find = (name: string): ProviderFactory => {
    const factory = byName.get(name)
    if (factory !== undefined) return factory
    throw new InvalidInputError('cloud', `Cannot find a cloud named ${name}; known are ${names.join(', ')}`)
  }
  return {
    names,
    create: (name, settings) => find(name).create(settings),
    describe: (name, settings) => find(name).describe(settings),
  }
}

const registry = createRegistry([memoryFactory, qemuFactory])

/** Names that `REHOST_CLOUD` may have. */
export const providerNames: readonly string[] = registry.names

/** Makes the provider called `name`. Touches no disk and no network until it is used. @throws InvalidInputError. */
export function createProvider(name: string, settings: CloudSettings): CloudProvider {
  return registry.create(name, settings)
}

/** What `createProvider` would use, defaults filled in and secrets removed. @throws InvalidInputError. */
export function describeProvider(name: string, settings: CloudSettings): Record<string, unknown> {
  return registry.describe(name, settings)
}
