import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { readGatewayConfig, urlHost } from '../../../gateway/config.ts'
import { withDeadline } from '../../../gateway/deadline.ts'
import { installCommand } from '../../../gateway/install_command.ts'
import { plainText } from '../../../gateway/job_reports.ts'
import { launchConfigurationOfForm } from '../../../gateway/launch_settings.ts'
import { Outlet } from '../../../gateway/outlet.ts'
import { RateLimiter } from '../../../gateway/rate_limit.ts'
import { QuietWrites } from '../../../gateway/quiet_writes.ts'
import { Refusals } from '../../../gateway/refusals.ts'
import { limitKey } from '../../../gateway/request.ts'
import { isSecret, newSecret, sha256 } from '../../../gateway/secrets.ts'
import { RedisTelemetry, TelemetryAwayError } from '../../../gateway/telemetry.ts'

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

describe('limitKey()', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2:ffff::1', '2001:db8:1:2'],
    ['2001:0db8::1', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['::1', '0:0:0:0'],
    ['unknown', 'unknown'],
  ])('counts %s as %s', (address, key) => {
    expect(limitKey(address)).toBe(key)
  })
})

describe('installCommand()', () => {
  it('quotes an IPv6 address for the shell', () => {
    const command = (agentUrl: string) => installCommand({ agentUrl, pin: 'PIN=' }, 'tok-1.s')
    expect(command('https://192.0.2.1:8443')).toBe(
      "curl -fsSk --pinnedpubkey 'sha256//PIN=' https://192.0.2.1:8443/install.sh | sh -s -- --token tok-1.s",
    )
    expect(command('https://[2001:db8::1]:8443')).toContain(" 'https://[2001:db8::1]:8443/install.sh' | sh")
  })
})

describe('Refusals', () => {
  it('count what comes again, forget what is old, and never grow', () => {
    let time = Date.parse('2026-03-01T12:00:00Z')
    const refusals = new Refusals(() => new Date(time))
    refusals.note('ENROLMENT', { address: 'a', subject: 'x' }, 'wrong')
    time += 1000
    refusals.note('ENROLMENT', { address: 'a', subject: 'x' }, 'wrong')
    expect(refusals.list()).toMatchObject([{ count: 2, at: '2026-03-01T12:00:01.000Z' }])
    expect(refusals.list('2026-03-01T12:00:02.000Z')).toEqual([])
    for (let other = 0; other < 200; other++)
      refusals.note('CERTIFICATE', { address: String(other) }, 'foreign')
    expect(refusals.list()).toHaveLength(50)
    expect(refusals.list()[0]?.address).toBe('199')
    time += 16 * 60_000
    expect(refusals.list()).toEqual([])
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

describe('QuietWrites', () => {
  /** The milliseconds of the turns of agents that each ask once a second, at the moment of their second that `phaseOf` says, over ten seconds. */
  function turns(agents: number, phaseOf: (agent: number) => number): number[] {
    let nowMs = 0
    const quietWrites = new QuietWrites(
      () => agents,
      () => nowMs,
    )
    const found: number[] = []
    const waiting = new Set(Array.from({ length: agents }, (_, agent) => agent))
    for (; nowMs < 10_000; nowMs++)
      for (const agent of waiting)
        if (phaseOf(agent) === nowMs % 1000 && quietWrites.takeTurn(`s-${agent}`)) {
          waiting.delete(agent)
          found.push(nowMs)
        }
    return found
  }

  it('spreads what is due at once over a round', () => {
    const found = turns(1000, (agent) => agent % 1000)
    expect(found).toHaveLength(1000)
    for (let second = 0; second < 5; second++) {
      const count = found.filter((at) => Math.floor(at / 1000) === second).length
      expect(count).toBeGreaterThan(130)
      expect(count).toBeLessThan(190)
    }
  })

  it('puts nobody off for longer than a round, however they come', () => {
    const found = turns(1000, () => 7)
    expect(found).toHaveLength(1000)
    expect(Math.max(...found)).toBe(6007)
  })

  it('puts nobody off while few ask', () => {
    const quietWrites = new QuietWrites(
      () => 10,
      () => 5000,
    )
    for (let agent = 0; agent < 5; agent++) expect(quietWrites.takeTurn(`s-${agent}`)).toBe(true)
  })
})

describe('RedisTelemetry', () => {
  const figures = (sourceServerId: string) => ({
    sourceServerId,
    at: '2026-03-01T12:00:00.000Z',
    state: 'CONTINUOUS' as const,
    lagMs: 1,
    backlogBytes: 0,
    bytesPerSecond: 0,
    durableBytes: 0,
    wireBytes: 0,
    rescans: 0,
    disks: [],
  })

  it('offers the figures of a server as often as they can be taken', async () => {
    let nowMs = 0
    const offered: string[] = []
    const redis = {
      isReady: true,
      mGet: () => Promise.resolve([]),
      set: (key: string) => {
        if (nowMs === 3000) return Promise.reject(new Error('trouble'))
        offered.push(`${nowMs} ${key.split(':').at(-1)}`)
        return Promise.resolve(key.endsWith('s-1') ? 'OK' : null)
      },
    }
    const telemetry = new RedisTelemetry(redis, () => nowMs)
    for (; nowMs <= 7000; nowMs += 1000) {
      await telemetry.offer(figures('s-1'))
      if (nowMs >= 3000) await telemetry.offer(figures('s-2')).catch(() => undefined)
    }
    expect(offered).toEqual(['0 s-1', '4000 s-2', '5000 s-1', '6000 s-2'])
  })

  it('leaves out what it cannot read', async () => {
    const redis = {
      isReady: true,
      mGet: () =>
        Promise.resolve([JSON.stringify(figures('s-1')), null, JSON.stringify({ old: true }), 'half a {']),
      set: () => Promise.resolve('OK'),
    }
    expect([...(await new RedisTelemetry(redis).read(['s-1', 's-2', 's-3', 's-4'])).keys()]).toEqual(['s-1'])
    expect((await new RedisTelemetry(redis).read([])).size).toBe(0)
    const away = new RedisTelemetry({ ...redis, isReady: false })
    await expect(away.read(['s-1'])).rejects.toThrow(TelemetryAwayError)
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

  it('puts an IPv6 address into brackets where it stands in a URL', () => {
    expect(['rehost.example', '192.0.2.1', '2001:db8::1'].map(urlHost)).toEqual([
      'rehost.example',
      '192.0.2.1',
      '[2001:db8::1]',
    ])
  })

  it('lists every bad variable', () => {
    const bad = { REHOST_HTTP_PORT: '0', REHOST_PUBLIC_HOST: 'a b', REHOST_TRUSTED_PROXY: '192.0.2.1, proxy' }
    expect(() => readGatewayConfig(bad, '/')).toThrow(
      /REHOST_HTTP_PORT.*REHOST_PUBLIC_HOST.*REHOST_TRUSTED_PROXY: Cannot read “proxy” as.*REDIS_URL/,
    )
  })
})
