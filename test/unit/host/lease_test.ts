import { describe, expect, it } from 'vitest'
import { isLeased, leaseHostId, takeHostLease } from '../../../host/lease.ts'
import { becomeOwner } from '../../../workers/owner.ts'
import { startHolder } from '../../fixtures/holder.ts'

describe('takeHostLease()', () => {
  it('gives a name to one at a time, and each kind has names of its own', async () => {
    const name = `test ${process.pid}`
    expect(await isLeased('agent', name)).toBe(false)
    const lease = await takeHostLease('agent', name)
    expect(await isLeased('agent', name)).toBe(true)
    expect(await isLeased('worker', name)).toBe(false)
    await expect(takeHostLease('agent', name)).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await (await takeHostLease('worker', name)).release()
    await lease.release()
    expect(await isLeased('agent', name)).toBe(false)
    await (await takeHostLease('agent', name)).release()
  })
})

describe('becomeOwner()', () => {
  it('sees the death of another worker of this host, and nothing else', async () => {
    const own = await becomeOwner()
    const other = await startHolder('owner_holder.ts')
    const [host, name] = other.said.split('/')
    expect(host).toBe(await leaseHostId())
    expect(await own.fateOf(`${other.said}/1`)).toBe('ALIVE')
    expect(await own.fateOf(`${own.name}/7`)).toBe('ALIVE')
    await other.kill()
    expect(await own.fateOf(`${other.said}/1`)).toBe('GONE')
    expect(await own.fateOf(`another-host/${name}/1`)).toBe('UNKNOWN')
    // As versions before this one called themselves.
    expect(await own.fateOf(`${name}/1`)).toBe('UNKNOWN')
  })
})
