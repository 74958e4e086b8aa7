import { execFileSync } from 'node:child_process'
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { newKeyAndRequest } from '../../../agent/certificate_request.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'

describe('newKeyAndRequest()', () => {
  it('is a request that OpenSSL reads, signed with its own key', async () => {
    const { csrPem, keyPem } = await newKeyAndRequest()
    const folder = mkdtempSync(join(tmpdir(), 'rehost-request-'))
    try {
      const file = join(folder, 'request.pem')
      writeFileSync(file, csrPem)
      const openssl = (...args: string[]): string =>
        execFileSync('openssl', ['req', '-in', file, '-noout', ...args], { encoding: 'utf8', stdio: 'pipe' })
      expect(() => openssl('-verify')).not.toThrow()
      expect(openssl('-text')).toMatch(/Subject: CN ?= ?rehost-agent[\s\S]*ASN1 OID: prime256v1/)
      const own = createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'pem' })
      expect(openssl('-pubkey')).toBe(own)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  it('is a request that a CA signs, with a key of its own each time', async () => {
    const ca = await makeTestCa()
    const first = await newKeyAndRequest()
    const second = await newKeyAndRequest()
    expect(first.keyPem).not.toBe(second.keyPem)
    const now = Date.now()
    const span = { notBefore: new Date(now - 1000), notAfter: new Date(now + 60_000) }
    for (const { csrPem } of [first, second]) {
      const { certPem } = await ca.sign(csrPem, { uri: 'rehost://source-server/s-1', ...span })
      expect(certPem).toContain('BEGIN CERTIFICATE')
    }
  })
})
