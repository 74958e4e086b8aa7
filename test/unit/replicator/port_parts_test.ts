import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { takeLease } from '../../../replicator/lease.ts'
import { portError, requirePort } from '../../../replicator/listening_port.ts'
import { RefusalLog } from '../../../replicator/refusal_log.ts'

describe('requirePort()', () => {
  it('names port and variable when another program has it, and leaves a free one free', async () => {
    const holder = createServer()
    holder.listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as AddressInfo
    await expect(requirePort('127.0.0.1', port)).rejects.toThrow(
      new RegExp(`127.0.0.1 port ${port}: another program has it;.*:${port}.*REHOST_REPLICATION_PORT`),
    )
    holder.close()
    await once(holder, 'close')
    await requirePort('127.0.0.1', port)
    await requirePort('127.0.0.1', port)
  })

  it('tells an address that the machine does not have from a port that is not allowed', async () => {
    await expect(requirePort('192.0.2.1', 0)).rejects.toThrow(
      /does not have that address.*REHOST_LISTEN_HOST/,
    )
    const unknown = Object.assign(new Error('No'), { code: 'ENOTFOUND' })
    expect(portError(unknown, 'nonsense', 1500).message).toBe(
      'Cannot listen on nonsense port 1500: there is no host of that name; set REHOST_LISTEN_HOST to an address of this machine',
    )
    const forbidden = Object.assign(new Error('No'), { code: 'EACCES' })
    expect(portError(forbidden, '0.0.0.0', 80).message).toBe(
      'Cannot listen on 0.0.0.0 port 80: this user may not use it; set REHOST_REPLICATION_PORT to 1024 or more',
    )
  })
})

describe('takeLease()', () => {
  it('gives a name to one at a time', async () => {
    const name = `test ${process.pid}`
    const lease = await takeLease(name)
    await expect(takeLease(name)).rejects.toThrow(/another replication server on this host/)
    await (await takeLease(`${name} other`)).release()
    await lease.release()
    await (await takeLease(name)).release()
  })
})

describe('RefusalLog', () => {
  it('writes so many lines a minute and counts the rest', () => {
    const lines: { msg: string }[] = []
    const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as { msg: string }) })
    let nowMs = 0
    const refusals = new RefusalLog(log, () => nowMs)
    const refusal = { remoteAddress: '192.0.2.7', code: 'NOT_ASSIGNED', reason: 'Not this one' }
    for (let count = 0; count < 100; count++) refusals.add(refusal)
    expect(lines).toHaveLength(61)
    expect(lines[0]).toMatchObject({ msg: 'Connection refused: Not this one', remoteAddress: '192.0.2.7' })
    expect(lines[60]?.msg).toMatch(/only counted/)
    nowMs = 60_000
    refusals.add(refusal)
    expect(lines[61]?.msg).toBe('40 more connections were refused')
    expect(lines).toHaveLength(63)
  })
})
