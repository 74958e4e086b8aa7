import { describe, expect, it } from 'vitest'
import { childEnvironment } from '../../../bin/supervisor/children.ts'
import { readSupervisorConfig } from '../../../bin/supervisor/config.ts'

const config = readSupervisorConfig({})
const inherited = { AWS_PROFILE: 'work', AWS_SESSION_TOKEN: 'token', AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE' }

describe('childEnvironment()', () => {
  it('makes up a key for the embedded store at each start, and lets nothing else stand in for it', () => {
    const own = { ...config, isStoreExternal: false }
    const [one, other] = [childEnvironment(own, inherited, '/s'), childEnvironment(own, inherited, '/s')]
    expect(one).toMatchObject({
      AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${config.dynamodbPort}`,
      AWS_ACCESS_KEY_ID: expect.stringMatching(/^[0-9a-f]{64}$/),
      AWS_SECRET_ACCESS_KEY: expect.stringMatching(/^[0-9a-f]{64}$/),
      AWS_PROFILE: undefined,
      AWS_SESSION_TOKEN: undefined,
    })
    expect(one['AWS_ACCESS_KEY_ID']).not.toBe(other['AWS_ACCESS_KEY_ID'])
    expect(one['AWS_ACCESS_KEY_ID']).not.toBe(one['AWS_SECRET_ACCESS_KEY'])
  })

  it("leaves the credentials of somebody else's store alone", () => {
    expect(childEnvironment({ ...config, isStoreExternal: true }, inherited, '/s')).toMatchObject(inherited)
  })
})
