/**
 * The list of clouds: names, settings checked by name, secrets kept.
 * @module
 */
import { describe, expect, test } from 'vitest'
import type { CloudSettings, ProviderFactory } from '../../../cloud/factory.ts'
import { MemoryCloud } from '../../../cloud/memory/cloud.ts'
import { MemoryProvider } from '../../../cloud/memory/provider.ts'
import { createProvider, createRegistry, describeProvider, providerNames } from '../../../cloud/registry.ts'
import { failing, type PlannedFailure } from '../../../cloud/wrappers/failing.ts'
import { InvalidInputError } from '../../../domain/errors.ts'
import { newId } from '../../../domain/ids.ts'

const settings: CloudSettings = {
  dataDir: '/nowhere/rehost',
  listenHost: '0.0.0.0',
  publicHost: '127.0.0.1',
  replicationPort: 1500,
  redisUrl: 'redis://worker:hunter2@127.0.0.1:6379/0?password=hunter2',
}

describe('registry', () => {
  test('createRegistry() refuses two clouds of one name', () => {
    const factory: ProviderFactory = {
      name: 'same',
      create: () => createProvider('memory', settings),
      describe: () => ({}),
    }
    expect(() => createRegistry([factory, factory])).toThrow('Cannot register two clouds named same')
  })

  test('createProvider() makes every cloud that is listed, touching nothing', () => {
    expect(providerNames).toEqual(['memory', 'qemu'])
    for (const name of providerNames) expect(createProvider(name, settings).name).toBe(name)
  })

  test('createProvider() names the clouds there are when asked for another', () => {
    expect(() => createProvider('azure', settings)).toThrow(
      'Cannot find a cloud named azure; known are memory, qemu',
    )
  })

  test('createProvider() refuses a bad setting by name and shows no secret', () => {
    const wrong = { ...settings, replicationPort: 70_000, listenHost: '' }
    let error: unknown
    try {
      createProvider('qemu', wrong)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(InvalidInputError)
    expect((error as InvalidInputError).field).toBe('listenHost')
    expect(String(error)).toMatch(/Cannot set up the qemu cloud: listenHost: .*; replicationPort: /)
    expect(String(error)).not.toContain('hunter2')
  })

  test('describeProvider() shows the settings in use without their secrets', () => {
    const shown = describeProvider('qemu', settings)
    expect(shown).toMatchObject({ dataDir: '/nowhere/rehost', replicationPort: 1500 })
    expect(shown['replicatorCommand']).toEqual([
      process.execPath,
      expect.stringMatching(/^--max-semi-space-size=/),
      expect.stringMatching(/^--initial-old-space-size=/),
      expect.stringMatching(/replicator\/main\.ts$/),
    ])
    expect(JSON.stringify(shown)).not.toContain('hunter2')
    expect(describeProvider('qemu', { ...settings, redisUrl: 'hunter2' })['redisUrl']).toBe('(hidden)')
    expect(describeProvider('qemu', { ...settings, redisUrl: 'unix:///run/redis.sock' })['redisUrl']).toBe(
      'unix:///run/redis.sock',
    )
  })
})

describe('failing', () => {
  test('failing() fails once before or after the effect, as planned', async () => {
    const cloud = new MemoryCloud()
    const config = { dataDir: '/nowhere/rehost', publicHost: '127.0.0.1', replicationPort: 1500 }
    const plan: PlannedFailure[] = [
      { operation: 'createReplicationServer', when: 'before', error: new Error('lost question') },
      { operation: 'createReplicationServer', when: 'after', error: new Error('lost answer') },
    ]
    const provider = failing(new MemoryProvider(config, cloud), plan)
    const enrolment = { gatewayUrl: 'https://127.0.0.1:8443', caPem: '', token: '' }
    const spec = { replicationServerId: newId('replicationServer'), enrolment, tags: {} }
    await expect(provider.createReplicationServer(spec)).rejects.toThrow('lost question')
    expect(cloud.replicationServers.size).toBe(0)
    await expect(provider.createReplicationServer(spec)).rejects.toThrow('lost answer')
    expect(cloud.replicationServers.size).toBe(1)
    expect((await provider.createReplicationServer(spec)).state).toBe('RUNNING')
    expect(plan).toEqual([])
    expect([provider.name, provider.capabilities.consoleText]).toEqual(['memory', true])
  })
})
