/**
 * What every store must do. A new implementation is a short test file that calls this.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { InstallationToken } from '../../domain/enrolment.ts'
import type { TokenId } from '../../domain/ids.ts'
import { NotFoundError } from '../../domain/errors.ts'
import { mutate } from '../../store/mutate.ts'
import type { ListOptions, Store } from '../../store/store.ts'
import { RevisionConflictError } from '../../store/store.ts'

/** A token to store; its content does not matter to a store. */
export function sampleToken(id: string, usesLeft = 1): InstallationToken {
  return {
    tokenId: id as TokenId,
    secretSha256: 'ab'.repeat(32),
    purpose: 'AGENT',
    createdAt: '2026-01-01T00:00:00Z',
    createdBy: 'admin',
    expiresAt: '2026-01-02T00:00:00Z',
    usesLeft,
    usedBy: [],
  }
}

/** Runs the suite over the store that `open` gives; `close` ends what `open` began. */
export function storeContract(name: string, open: () => Promise<Store>, close: () => Promise<void>): void {
  describe(`${name} store`, () => {
    let store: Store
    beforeAll(async () => {
      store = await open()
      await store.initialise()
    })
    afterAll(close)

    it('initialise() may be called again', async () => {
      await store.initialise()
      await store.ping()
    })

    it('create() then get() gives the value at revision 1', async () => {
      const token = sampleToken('tok-create')
      expect(await store.create('token', { id: 'tok-create' }, token)).toBe(1)
      expect(await store.get('token', { id: 'tok-create' })).toEqual({ value: token, revision: 1 })
    })

    it('create() refuses what exists and leaves it as it was', async () => {
      await store.create('token', { id: 'tok-twice' }, sampleToken('tok-twice', 1))
      const again = store.create('token', { id: 'tok-twice' }, sampleToken('tok-twice', 9))
      await expect(again).rejects.toBeInstanceOf(RevisionConflictError)
      expect((await store.get('token', { id: 'tok-twice' }))?.value.usesLeft).toBe(1)
    })

    it('get() of what is not there is undefined', async () => {
      expect(await store.get('token', { id: 'tok-none' })).toBeUndefined()
    })

    it('replace() needs the revision that is stored', async () => {
      await store.create('token', { id: 'tok-replace' }, sampleToken('tok-replace', 3))
      expect(await store.replace('token', { id: 'tok-replace' }, 1, sampleToken('tok-replace', 2))).toBe(2)
      const late = store.replace('token', { id: 'tok-replace' }, 1, sampleToken('tok-replace', 0))
      await expect(late).rejects.toBeInstanceOf(RevisionConflictError)
      expect(await store.get('token', { id: 'tok-replace' })).toEqual({
        value: sampleToken('tok-replace', 2),
        revision: 2,
      })
      const missing = store.replace('token', { id: 'tok-missing' }, 1, sampleToken('tok-missing'))
      await expect(missing).rejects.toBeInstanceOf(RevisionConflictError)
    })

    it('remove() takes the item, once or many times, and respects a revision', async () => {
      await store.create('token', { id: 'tok-remove' }, sampleToken('tok-remove'))
      await expect(store.remove('token', { id: 'tok-remove' }, 7)).rejects.toBeInstanceOf(
        RevisionConflictError,
      )
      await store.remove('token', { id: 'tok-remove' }, 1)
      await store.remove('token', { id: 'tok-remove' }, 1)
      await store.remove('token', { id: 'tok-remove' })
      expect(await store.get('token', { id: 'tok-remove' })).toBeUndefined()
    })

    it('keeps kinds and parents apart', async () => {
      const at = '2026-01-01T00:00:00Z'
      for (const parent of ['job-a', 'job-b']) {
        await store.create(
          'jobLog',
          { parent, id: '1' },
          { jobId: parent as never, logId: '1', at, event: 'JOB_START', message: parent },
        )
      }
      const page = await store.list('jobLog', { parent: 'job-b' })
      expect(page.items.map(({ value }) => value.message)).toEqual(['job-b'])
      expect((await store.get('jobLog', { parent: 'job-a', id: '1' }))?.value.message).toBe('job-a')
      expect(await store.get('job', { id: 'job-a' })).toBeUndefined()
    })

    it('mutate() of fifty writers at once counts every one', async () => {
      await store.create('token', { id: 'tok-race' }, sampleToken('tok-race', 0))
      const bump = () =>
        mutate(
          store,
          'token',
          { id: 'tok-race' },
          (token) => ({ ...token, usesLeft: token.usesLeft + 1 }),
          200,
        )
      await Promise.all(Array.from({ length: 50 }, bump))
      expect(await store.get('token', { id: 'tok-race' })).toEqual({
        value: sampleToken('tok-race', 50),
        revision: 51,
      })
    })

    it('mutate() writes nothing when nothing changes, and throws for what is missing', async () => {
      await store.create('token', { id: 'tok-same' }, sampleToken('tok-same'))
      expect((await mutate(store, 'token', { id: 'tok-same' }, (token) => token)).revision).toBe(1)
      expect((await mutate(store, 'token', { id: 'tok-same' }, () => undefined)).revision).toBe(1)
      await expect(mutate(store, 'token', { id: 'tok-gone' }, (token) => token)).rejects.toBeInstanceOf(
        NotFoundError,
      )
    })

    it('list() pages through 250 items in both directions, each once', async () => {
      const ids = Array.from({ length: 250 }, (_, index) => String(index).padStart(6, '0'))
      const at = '2026-01-01T00:00:00Z'
      for (const id of ids) {
        await store.create(
          'jobLog',
          { parent: 'job-long', id },
          { jobId: 'job-long' as never, logId: id, at, event: 'JOB_START', message: id },
        )
      }
      const collect = async (options: ListOptions): Promise<string[]> => {
        const found: string[] = []
        let cursor: string | undefined
        do {
          const page = await store.list('jobLog', {
            parent: 'job-long',
            ...options,
            ...(cursor === undefined ? {} : { cursor }),
          })
          found.push(...page.items.map(({ value }) => value.logId))
          cursor = page.cursor
        } while (cursor !== undefined)
        return found
      }
      expect(await collect({ limit: 60 })).toEqual(ids)
      expect(await collect({ limit: 250 })).toEqual(ids)
      expect(await collect({ limit: 99, descending: true })).toEqual(ids.toReversed())
      const exact = await store.list('jobLog', { parent: 'job-long', limit: 250 })
      expect(exact.cursor).toBeUndefined()
    })

    it('list() refuses page sizes and cursors that make no sense', async () => {
      await expect(store.list('jobLog', { parent: 'job-long', limit: 0 })).rejects.toThrow(
        'Cannot list 0 items',
      )
      await expect(store.list('jobLog', { parent: 'job-long', limit: 1001 })).rejects.toThrow('1 to 1000')
      await expect(store.list('jobLog', { parent: 'job-long', cursor: '*' })).rejects.toThrow(
        'Cannot read the cursor',
      )
    })
  })
}
