import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { findAccess } from '../../../bin/api_client.ts'
import { dashboardUrl, urlAuthority } from '../../../bin/reach.ts'

it('reaches a service that listens everywhere over loopback, and brackets IPv6', () => {
  const hosts = ['127.0.0.1', '0.0.0.0', '::', '::1', '192.168.1.5', 'fd00::5', 'rehost.example']
  expect(hosts.map((host) => dashboardUrl(host, 8080))).toEqual([
    'http://127.0.0.1:8080',
    'http://127.0.0.1:8080',
    'http://[::1]:8080',
    'http://[::1]:8080',
    'http://192.168.1.5:8080',
    'http://[fd00::5]:8080',
    'http://rehost.example:8080',
  ])
  expect(urlAuthority('fd00::5', 8443)).toBe('[fd00::5]:8443')
})

it('is where the command line asks', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'rehost-access-'))
  try {
    await writeFile(join(dataDir, 'cli-token'), 'rht_1\n')
    const own = { REHOST_DATA_DIR: dataDir, REHOST_HTTP_PORT: '9080' }
    expect(await findAccess({ ...own, REHOST_HTTP_HOST: '192.168.1.5' })).toEqual({
      baseUrl: 'http://192.168.1.5:9080',
      token: 'rht_1',
    })
    expect((await findAccess({ ...own, REHOST_HTTP_HOST: '::' })).baseUrl).toBe('http://[::1]:9080')
    expect((await findAccess(own)).baseUrl).toBe('http://127.0.0.1:9080')
    // Whoever is not answered there is told of the variable.
    expect(await findAccess({ REHOST_DATA_DIR: dataDir })).toEqual({
      baseUrl: 'http://127.0.0.1:8080',
      token: 'rht_1',
      isGuessed: true,
    })
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
})
