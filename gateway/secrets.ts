/**
 * Secrets handed out and recognised: 256 random bits, kept only as SHA-256, compared in constant time.
 * @module
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { RandomBytes } from '../domain/ids.ts'

/** `prefix` and 256 random bits, safe in URLs and shells. */
export function newSecret(prefix: string, random: RandomBytes): string {
  return prefix + Buffer.from(random(32)).toString('base64url')
}

/** SHA-256 in hexadecimal. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Whether `secret` is the one whose SHA-256 is `expectedSha256`; takes as long either way. */
export function isSecret(secret: string, expectedSha256: string): boolean {
  const actual = Buffer.from(sha256(secret), 'hex')
  const expected = Buffer.from(expectedSha256, 'hex')
  return actual.length === expected.length && timingSafeEqual(actual, expected)
}
