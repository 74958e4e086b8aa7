import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TestGateway } from './support.ts'
import { fileStream } from '../../../gateway/file_stream.ts'
import { problemOf } from './callers.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

describe('downloads', () => {
  it('say clearly that the agent has not been built', async () => {
    for (const path of [
      '/install.sh',
      '/agent/rehost-agent-linux-x64.gz',
      '/agent/rehost-agent-linux-x64.gz.sha256',
    ]) {
      const response = await gateway.agentApp.request(path)
      expect(response.status).toBe(503)
      expect((await problemOf(response)).detail).toContain('Run npm run build:agent')
    }
  })

  it('give the file, its checksum and the script that knows both', async () => {
    const body = Buffer.from('a gzipped agent')
    const digest = createHash('sha256').update(body).digest('hex')
    await mkdir(join(gateway.folder, 'agent'))
    await writeFile(join(gateway.folder, 'agent/rehost-agent-linux-x64.gz'), body)
    await writeFile(
      join(gateway.folder, 'agent/rehost-agent-linux-x64.gz.sha256'),
      `${digest}  rehost-agent-linux-x64.gz\n`,
    )
    const file = await gateway.agentApp.request('/agent/rehost-agent-linux-x64.gz')
    expect(file.headers.get('content-length')).toBe(String(body.length))
    expect(Buffer.from(await file.arrayBuffer())).toEqual(body)
    const script = await (await gateway.agentApp.request('/install.sh')).text()
    expect(script).toContain(digest)
    expect(script).toContain(gateway.services.installation.pin)
    expect(
      await (await gateway.agentApp.request('/agent/rehost-agent-linux-x64.gz.sha256')).text(),
    ).toContain(digest)
  })
})

describe('answers with files', () => {
  const openFiles = async () => (await readdir('/proc/self/fd')).length

  it('open nothing for a HEAD request, which nobody reads or cancels, and close what is broken off', async () => {
    await mkdir(join(gateway.folder, 'agent'))
    const name = 'rehost-agent-linux-x64.gz'
    await writeFile(join(gateway.folder, 'agent', name), Buffer.alloc(2_000_000))
    const before = await openFiles()
    for (let call = 0; call < 50; call++)
      expect((await gateway.agentApp.request(`/agent/${name}`, { method: 'HEAD' })).status).toBe(200)
    for (let call = 0; call < 50; call++) {
      const reader = (await gateway.agentApp.request(`/agent/${name}`)).body?.getReader()
      await reader?.read()
      await reader?.cancel()
    }
    expect(await openFiles()).toBeLessThan(before + 10)
  })

  it('are whole, whatever their size', async () => {
    for (const size of [0, 1, 262_144, 700_001]) {
      const body = randomBytes(size)
      const path = join(gateway.folder, `file-${size}`)
      await writeFile(path, body)
      expect(Buffer.from(await new Response(fileStream(path, size)).arrayBuffer()).equals(body)).toBe(true)
    }
  })

  it('fail when the file has become shorter, instead of ending early', async () => {
    const path = join(gateway.folder, 'short')
    await writeFile(path, 'abc')
    await expect(new Response(fileStream(path, 10)).text()).rejects.toThrow(/became shorter/)
  })
})

describe('bad requests', () => {
  it.each([
    ['no JSON', '{', 'application/json', 400],
    ['another type', 'a=b', 'application/x-www-form-urlencoded', 415],
    ['a huge body', `"${'x'.repeat(3_000_000)}"`, 'application/json', 413],
  ])('%s', async (_name, body, contentType, status) => {
    const response = await gateway.agentApp.request('/agent/v1/enrol', {
      method: 'POST',
      body,
      headers: { 'content-type': contentType, 'content-length': String(body.length) },
    })
    expect(response.status).toBe(status)
    await problemOf(response)
  })

  it('unknown paths', async () => {
    expect((await problemOf(await gateway.agentApp.request('/nothing'))).detail).toBe(
      'There is nothing at /nothing on the agent port',
    )
  })
})
