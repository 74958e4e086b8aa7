import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { readGatewayConfig } from '../../../gateway/config.ts'
import { withDeadline } from '../../../gateway/deadline.ts'
import { plainText } from '../../../gateway/job_reports.ts'
import { launchConfigurationOfForm } from '../../../gateway/launch_settings.ts'
import { Outlet } from '../../../gateway/outlet.ts'
import { RateLimiter } from '../../../gateway/rate_limit.ts'
import { isSecret, newSecret, sha256 } from '../../../gateway/secrets.ts'
import { RedisTelemetry } from '../../../gateway/telemetry.ts'

describe('RateLimiter', () => {
  it('forgets after the window, after a success, and the oldest of a flood', () => {
    let time = 0
    const limiter = new RateLimiter(2, 1000, () => new Date(time))
    const failTwice = (key: string): void => {
      limiter.fail(key)
      limiter.fail(key)
    }
    failTwice('a')
    expect([limiter.waitSeconds('a'), limiter.waitSeconds('b')]).toEqual([1, 0])
    limiter.succeed('a')
    expect(limiter.waitSeconds('a')).toBe(0)
    failTwice('a')
    time = 1000
    expect(limiter.waitSeconds('a')).toBe(0)
    failTwice('first')
    for (let other = 0; other < 10_000; other++) limiter.fail(String(other))
    expect(limiter.waitSeconds('first')).toBe(0)
  })
})

describe('secrets', () => {
  it('are long, different, and recognised by their hash alone', () => {
    const secret = newSecret('rehost_', (length) => crypto.getRandomValues(new Uint8Array(length)))
    expect(secret).toMatch(/^rehost_[\w-]{43}$/)
    expect(isSecret(secret, sha256(secret))).toBe(true)
    expect(isSecret(`${secret}x`, sha256(secret))).toBe(false)
    expect(isSecret(secret, 'short')).toBe(false)
  })
})

describe('withDeadline()', () => {
  it('passes results and failures on, and gives up in time', async () => {
    expect(await withDeadline(Promise.resolve(1), 1000, 'x')).toBe(1)
    await expect(withDeadline(Promise.reject(new Error('no')), 1000, 'x')).rejects.toThrow('no')
    await expect(withDeadline(new Promise(() => undefined), 10, 'Redis')).rejects.toThrow(
      'Redis has not answered within 10 ms',
    )
  })
})

describe('Outlet', () => {
  it('keeps the newest of each part and never more', async () => {
    const outlet = new Outlet()
    for (let round = 0; round < 1000; round++)
      outlet.show(
        new Map([
          ['a', `a${round}`],
          ['b', `b${round}`],
        ]),
      )
    expect(await outlet.next()).toEqual({ kind: 'parts', html: 'a999b999' })
    const waiting = outlet.next()
    await sleep(1)
    outlet.comment()
    expect(await waiting).toEqual({ kind: 'comment' })
    outlet.show(new Map([['a', 'lost']]))
    outlet.finish('gone')
    expect(await outlet.next()).toEqual({ kind: 'event', name: 'gone' })
    expect(await outlet.next()).toBeUndefined()
  })
})

describe('plainText()', () => {
  it('takes control sequences out of a console and keeps its end', () => {
    const escape = '\u001b'
    expect(
      plainText(
        `${escape}[2J${escape}[1;32m[  OK  ]${escape}[0m Started\r\n${escape}]0;title\u0007login: \u0000`,
      ),
    ).toBe('[  OK  ] Started\nlogin: ')
    expect(plainText('x'.repeat(50_000))).toHaveLength(16_000)
  })
})

describe('RedisTelemetry', () => {
  it('leaves out what it cannot read', async () => {
    const good = {
      sourceServerId: 's-1',
      at: '2026-03-01T12:00:00.000Z',
      state: 'CONTINUOUS',
      lagMs: 1,
      backlogBytes: 0,
      bytesPerSecond: 0,
      durableBytes: 0,
      wireBytes: 0,
      rescans: 0,
      disks: [],
    }
    const redis = {
      mGet: () => Promise.resolve([JSON.stringify(good), null, JSON.stringify({ old: true })]),
      set: () => Promise.resolve('OK'),
    }
    expect([...(await new RedisTelemetry(redis).read(['s-1', 's-2', 's-3'])).keys()]).toEqual(['s-1'])
    expect((await new RedisTelemetry(redis).read([])).size).toBe(0)
  })
})

describe('launchConfigurationOfForm()', () => {
  const form = {
    name: 'x',
    launchDisposition: 'STARTED',
    rightSizing: 'BASIC',
    bootMode: 'USE_SOURCE',
    bootTimeoutSeconds: '60',
    reachablePorts: '',
    httpChecks: '',
  }

  it('reads checks line by line', () => {
    expect(
      launchConfigurationOfForm({ ...form, httpChecks: ' 80 /a  two words \n\n443 /b' }).httpChecks,
    ).toEqual([
      { port: 80, path: '/a', contains: 'two words' },
      { port: 443, path: '/b' },
    ])
  })

  it('says which line it cannot read', () => {
    expect(() => launchConfigurationOfForm({ ...form, httpChecks: '80 / ok\nport eighty' })).toThrow(
      'Cannot read the check “port eighty”',
    )
  })
})

describe('readGatewayConfig()', () => {
  it('has defaults for everything but Redis', () => {
    const config = readGatewayConfig({ REDIS_URL: 'redis://127.0.0.1' }, '/srv/rehost')
    expect(config).toMatchObject({
      httpHost: '127.0.0.1',
      httpPort: 8080,
      agentPort: 8443,
      listenHost: '0.0.0.0',
      agentDir: '/srv/rehost/dist/agent',
      table: 'rehost',
    })
    expect(config.publicHost).toMatch(/^[\d.]+$/)
  })

  it('lists every bad variable', () => {
    expect(() => readGatewayConfig({ REHOST_HTTP_PORT: '0', REHOST_PUBLIC_HOST: 'a b' }, '/')).toThrow(
      /REHOST_HTTP_PORT.*REHOST_PUBLIC_HOST.*REDIS_URL/,
    )
  })
})
