import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { TaskId } from '../../../domain/ids.ts'
import { RedisChanges, changesChannel } from '../../../queues/changes.ts'
import type { ChangeNotice } from '../../../queues/changes.ts'
import { BullWakeUps } from '../../../queues/enqueue.ts'
import { queueNames } from '../../../queues/names.ts'
import { PromptRedis, mostUnanswered } from '../../../queues/prompt_redis.ts'
import { createRedisClient, evictionWarning } from '../../../queues/redis.ts'
import type { RedisClient } from '../../../queues/redis.ts'
import { TestRedis } from '../../fixtures/redis.ts'
import { until } from '../../fixtures/waiting.ts'

let redis: TestRedis
let client: RedisClient
const troubles: string[] = []
const trouble = (message: string): void => void troubles.push(message)

beforeAll(async () => {
  redis = await TestRedis.start()
  client = createRedisClient(redis.url, trouble)
  await client.connect()
})

afterAll(async () => {
  client.destroy()
  await redis.stop()
})

describe('createRedisClient()', () => {
  it('refuses what is no Redis URL, by name', () => {
    expect(() => createRedisClient('http://127.0.0.1', trouble)).toThrow(/REDIS_URL with protocol http:/)
  })
})

describe('a connection', () => {
  const vigilance = { pingEveryMs: 50, silentMs: 3000 }

  it('of a Redis that hangs is given up and made anew, and hears notices again', async () => {
    const own = await TestRedis.start()
    const told: string[] = []
    const [asking, listening] = [0, 1].map(() =>
      createRedisClient(own.url, (message) => void told.push(message), vigilance),
    ) as [RedisClient, RedisClient]
    try {
      await Promise.all([asking.connect(), listening.connect()])
      const changes = new RedisChanges(asking, (message) => void told.push(message))
      await changes.receive(listening)
      const heard: string[] = []
      changes.listen(({ id }) => void heard.push(id))
      const before = changes.unbroken
      own.hang()
      await until('both are given up', () =>
        Promise.resolve(told.length >= 2 && changes.unbroken === undefined),
      )
      expect(told).toEqual([0, 1].map(() => expect.stringMatching(/^Cannot reach Redis: .*timeout/i)))
      expect(asking.isReady).toBe(false)
      own.goOn()
      await until('both are back', () => Promise.resolve(told.length >= 4 && changes.unbroken !== undefined))
      expect(told.slice(2)).toEqual(['Redis is back', 'Redis is back'])
      expect(changes.unbroken).not.toBe(before)
      await changes.publish({ kind: 'server', id: 's-1' })
      await until('the notice is heard', () => Promise.resolve(heard.length > 0))
      expect(heard).toEqual(['s-1'])
    } finally {
      own.goOn()
      asking.destroy()
      listening.destroy()
      await own.stop()
    }
  })

  it('that has nothing to do is kept', async () => {
    const told: string[] = []
    const idle = createRedisClient(redis.url, (message) => void told.push(message), vigilance)
    await idle.connect()
    await idle.subscribe('nothing', () => undefined)
    let pings = 0
    idle.on('ping-interval', () => (pings += 1))
    await until('it was asked for longer than it may be silent', () => Promise.resolve(pings >= 100))
    expect(told).toEqual([])
    idle.destroy()
  })
})

describe('evictionWarning()', () => {
  it('is silent for noeviction and names another policy', async () => {
    expect(await evictionWarning(client)).toBeUndefined()
    await client.configSet('maxmemory-policy', 'allkeys-lru')
    expect(await evictionWarning(client)).toMatch(/allkeys-lru.*noeviction/)
    await client.configSet('maxmemory-policy', 'noeviction')
  })

  it('says what Redis answers where the question is forbidden', async () => {
    await client.sendCommand(['ACL', 'SETUSER', 'default', '-config'])
    expect(await evictionWarning(client)).toMatch(
      /^Cannot ask Redis for its maxmemory-policy, which must be noeviction: NOPERM .*'config\|get'/,
    )
    await client.sendCommand(['ACL', 'SETUSER', 'default', '+config'])
  })
})

