import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { childEnvironment, childSpecs } from '../../../bin/supervisor/children.ts'
import { readSupervisorConfig } from '../../../bin/supervisor/config.ts'

const config = readSupervisorConfig({})
const inherited = { AWS_PROFILE: 'work', AWS_SESSION_TOKEN: 'token', AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE' }

describe('childEnvironment()', () => {
  it('makes up a key for the embedded store at each start, and leaves the usual credentials to what else is in a cloud', () => {
    const own = { ...config, isStoreExternal: false }
    const [one, other] = [childEnvironment(own, inherited, '/s'), childEnvironment(own, inherited, '/s')]
    expect(one).toMatchObject({
      AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${config.dynamodbPort}`,
      REHOST_STORE_ACCESS_KEY_ID: expect.stringMatching(/^[0-9a-f]{64}$/),
      REHOST_STORE_SECRET_ACCESS_KEY: expect.stringMatching(/^[0-9a-f]{64}$/),
      ...inherited,
    })
    const name = 'REHOST_STORE_ACCESS_KEY_ID'
    expect(one[name]).not.toBe(other[name])
    expect(one[name]).not.toBe(one['REHOST_STORE_SECRET_ACCESS_KEY'])
  })

  it("leaves the credentials of somebody else's store alone", () => {
    const left = { ...inherited, REHOST_STORE_ACCESS_KEY_ID: 'of another start' }
    expect(childEnvironment({ ...config, isStoreExternal: true }, left, '/s')).toMatchObject({
      ...inherited,
      REHOST_STORE_ACCESS_KEY_ID: undefined,
      REHOST_STORE_SECRET_ACCESS_KEY: undefined,
    })
  })
})

describe('childSpecs()', () => {
  it('gives secrets to the processes that need them, and to no other', () => {
    const names = [
      'REHOST_ADMIN_PASSWORD',
      'REHOST_SECRET_ACCESS_KEY',
      'REHOST_SEALING_KEY',
      'REHOST_API_TOKEN',
      'REHOST_STORE_SECRET_ACCESS_KEY',
      'AWS_SECRET_ACCESS_KEY',
      'AWS_SESSION_TOKEN',
    ]
    const ofStores = names.slice(-3)
    const environment = Object.fromEntries([...names, 'PATH'].map((name) => [name, 'told']))
    const specs = childSpecs({ ...config, isStoreExternal: false }, '/root', environment, '/s')
    const given = specs.map(({ name, environment: own }) => [name, Object.keys(own)])
    expect(given).toEqual([
      ['redis', ['PATH']],
      ['dynamodb', ['PATH']],
      [
        'gateway',
        ['REHOST_ADMIN_PASSWORD', 'REHOST_SECRET_ACCESS_KEY', 'REHOST_SEALING_KEY', ...ofStores, 'PATH'],
      ],
      ['workers', ['REHOST_SEALING_KEY', ...ofStores, 'PATH']],
    ])
  })

  it('starts the gateway, and no other process, with a heap that may double, which Node.js has an option for', async () => {
    const specs = childSpecs({ ...config, isStoreExternal: false }, '/root', {}, '/s')
    const options = specs.map(({ name, args }) => [
      name,
      args.filter((argument) => argument.includes('heap')),
    ])
    const option = '--heap-growing-percent=100'
    expect(options).toEqual([
      ['redis', []],
      ['dynamodb', []],
      ['gateway', [option]],
      ['workers', []],
    ])
    // An unknown option would end it with an exit code.
    expect((await promisify(execFile)(process.execPath, [option, '--print', '6 * 7'])).stdout).toBe('42\n')
  })
})
