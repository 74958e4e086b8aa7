import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blockSizeBytes } from '../../../domain/units.ts'
import type { DocumentStore, VolumeCheckpoint } from '../../../replicator/checkpoint.ts'
import { StateDirectory } from '../../../replicator/state_directory.ts'
import type { Volume } from '../../../replicator/volume.ts'
import { openVolume } from '../../../replicator/volume.ts'
import { blockHashes } from '../../../wire/hash.ts'
import { encodings } from '../../../wire/message.ts'

const sizeBytes = 4 * blockSizeBytes
const noLease = () => Promise.resolve({ release: () => Promise.resolve() })

describe('the name of a copy', () => {
  let folder: string
  let path: string
  let state: StateDirectory
  let names: number

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-copy-'))
    path = join(folder, 'data')
    makeEmpty(path)
    state = new StateDirectory(join(folder, 'state'), noLease)
    await state.prepare()
    names = 0
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  function makeEmpty(at: string): void {
    writeFileSync(at, '')
    truncateSync(at, sizeBytes)
  }

  async function open(
    wrap: (checkpoint: DocumentStore<VolumeCheckpoint>) => DocumentStore<VolumeCheckpoint> = (own) => own,
  ): Promise<Volume> {
    const parts = await state.openParts({ diskIndex: 0, volumeId: 'vol-0', devicePath: path, sizeBytes })
    const newCopyId = (): string => `copy-${++names}`
    return openVolume({
      volumeId: 'vol-0',
      diskIndex: 0,
      sizeBytes,
      newCopyId,
      parts: { ...parts, checkpoint: wrap(parts.checkpoint) },
    })
  }

  /** Opens, does something, ends as asked, and answers the name. */
  async function run(end: 'close' | 'abandon', isWriting: boolean): Promise<string> {
    const volume = await open()
    if (isWriting) {
      const payload = Buffer.alloc(blockSizeBytes, 7)
      await volume.writeBlocks({
        type: 'BLOCKS',
        diskIndex: 0,
        firstBlock: 1,
        blockCount: 1,
        rawBytes: blockSizeBytes,
        encoding: encodings.RAW,
        hashes: blockHashes(payload),
        payload,
      })
      await volume.durable()
    }
    await volume[end]()
    return volume.copyId
  }

  it('stays from the first opening on, through clean and unclean ends', async () => {
    expect(await run('abandon', false)).toBe('copy-1')
    expect(await run('close', false)).toBe('copy-1')
    expect(await run('abandon', true)).toBe('copy-1')
    expect(await run('abandon', true)).toBe('copy-1')
    expect(await run('close', false)).toBe('copy-1')
  })

  it('is another one when the file was replaced, emptied, or its state was lost', async () => {
    await run('close', true)
    rmSync(path)
    writeFileSync(path, Buffer.alloc(sizeBytes, 9))
    expect(await run('close', false)).toBe('copy-2')
    truncateSync(path, 0)
    truncateSync(path, sizeBytes)
    expect(await run('close', true)).toBe('copy-3')
    await state.forgetVolume('vol-0')
    expect(await run('close', false)).toBe('copy-4')
    expect(await run('close', false)).toBe('copy-4')
  })

  it('is another one when an empty file turns out to hold something', async () => {
    await run('close', false)
    writeFileSync(path, Buffer.alloc(sizeBytes, 9))
    expect(await run('close', false)).toBe('copy-2')
  })

  it('never comes back, wherever the opening of an emptied volume is cut short', async () => {
    for (let lastWrite = 0; lastWrite < 3; lastWrite++) {
      makeEmpty(path)
      await state.forgetVolume('vol-0')
      const before = await run('close', true)
      truncateSync(path, 0)
      truncateSync(path, sizeBytes)
      let writes = 0
      const cut = open((own) => ({
        read: () => own.read(),
        remove: () => own.remove(),
        write: (document) => {
          if (writes++ < lastWrite) return own.write(document)
          return Promise.reject(new Error('The power went'))
        },
      }))
      if (lastWrite < 2) await expect(cut).rejects.toThrow('The power went')
      else await (await cut).abandon()
      expect(await run('close', false)).not.toBe(before)
    }
  })
})
