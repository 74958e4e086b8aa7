import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Assignment } from '../../../replicator/assignment.ts'
import { backoffMs, pause } from '../../../replicator/backoff.ts'
import { JsonFile, serverCheckpointSchema } from '../../../replicator/checkpoint.ts'
import { readReplicatorConfig } from '../../../replicator/config.ts'
import { diskError } from '../../../replicator/disk.ts'
import { isReleased } from '../../../replicator/hold.ts'
import { PayloadPool } from '../../../replicator/payload_pool.ts'
import { normalSerial } from '../../../replicator/peer.ts'
import { ServerStats } from '../../../replicator/server_stats.ts'
import { WriteGate } from '../../../replicator/write_gate.ts'
import { maxPayloadBytes } from '../../../wire/frame.ts'
import { serverTelemetrySchema } from '../../../wire/telemetry.ts'
import { WireError } from '../../../wire/wire_error.ts'

describe('backoffMs()', () => {
  it('doubles up to the longest wait, between half and all of it', () => {
    const options = { firstMs: 100, longestMs: 1000 }
    const least = [0, 1, 2, 3, 4, 50].map((attempt) => backoffMs(attempt, { ...options, random: () => 0 }))
    const most = [0, 1, 2, 3, 4, 50].map((attempt) =>
      backoffMs(attempt, { ...options, random: () => 0.999_999 }),
    )
    expect(least).toEqual([50, 100, 200, 400, 500, 500])
    expect(most).toEqual([100, 200, 400, 800, 1000, 1000])
  })
})

describe('pause()', () => {
  it('says whether it ran its time', async () => {
    expect(await pause(1, new AbortController().signal)).toBe(true)
    const abort = new AbortController()
    const waiting = pause(60_000, abort.signal)
    abort.abort()
    expect(await waiting).toBe(false)
    expect(await pause(60_000, abort.signal)).toBe(false)
  })
})

describe('JsonFile', () => {
  it('replaces a document as a whole, readable by its owner alone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rehost-json-'))
    const path = join(folder, 'server.json')
    const file = new JsonFile(path, serverCheckpointSchema, 'move it away')
    expect(await file.read()).toBeUndefined()
    await file.write({ generation: 3 })
    await file.write({ generation: 4 })
    expect(await file.read()).toEqual({ generation: 4 })
    expect(readdirSync(folder)).toEqual(['server.json'])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    // What a write that was cut short leaves behind is not looked at.
    writeFileSync(`${path}.next`, '{"generation":')
    expect(await file.read()).toEqual({ generation: 4 })
    await file.write({ generation: 5 })
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ generation: 5 })
    writeFileSync(path, '{"generation":"many"}')
    await expect(file.read()).rejects.toThrow(/server.json: it is damaged; move it away/)
    await file.remove()
    expect(await file.read()).toBeUndefined()
    rmSync(folder, { recursive: true })
  })
})

describe('isReleased()', () => {
  const held = { consistencyPointId: 'cp-1', method: 'QUIET' as const, frozenMs: 0, roots: [] }
  const assignment = (point?: Assignment['consistencyPoint']): Assignment => ({
    sourceServerId: 's-1',
    certificateSerials: [],
    volumes: [],
    ...(point === undefined ? {} : { consistencyPoint: point }),
  })
  it.each([
    ['REQUESTED', false],
    ['REACHED', false],
    ['TAKEN', true],
    ['EXPIRED', true],
    ['FAILED', true],
  ] as const)('when the point is %s: %s', (state, expected) => {
    expect(isReleased(held, assignment({ consistencyPointId: 'cp-1', state }))).toBe(expected)
  })
  it('when there is another point or none', () => {
    expect(isReleased(held, assignment({ consistencyPointId: 'cp-2', state: 'REQUESTED' }))).toBe(true)
    expect(isReleased(held, assignment())).toBe(true)
  })
})

describe('WriteGate', () => {
  it('calls those who wait once', () => {
    const gate = new WriteGate()
    let calls = 0
    gate.close()
    gate.obstacle?.(() => calls++)
    expect([gate.isClosed, calls]).toEqual([true, 0])
    gate.open()
    gate.open()
    expect([gate.isClosed, gate.obstacle, calls]).toEqual([false, undefined, 1])
  })
})

