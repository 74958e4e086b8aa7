/**
 * Chooses the cipher of the replication port by trying: AES where the processor has instructions for it, ChaCha20 where it has none or only
 * pretends to. Both are as safe as each other.
 * @module
 */
import { createCipheriv } from 'node:crypto'

/** Cipher suites of TLS 1.3, under the names that TLS and the platform know them by. */
const candidates = [
  { suite: 'TLS_AES_256_GCM_SHA384', algorithm: 'aes-256-gcm' },
  { suite: 'TLS_CHACHA20_POLY1305_SHA256', algorithm: 'chacha20-poly1305' },
] as const

/** Name of a cipher suite of TLS 1.3. */
export type CipherSuite = (typeof candidates)[number]['suite']

/** As large as a record of TLS, and how many of them are tried. */
const recordBytes = 16 * 1024
const records = 4
const rounds = 3

/** AES stays unless the other is this much faster: a short trial is not exact. */
const clearlyFaster = 1.15

/** Milliseconds that a cipher takes for a few records. */
export type CipherTrial = (algorithm: (typeof candidates)[number]['algorithm']) => number

/** A trial with the platform's ciphers. @param monotonicMs the clock to measure by. */
export function cipherTrial(monotonicMs: () => number): CipherTrial {
  const record = Buffer.alloc(recordBytes, 'record ')
  return (algorithm) => {
    const cipher = createCipheriv(algorithm as 'aes-256-gcm', Buffer.alloc(32, 1), Buffer.alloc(12, 2))
    const begin = monotonicMs()
    for (let count = 0; count < records; count++) cipher.update(record)
    return monotonicMs() - begin
  }
}

/** The faster suite of this machine. The best of several rounds counts, because other work only ever makes a trial slower. */
export function fasterSuite(trial: CipherTrial): CipherSuite {
  const best = candidates.map(({ algorithm }) => {
    const times = Array.from({ length: rounds }, () => trial(algorithm))
    return Math.min(...times)
  })
  const [aesMs = 0, chachaMs = 0] = best
  return aesMs > chachaMs * clearlyFaster ? candidates[1].suite : candidates[0].suite
}
