import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { blockSizeBytes, maxExtentBlocks } from '../../../domain/units.ts'
import { gatewayServerName, replicatorServerName } from '../../../wire/control_api.ts'
import {
  frameLimits,
  maxBlocksPerDisk,
  maxHashesPerFrame,
  maxMetaBytes,
  maxPayloadBytes,
} from '../../../wire/limits.ts'
import { messageTypes, wireErrorCodes } from '../../../wire/message.ts'
import { telemetryTtlSeconds } from '../../../wire/telemetry.ts'
import { alpnProtocol } from '../../../wire/tls.ts'
import { protocolVersions } from '../../../wire/version.ts'
import { WireError } from '../../../wire/wire_error.ts'

const text = readFileSync(join(import.meta.dirname, '../../../docs/protocol.md'), 'utf8')
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
const grouped = (value: number): string => value.toLocaleString('en-US')

describe('docs/protocol.md', () => {
  it('lists every message with its number, and whether it has meta and payload', () => {
    const listed = rows
      .filter((row) => row.length === 6 && /^\d+$/.test(row[0] ?? ''))
      .map((row) => [row[1], Number(row[0]), row[3] !== '–', row[4] !== '–'])
    const real = Object.entries(messageTypes).map(([name, number]) => {
      const limit = frameLimits[name as keyof typeof messageTypes]
      return [name, number, limit.maxMetaBytes > 0, limit.maxPayloadBytes > 0]
    })
    expect(listed).toEqual(real)
  })

  it('lists every error with whether a retry can help', () => {
    const listed = rows.filter((row) => row[1] === 'yes' || row[1] === 'no').map((row) => [row[0], row[1]])
    expect(listed).toEqual(
      wireErrorCodes.map((code) => [code, new WireError(code, '').retryable ? 'yes' : 'no']),
    )
  })

  it('states the limits', () => {
    const limit = (name: string): string | undefined => rows.find((row) => row[0] === name)?.[1]
    expect(limit('meta of any frame')).toBe(`${grouped(maxMetaBytes)} bytes`)
    expect(limit('payload of any frame')).toBe(`${grouped(maxPayloadBytes)} bytes`)
    expect(limit('blocks in BLOCKS')).toBe(String(maxExtentBlocks))
    expect(limit('hashes in HASHES')).toBe(grouped(maxHashesPerFrame))
    expect(limit('blocks of a disk')).toBe(grouped(maxBlocksPerDisk))
    expect(text).toContain(`${grouped(blockSizeBytes)} bytes at a multiple`)
  })

  it('names what TLS checks, the versions and the life of figures', () => {
    for (const name of [alpnProtocol, replicatorServerName, gatewayServerName])
      expect(text).toContain(`\`${name}\``)
    for (const { version, changed } of protocolVersions)
      expect(rows).toContainEqual([String(version), changed])
    expect(text).toMatch(new RegExp(`expiring after ${telemetryTtlSeconds}\\s+seconds`))
  })
})