describe('PayloadPool', () => {
  it('gives large buffers again, and takes back only its own and only once', () => {
    const pool = new PayloadPool(100)
    const large = pool.allocate(maxPayloadBytes)
    expect(pool.allocate(1000).length).toBe(1000)
    pool.release(Buffer.alloc(maxPayloadBytes))
    const { buffer } = large
    pool.release(large.subarray(0, 10))
    pool.release(large)
    expect(pool.allocate(maxPayloadBytes).buffer).toBe(buffer)
    expect(pool.allocate(maxPayloadBytes).buffer).not.toBe(buffer)
  })

  it('keeps a few buffers and frees the others at once', () => {
    const pool = new PayloadPool(100)
    const given = Array.from({ length: 40 }, () => pool.allocate(maxPayloadBytes))
    for (const payload of given) pool.release(payload)
    expect(given.filter(({ length }) => length === maxPayloadBytes)).toHaveLength(32)
  })

  it('says when too much is under way, and when there is room again', () => {
    const pool = new PayloadPool(100)
    let woken = 0
    pool.begin(60)
    expect(pool.isExhausted).toBe(false)
    pool.begin(60)
    expect(pool.isExhausted).toBe(true)
    pool.obstacle?.(() => woken++)
    pool.end(10)
    expect(woken).toBe(0)
    pool.end(60)
    expect([pool.isExhausted, pool.obstacle, woken]).toEqual([false, undefined, 1])
    pool.end(50)
    expect(woken).toBe(1)
  })
})

describe('diskError()', () => {
  const withCode = (code: string): Error => Object.assign(new Error('Failed'), { code })
  it('tells no space from other trouble, and what to do', () => {
    const full = diskError(withCode('ENOSPC'), 'write to volume vol-1', 3)
    expect(full).toMatchObject({ code: 'NO_SPACE', retryable: true, diskIndex: 3 })
    expect(full.message).toBe(
      'Cannot write to volume vol-1: no space is left in the staging area (ENOSPC). Nothing that was acknowledged is lost; ' +
        'free space there, and replication goes on by itself',
    )
    expect(diskError(withCode('EIO'), 'flush volume vol-1')).toMatchObject({
      code: 'VOLUME_IO_ERROR',
      retryable: true,
    })
    expect(diskError('odd', 'flush volume vol-1').message).toContain('odd')
    const own = new WireError('HASH_MISMATCH', 'No')
    expect(diskError(own, 'write to volume vol-1')).toBe(own)
  })
})

describe('normalSerial()', () => {
  it('ignores case and leading zeros', () => {
    expect(normalSerial('00AbC0')).toBe('abc0')
    expect(normalSerial('0')).toBe('0')
  })
})

describe('ServerStats', () => {
  it('counts, and smooths the throughput', () => {
    const stats = new ServerStats()
    const disks = [{ diskIndex: 2, sizeBytes: 100 }]
    expect(serverTelemetrySchema.parse(stats.sample('s-1', disks, 0))).toMatchObject({
      state: 'INITIATING',
      lagMs: null,
    })
    stats.addDurable(2, 1000)
    stats.addWire(500)
    const first = stats.sample('s-1', disks, 1000)
    expect(first).toMatchObject({
      bytesPerSecond: 400,
      durableBytes: 1000,
      wireBytes: 500,
      at: '1970-01-01T00:00:01.000Z',
    })
    expect(first.disks).toEqual([
      { diskIndex: 2, sizeBytes: 100, scannedBytes: 0, backlogBytes: 0, durableBytes: 1000 },
    ])
    for (let second = 2; second < 40; second++) {
      stats.addDurable(2, 1000)
      stats.sample('s-1', disks, second * 1000)
    }
    expect(stats.sample('s-1', disks, 39_001).bytesPerSecond).toBeLessThan(1001)
  })
})

describe('readReplicatorConfig()', () => {
  const right = {
    REHOST_GATEWAY_URL: 'https://10.0.0.1:8443',
    REHOST_CA_PEM_FILE: '/ca.pem',
    REHOST_REPLICATOR_TOKEN_FILE: '/token',
    REHOST_REPLICATION_SERVER_ID: 'i-1',
    REHOST_REPLICATOR_STATE_DIR: '/state',
  }
  it('has defaults for port and host', () => {
    expect(readReplicatorConfig(right)).toEqual({
      port: 1500,
      host: '0.0.0.0',
      gatewayUrl: 'https://10.0.0.1:8443',
      caPemFile: '/ca.pem',
      tokenFile: '/token',
      replicationServerId: 'i-1',
      stateDir: '/state',
      redisUrl: undefined,
    })
  })
  it('names everything that is wrong', () => {
    expect(() =>
      readReplicatorConfig({ ...right, REHOST_REPLICATION_PORT: '70000', REDIS_URL: 'x' }),
    ).toThrow(/REHOST_REPLICATION_PORT.*REDIS_URL/)
  })
})
