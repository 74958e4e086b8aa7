import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { blockSizeBytes, maxExtentBlocks } from '../../../domain/units.ts'
import * as controlApi from '../../../wire/control_api.ts'
import { gatewayServerName, replicatorServerName } from '../../../wire/control_api.ts'
import { maxZstdWindowLog } from '../../../wire/encoding.ts'
import {
  frameLimits,
  maxBlocksPerDisk,
  maxBarrierReadMs,
  maxHashesPerFrame,
  maxMetaBytes,
  maxPayloadBytes,
} from '../../../wire/limits.ts'
import {
  barrierReachedSchema,
  barrierSchema,
  helloSchema,
  messageTypes,
  statusSchema,
  toReadSchema,
  welcomeSchema,
  wireErrorCodes,
  wireErrorSchema,
} from '../../../wire/message.ts'
import { serverTelemetrySchema, telemetryKey, telemetryTtlSeconds } from '../../../wire/telemetry.ts'
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
/** The keys of a schema, those of lists of objects as `list[].key`. */
function fieldsOf(schema: unknown, prefix = ''): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return fieldsOf(schema.unwrap(), prefix)
  if (schema instanceof z.ZodArray) return fieldsOf(schema.element, `${prefix}[]`)
  if (!(schema instanceof z.ZodObject)) return []
  const dot = prefix === '' ? '' : '.'
  return Object.entries(schema.shape).flatMap(([key, value]) => [
    `${prefix}${dot}${key}`,
    ...fieldsOf(value, `${prefix}${dot}${key}`),
  ])
}

/** The first column of the table that follows the line that begins with `heading`. */
function fieldsUnder(heading: string): (string | undefined)[] {
  const lines = text.split('\n')
  const begin = lines.findIndex((line) => line.startsWith(heading))
  const table = lines.slice(lines.findIndex((line, index) => index > begin && line.startsWith('| --- |')) + 1)
  const end = table.findIndex((line) => !line.startsWith('|'))
  return table.slice(0, end).map((line) => /^\| `([^`]+)`/.exec(line)?.[1])
}

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

  it.each([
    ['HELLO:', helloSchema],
    ['WELCOME:', welcomeSchema],
    ['BARRIER:', barrierSchema],
    ['BARRIER_REACHED:', barrierReachedSchema],
    ['TO_READ,', toReadSchema],
    ['STATUS,', statusSchema],
    ['ERROR,', wireErrorSchema],
  ])('has every field of %s and no other', (heading, schema) => {
    expect(fieldsUnder(heading)).toEqual(fieldsOf(schema))
  })

  it('has every field of what goes to and from the gateway and to Redis', () => {
    const schemas = { ...controlApi, serverTelemetrySchema }
    const begin = text.indexOf('## Control messages')
    const quoted = new Set(
      [...text.slice(begin).matchAll(/`([^`]+)`/g)].map((match) => match[1]?.split('.').at(-1)),
    )
    const missing = Object.entries(schemas).flatMap(([name, schema]) =>
      fieldsOf(schema)
        .map((field) => field.split('.').at(-1))
        .filter((field) => !quoted.has(field))
        .map((field) => `${name}: ${field}`),
    )
    expect(missing).toEqual([])
    const names = Object.keys(schemas).filter((name) => name.endsWith('Schema'))
    // The inventory stands under the name of its field.
    expect(names.filter((name) => name !== 'sourcePropertiesSchema' && !quoted.has(name))).toEqual([])
    expect(text).toContain(`\`${telemetryKey('ID')}\``)
  })

  it('states what a frame of each type may carry', () => {
    const limits = Object.entries(frameLimits).map(([name, limit]) => [
      name,
      `${limit.minMetaBytes} to ${grouped(limit.maxMetaBytes)}`,
      limit.maxPayloadBytes === 0 ? '0' : `0 to ${grouped(limit.maxPayloadBytes)}`,
    ])
    for (const row of limits) expect(rows).toContainEqual(row)
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
    expect(limit('window of zstd')).toBe(`${grouped(2 ** maxZstdWindowLog)} bytes`)
    expect(limit('reading behind a barrier')).toBe(`${maxBarrierReadMs / 1000} s`)
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
