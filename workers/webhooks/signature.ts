/**
 * Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body, one for each secret that signs.
 * @module
 */
import { createHmac } from 'node:crypto'

/** What secrets begin with. */
const secretPrefix = 'whsec_'

/** The headers of one try. @param secrets in the clear, `whsec_…`. */
export function signedHeaders(
  message: { id: string; timestampSeconds: number; body: string },
  secrets: readonly string[],
): Record<string, string> {
  const { id, timestampSeconds, body } = message
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.replace(secretPrefix, ''), 'base64')
    const signature = createHmac('sha256', key).update(`${id}.${timestampSeconds}.${body}`).digest('base64')
    return `v1,${signature}`
  })
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signatures.join(' '),
  }
}
