import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readConfig } from '../../../agent/config.ts'

const folder = mkdtempSync(join(tmpdir(), 'rehost-config-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = (text: string): string => {
  const path = join(folder, `${Math.random()}.json`)
  writeFileSync(path, text)
  return path
}
const read = (argv: string[], environment: Record<string, string> = {}, isRoot = true) =>
  readConfig({ argv, environment, isRoot })
const empty = file('{}')

describe('readConfig()', () => {
  it('reads the command line', () => {
    const config = read([
      'install',
      '--gateway-url',
      'https://10.0.0.1:8443',
      '--ca-file',
      '/ca',
      '--token',
      'tok-0123456789abcdef0.secret',
      '--devices',
      '/dev/sda,/dev/sdb',
      '--tags',
      'a=b',
      '--tags',
      'c=d=e',
      '--user-provided-id',
      'x',
      '--config',
      empty,
    ])
    expect(config).toMatchObject({
      command: 'install',
      gatewayUrl: 'https://10.0.0.1:8443',
      devices: ['/dev/sda', '/dev/sdb'],
      tags: { a: 'b', c: 'd=e' },
      stateDirectory: '/var/lib/rehost',
    })
  })

  it('refuses a token that is none, without repeating it', () => {
    for (const text of [
      'abc',
      'tok-0123456789abcdef0',
      'tok-0123456789abcdef0.',
      'secret.tok-0123456789abcdef0',
    ]) {
      const reading = () => read(['run', '--config', empty, '--token', text])
      expect(reading, text).toThrow('copy the whole command from the add-server page')
      expect(reading, text).not.toThrow(text)
    }
  })

  it('switches compression off only when told so', () => {
    const run = ['run', '--config', empty]
    expect(read(run).isCompressionOff).toBe(false)
    expect(read([...run, '--compression', 'auto']).isCompressionOff).toBe(false)
    expect(read([...run, '--compression', 'off']).isCompressionOff).toBe(true)
    expect(() => read([...run, '--compression', 'zstd'])).toThrow(
      'Cannot use "zstd" as --compression: write auto or off',
    )
  })

  it('takes the file for what the command line does not say', () => {
    const path = file('{"gatewayUrl":"https://a:1","devices":["/x"],"stateDir":"/s"}')
    expect(read(['run', '--config', path, '--devices', '/y'])).toMatchObject({
      gatewayUrl: 'https://a:1',
      devices: ['/y'],
      stateDirectory: '/s',
    })
  })

  it('traces from boot as it was installed, until an installation says otherwise', () => {
    const path = file('{"gatewayUrl":"https://a:1","traceFromBoot":true}')
    const isTracing = (...options: string[]) =>
      read(['install', '--config', path, ...options]).isTracingFromBoot
    expect([isTracing(), isTracing('--no-trace-from-boot')]).toEqual([true, false])
    expect(read(['install', '--config', empty]).isTracingFromBoot).toBe(false)
    expect(read(['install', '--config', empty, '--trace-from-boot']).isTracingFromBoot).toBe(true)
  })

  it('keeps the state of other users than root in their home', () => {
    expect(read(['run', '--config', empty], { HOME: '/home/me' }, false).stateDirectory).toBe(
      '/home/me/.local/state/rehost',
    )
    expect(
      read(['run', '--config', empty], { HOME: '/home/me', XDG_STATE_HOME: '/x' }, false).stateDirectory,
    ).toBe('/x/rehost')
  })

  it('takes the proxy of the environment, and else that of the file', () => {
    const environment = { https_proxy: 'http://p:3128', NO_PROXY: 'localhost' }
    const proxy = { HTTPS_PROXY: 'http://p:3128', NO_PROXY: 'localhost' }
    expect(read(['run', '--config', empty], environment).proxy).toEqual(proxy)
    expect(read(['run', '--config', empty], { HTTPS_PROXY: 'p:3128' }).proxy).toEqual({
      HTTPS_PROXY: 'http://p:3128',
    })
    const path = file(JSON.stringify({ proxy }))
    expect(read(['run', '--config', path]).proxy).toEqual(proxy)
    expect(read(['run', '--config', path], { HTTPS_PROXY: 'http://q:1' }).proxy).toEqual({
      HTTPS_PROXY: 'http://q:1',
    })
    expect(read(['run', '--config', empty], { HTTPS_PROXY: '', NO_PROXY: '' }).proxy).toEqual({})
  })

  it('refuses a proxy that is none without repeating what may hold a password', () => {
    const environment = { HTTPS_PROXY: 'socks5://me:secret@p:1080' }
    expect(() => read(['run', '--config', empty], environment)).toThrow(
      /^Cannot use HTTPS_PROXY: write http:\/\/HOST:PORT$/,
    )
  })

  it.each([
    [['fly'], 'Unknown command "fly"'],
    [['run', 'more'], 'Cannot understand "more" after run'],
    [['run', '--colour'], "Unknown option '--colour'"],
    [['run', '--gateway-url', 'http://a', '--config', empty], 'Cannot use "http://a" as --gateway-url'],
    [['run', '--gateway-url', 'https://a/path', '--config', empty], 'write https://HOST:PORT'],
    [['run', '--tags', 'novalue', '--config', empty], 'Cannot read the tag "novalue"'],
    [['run', '--devices', ',', '--config', empty], 'Cannot use --devices without a device'],
    [['run', '--config', '/nowhere/agent.json'], 'Cannot read the configuration file /nowhere/agent.json'],
    [['run', '--config', file('{"colour":1}')], /Cannot use the configuration file .*colour/s],
    [['run', '--config', file('{')], 'Cannot use the configuration file'],
  ] as [string[], string | RegExp][])('refuses %j by name', (argv, message) => {
    expect(() => read(argv)).toThrow(message)
  })

  it('gives help and version without any file', () => {
    expect(read(['--help']).command).toBe('help')
    expect(read(['--version']).command).toBe('version')
    expect(read([]).command).toBe('help')
  })
})
