import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GatewayProcess } from '../../fixtures/gateway_process.ts'

let gateway: GatewayProcess

const preset = { REHOST_ACCESS_KEY_ID: 'AKIDEXAMPLE', REHOST_SECRET_ACCESS_KEY: 'a secret of the operator' }

beforeAll(async () => {
  gateway = await GatewayProcess.start(preset)
})

afterAll(() => gateway.stop())

describe('the gateway process', () => {
  it('leaves the first password and the token of the command line to its owner alone', async () => {
    const password = (await readFile(join(gateway.dataDir, 'first-sign-in'), 'utf8')).trim()
    for (const name of ['first-sign-in', 'cli-token', 'ca/ca.key.pem', 'sealing-key']) {
      expect((await stat(join(gateway.dataDir, name))).mode & 0o777).toBe(0o600)
    }
    const response = await fetch(`${gateway.url}/sign-in`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', origin: gateway.url },
      body: new URLSearchParams({ userName: 'admin', password }).toString(),
      redirect: 'manual',
    })
    expect(response.status).toBe(303)
    expect(gateway.output).not.toContain(password)
    expect(gateway.output).not.toContain(await gateway.cliToken())
  })

  it('makes the access key that the operator has chosen, and shows its secret nowhere', async () => {
    const store = gateway.dynamodb.store()
    const { accessKeyId, ...key } = (await store.get('accessKey', { id: 'AKIDEXAMPLE' }))?.value ?? {}
    await store.close()
    expect(key).toMatchObject({ role: 'admin', scopes: ['*'], status: 'ACTIVE' })
    expect(accessKeyId).toBe('AKIDEXAMPLE')
    const listed = JSON.stringify(await gateway.api('GET', '/access-keys'))
    expect(listed).toContain('AKIDEXAMPLE')
    for (const text of [JSON.stringify(key), listed, gateway.output])
      expect(text).not.toContain('a secret of the operator')
  })

  it('tells workers where agents reach it', async () => {
    const store = gateway.dynamodb.store()
    const setting = async (id: string) => (await store.get('setting', { id }))?.value.value
    expect(await setting('agent-url')).toBe(`https://127.0.0.1:${gateway.agentPort}`)
    expect(await setting('ca-certificate')).toContain('BEGIN CERTIFICATE')
    await store.close()
  })

  it.each([
    ['REHOST_HTTP_PORT', 'REHOST_AGENT_PORT'],
    ['REHOST_AGENT_PORT', 'REHOST_HTTP_PORT'],
  ])('ends with the name of the port and of %s when it is taken', async (variable, other) => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const { port } = blocker.address() as { port: number }
    const { execPath } = process
    const main = join(import.meta.dirname, '../../../gateway/main.ts')
    const environment = { ...gateway.environment, [variable]: String(port), [other]: '0' }
    const free = createServer()
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve))
    environment[other] = String((free.address() as { port: number }).port)
    await new Promise((resolve) => free.close(resolve))
    const failure = await promisify(execFile)(execPath, [main], { env: environment, timeout: 30_000 }).catch(
      (error: unknown) => error as { code: number; stderr: string },
    )
    expect(failure).toMatchObject({ code: 1 })
    expect(failure.stderr).toContain(
      `port ${port} on 127.0.0.1 is taken: stop what uses it, or set ${variable} to another port`,
    )
    await new Promise((resolve) => blocker.close(resolve))
  })

  it('refuses bad settings by name', async () => {
    const main = join(import.meta.dirname, '../../../gateway/main.ts')
    const environment = {
      ...gateway.environment,
      REHOST_HTTP_PORT: 'many',
      REDIS_URL: 'http://x',
      REHOST_ADMIN_PASSWORD: 'short',
    }
    const failure = await promisify(execFile)(process.execPath, [main], {
      env: environment,
      timeout: 30_000,
    }).catch((error: unknown) => error as { code: number; stderr: string })
    expect(failure).toMatchObject({ code: 1 })
    for (const name of ['REHOST_HTTP_PORT', 'REDIS_URL', 'REHOST_ADMIN_PASSWORD'])
      expect(failure.stderr).toContain(name)
    expect(failure.stderr).not.toContain('short')
  })

  it('serves the install command to a client that pins its key, and to no other key', async () => {
    const { installCommand } = await gateway.api<{ installCommand: string }>('POST', '/tokens', {})
    const pin = /'(sha256\/\/[^']+)'/.exec(installCommand)?.[1] ?? ''
    const curl = (key: string) =>
      promisify(execFile)(
        'curl',
        ['-sSk', '--pinnedpubkey', key, `https://127.0.0.1:${gateway.agentPort}/livez`],
        { timeout: 20_000 },
      )
    expect((await curl(pin)).stdout).toBe('ok\n')
    await expect(curl('sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')).rejects.toMatchObject({
      code: 90,
    })
  })
})