describe('PromptRedis', () => {
  it('answers as the client does, without a timer for each command', async () => {
    const prompt = new PromptRedis(client)
    const timers = vi.spyOn(AbortSignal, 'timeout')
    const options = { condition: 'NX', expiration: { type: 'EX', value: 60 } } as const
    expect(await prompt.set('prompt', 'one', options)).toBe('OK')
    expect(await prompt.set('prompt', 'two', options)).toBeNull()
    expect(await prompt.mGet(['prompt', 'none'])).toEqual(['one', null])
    expect(await prompt.publish('nobody', 'x')).toBe(0)
    expect(timers).not.toHaveBeenCalled()
    await client.del('prompt')
    expect(timers).toHaveBeenCalledOnce()
    timers.mockRestore()
  })

  it('takes no more while a Redis that hangs leaves thousands unanswered', async () => {
    const other = createRedisClient(redis.url, trouble)
    await other.connect()
    const prompt = new PromptRedis(client)
    // Nothing behind this is answered on the same connection.
    const held = client.blPop('held', 0)
    const ask = () => prompt.set('prompt', 'x', { condition: 'NX', expiration: { type: 'EX', value: 60 } })
    const asked = Array.from({ length: mostUnanswered - 1 }, ask)
    expect(prompt.isReady).toBe(true)
    asked.push(ask())
    expect([prompt.isReady, client.isReady]).toEqual([false, true])
    await other.lPush('held', 'go on')
    await held
    expect((await Promise.all(asked)).filter((answer) => answer === 'OK')).toHaveLength(1)
    expect(prompt.isReady).toBe(true)
    other.destroy()
  })

  it('does not count for ever what was lost with the connection', async () => {
    const own = createRedisClient(redis.url, trouble)
    await own.connect()
    const prompt = new PromptRedis(own)
    const held = own.blPop('held', 0).catch(() => undefined)
    const asked = Array.from({ length: mostUnanswered }, () =>
      prompt.publish('nobody', 'x').catch(() => 'lost'),
    )
    expect(prompt.isReady).toBe(false)
    await client.sendCommand(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    await held
    await Promise.all(asked)
    await until('it is back', async () => prompt.isReady)
    own.destroy()
  })
})

describe('BullWakeUps', () => {
  it('adding twice is adding once, in each queue', async () => {
    const wakeUps = new BullWakeUps(client, trouble)
    const taskId = 'launch-s-0123456789abcdef0-mgnjob-0123456789abcdef0' as TaskId
    for (const queue of queueNames) {
      expect(await wakeUps.has(queue, taskId)).toBe(false)
      await wakeUps.add(queue, taskId)
      await wakeUps.add(queue, taskId)
      expect(await wakeUps.has(queue, taskId)).toBe(true)
      expect(await wakeUps.waiting(queue)).toBe(1)
    }
    await wakeUps.ping()
    await wakeUps.close()
    expect(client.isReady).toBe(true)
  })
})

describe('RedisChanges', () => {
  it('brings notices to listeners, tells of malformed ones, and drops them while Redis is away', async () => {
    const subscriber = createRedisClient(redis.url, trouble)
    await subscriber.connect()
    const changes = new RedisChanges(client, trouble)
    await changes.receive(subscriber)
    const heard: ChangeNotice[] = []
    const stop = changes.listen((notice) => heard.push(notice))
    await changes.publish({ kind: 'server', id: 's-1' })
    await client.publish(changesChannel, 'no JSON')
    await changes.publish({ kind: 'job', id: 'j-1' })
    await until('both are heard', async () => heard.length === 2)
    expect(heard).toEqual([
      { kind: 'server', id: 's-1' },
      { kind: 'job', id: 'j-1' },
    ])
    expect(troubles).toContain('Ignored a malformed notice of 7 characters')

    const unbroken = changes.unbroken
    expect(unbroken).toBeDefined()
    await redis.kill()
    await until('the loss is noticed', async () => !client.isReady && !subscriber.isReady)
    await until('notices are known to be missing', async () => changes.unbroken === undefined)
    await changes.publish({ kind: 'task', id: 't-1' })
    await redis.begin()
    await until('the connections are back', async () => client.isReady && subscriber.isReady)
    expect(troubles).toContain('Redis is back')
    await until('notices come again', async () => {
      await changes.publish({ kind: 'server', id: 's-2' })
      return heard.some(({ id }) => id === 's-2')
    })
    expect(heard.map(({ id }) => id)).not.toContain('t-1')
    expect(changes.unbroken).toBeDefined()
    expect(changes.unbroken).not.toBe(unbroken)
    stop()
    subscriber.destroy()
  })
})
