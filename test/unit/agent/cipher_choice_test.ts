import { createServer } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { CipherSuite } from '../../../agent/sync/cipher_choice.ts'
import { cipherTrial, fasterSuite } from '../../../agent/sync/cipher_choice.ts'
import { connectLink } from '../../../agent/sync/tls_link.ts'
import { replicatorServerName, replicatorUri } from '../../../wire/control_api.ts'
import { tlsVersionOptions } from '../../../wire/tls.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'

const aes = 'TLS_AES_256_GCM_SHA384'
const chacha = 'TLS_CHACHA20_POLY1305_SHA256'

describe('fasterSuite()', () => {
  const trialOf = (aesMs: number[], chachaMs: number[]) => (algorithm: string) =>
    (algorithm === 'aes-256-gcm' ? aesMs : chachaMs).shift() ?? Number.NaN

  it('takes ChaCha20 where AES is clearly slower, and AES everywhere else', () => {
    expect(fasterSuite(trialOf([1, 1, 1], [3, 3, 3]))).toBe(aes)
    expect(fasterSuite(trialOf([3, 3, 3], [2.9, 2.9, 2.9]))).toBe(aes)
    expect(fasterSuite(trialOf([3, 3, 3], [2, 2, 2]))).toBe(chacha)
  })

  it('is not misled by other work during a trial', () => {
    expect(fasterSuite(trialOf([90, 1, 1], [3, 3, 3]))).toBe(aes)
    expect(fasterSuite(trialOf([9, 9, 9], [3, 90, 90]))).toBe(chacha)
  })

  it('works with the ciphers of this platform', () => {
    let now = 0
    expect(fasterSuite(cipherTrial(() => (now += 1)))).toBe(aes)
  })
})

describe('connectLink()', () => {
  it.each<CipherSuite>([aes, chacha])('encrypts with %s when that was chosen', async (cipherSuite) => {
    const ca = await makeTestCa()
    const own = await ca.issue({ uri: replicatorUri('i-1'), dns: [replicatorServerName] })
    const agent = await ca.issue({ uri: 'rehost://source-server/s-1' })
    const server = createServer({ ...tlsVersionOptions, cert: own.certPem, key: own.keyPem })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const target = {
      replicationServerId: 'i-1',
      address: '127.0.0.1',
      port,
      caPem: ca.caPem,
      certificatePem: agent.certPem,
      keyPem: agent.keyPem,
    }
    const socket = await connectLink({ ...target, cipherSuite }, new AbortController().signal)
    expect(socket.getCipher().name).toBe(cipherSuite)
    socket.destroy()
    server.close()
  })
})
