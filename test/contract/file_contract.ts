/**
 * What every file store must do. A new implementation is a short test file that calls this.
 * @module
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { InvalidInputError } from '../../domain/errors.ts'
import type { FileStore } from '../../gateway/file_store.ts'
import { maxFileBytes } from '../../gateway/file_store.ts'

/** A store with the bucket `plans`, and no other. */
export interface FileWorld {
  files: FileStore
  /** Everything that lies in the bucket, by key. */
  keys(): Promise<string[]>
  /** Puts a file there past the store. */
  put(key: string, bytes: Uint8Array): Promise<void>
}

/** Runs the suite over what `open` gives; `close` ends what `open` began. */
export function fileContract(name: string, open: () => Promise<FileWorld>, close: () => Promise<void>): void {
  describe(`files in ${name}`, () => {
    let world: FileWorld
    beforeAll(async () => {
      world = await open()
    })
    afterAll(close)

    const at = (key: string, bucket = 'plans') => ({ bucket, key })
    const textOf = async (key: string) => Buffer.from(await world.files.read(at(key))).toString()
    const refusal = async (call: Promise<unknown>): Promise<InvalidInputError> => {
      const error: unknown = await call.then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      expect(error).toBeInstanceOf(InvalidInputError)
      return error as InvalidInputError
    }

    it.each(['plan.csv', 'out/of/many parts + ü&?=%.csv'])(
      'are read as they were written: %s',
      async (key) => {
        const bytes = Uint8Array.from({ length: 70_000 }, (_, index) => index % 251)
        await world.files.write(at(key), bytes)
        expect(Buffer.compare(await world.files.read(at(key)), bytes)).toBe(0)
        await world.files.write(at(key), Buffer.from('later'))
        expect(await textOf(key)).toBe('later')
        expect(await world.keys()).toContain(key)
      },
    )

    it('may be empty', async () => {
      await world.files.write(at('empty.csv'), new Uint8Array())
      expect(await textOf('empty.csv')).toBe('')
    })

    it('are those of one writer or another, never of both', async () => {
      const texts = ['a', 'b', 'c', 'd'].map((letter) => letter.repeat(300_000))
      await Promise.all(texts.map((text) => world.files.write(at('race.csv'), Buffer.from(text))))
      expect(texts).toContain(await textOf('race.csv'))
      expect((await world.keys()).filter((key) => key.startsWith('race'))).toEqual(['race.csv'])
    })

    it('that are not there are named, with where they were looked for', async () => {
      const { field, message } = await refusal(world.files.read(at('none.csv')))
      expect(field).toBe('s3Key')
      expect(message).toMatch(/There is no file none\.csv in bucket plans.+\S/)
    })

    it('in a bucket that is not there are not read', async () => {
      expect((await refusal(world.files.read(at('none.csv', 'nowhere')))).message).toMatch(/nowhere/)
    })

    it.each(['..', '.', 'a/b', ''])('are in no bucket called %j', async (bucket) => {
      for (const call of [
        world.files.read(at('x.csv', bucket)),
        world.files.write(at('x.csv', bucket), new Uint8Array()),
      ])
        expect((await refusal(call)).field).toBe('s3Bucket')
    })

    it('are not read when they are larger than any inventory', async () => {
      await world.put('large.csv', new Uint8Array(maxFileBytes + 1))
      const { message } = await refusal(world.files.read(at('large.csv')))
      expect(message).toContain(`has ${maxFileBytes + 1} bytes or more; at most ${maxFileBytes} are read`)
    })
  })
}
