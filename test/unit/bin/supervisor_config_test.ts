import { describe, expect, it } from 'vitest'
import { readSupervisorConfig } from '../../../bin/supervisor/config.ts'

describe('readSupervisorConfig()', () => {
  const isExternal = (environment: Record<string, string>) =>
    readSupervisorConfig(environment).isStoreExternal

  it('keeps the embedded store for whoever merely uses AWS', () => {
    const ofAnyAwsUser = {
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'AKIAEXAMPLE',
      AWS_SECRET_ACCESS_KEY: 'secret',
      AWS_PROFILE: 'work',
    }
    expect(isExternal(ofAnyAwsUser)).toBe(false)
    expect(isExternal({ ...ofAnyAwsUser, REHOST_STORE: 'dynamodb' })).toBe(true)
  })

  it("takes somebody else's store where an endpoint is named, unless told otherwise", () => {
    const named = { AWS_ENDPOINT_URL_DYNAMODB: 'http://127.0.0.1:8000' }
    expect(isExternal(named)).toBe(true)
    expect(isExternal({ ...named, REHOST_STORE: 'embedded' })).toBe(false)
  })

  it('keeps its own store where the endpoint of all services is named, which may be Rehost itself', () => {
    const named = { AWS_ENDPOINT_URL: 'http://127.0.0.1:8080' }
    expect(isExternal(named)).toBe(false)
    expect(isExternal({ ...named, REHOST_STORE: 'dynamodb' })).toBe(true)
  })

  it('refuses a store that it does not know, by name', () => {
    expect(() => readSupervisorConfig({ REHOST_STORE: 'postgres' })).toThrow(/REHOST_STORE/)
  })

  it.each([
    [{ REHOST_CLOUD: 'azure' }, 'REHOST_CLOUD: there is no cloud azure; known are memory, qemu'],
    [{ REHOST_HTTP_PORT: '99999x' }, 'REHOST_HTTP_PORT: a port is a number from 1 to 65535'],
    [{ REHOST_AGENT_PORT: '70000' }, 'REHOST_AGENT_PORT: a port is a number from 1 to 65535'],
  ])('says what is wrong with %o before anything starts', (environment, words) => {
    expect(() => readSupervisorConfig(environment)).toThrow(words)
  })
})
