import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaultLimits } from '../../../replicator/listener.ts'
import { windowBytes } from '../../../replicator/session_output.ts'

const text = readFileSync(join(import.meta.dirname, '../../../docs/protocol.md'), 'utf8')

describe('docs/protocol.md', () => {
  it("states the replicator's limits", () => {
    const { maxConnections, maxUnauthenticated, handshakeDeadlineMs, helloDeadlineMs, idleMs } = defaultLimits
    expect(text).toContain(`| ${windowBytes.toLocaleString('en-US')} bytes |`)
    expect(text).toContain(
      `| ${maxConnections.toLocaleString('en-US')}, of which ${maxUnauthenticated} before HELLO |`,
    )
    expect(handshakeDeadlineMs).toBe(helloDeadlineMs)
    expect(text).toContain(
      `| TLS handshake, HELLO after it, and WELCOME after that | ${helloDeadlineMs / 1000} s each |`,
    )
    expect(text).toContain(`drops a connection | ${idleMs / 1000} s |`)
  })
})
