import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { seal } from '../../../agent/reboot/sealer.ts'
import { decodeSeal } from '../../../agent/reboot/sealed_record.ts'
import { MarkFile } from '../../../agent/tracking/mark_file.ts'
import { Subscriptions } from '../../../agent/tracking/subscriptions.ts'

/** Writings that come before the last one, which says that all is there. */
const firstWritings = 1

describe('seal()', () => {
  let folder: string
  let file: MarkFile
  /** Pages as they arrived. */
  let written: Buffer[]
  let spoilt: Buffer[]

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'rehost-sealer-'))
    const disk = { diskId: 'one', volumeId: 'vol-1', sizeBytes: 65_536 }
    file = MarkFile.create(join(folder, 'one.marks'), { ...disk, ringId: 'r', device: [8, 0] })
    file.save({ copyId: 'c', rescanEpoch: 0, isInitialSyncDone: true, hasDurableBlocks: true }, [])
    written = []
    spoilt = []
  })
  afterEach(() => {
    file.close()
    rmSync(folder, { recursive: true })
  })

  /** Runs it. `check` and `write` are asked with the number of writings before. */
  async function run(
    check: (before: number) => void,
    write: (before: number) => void = () => undefined,
  ): Promise<void> {
    let writings = 0
    await seal({
      plan: {
        bootId: 'boot',
        token: '0123456789abcdef',
        places: {
          nonce: 'ab'.repeat(16),
          device: '8:0',
          parts: [{ fileByte: 0, deviceByte: 0, bytes: 4096 }],
        },
      },
      loaderFile: { lastingId: 'disk', firstSector: 8, sectorCount: 8 },
      generation: 1,
      trace: {
        pump: () => Promise.resolve(),
        check: async () => check(writings),
      },
      subscriptions: new Subscriptions(
        () => 0,
        (work) => work(),
      ),
      files: [file],
      disks: [
        {
          kernelName: 'sda',
          device: { major: 8, minor: 0 },
          sizeBytes: 65_536,
          lastingId: 'disk',
          diskId: 'one',
          firmwareParts: [],
        },
      ],
      write: async (pages) => {
        const before = writings++
        write(before)
        written.push(pages)
      },
      spoil: async (pages) => {
        spoilt.push(pages)
      },
    })
  }

  /** Why what arrived last proves nothing; undefined when it is proof. */
  const refusal = () => decodeSeal(written.at(-1) ?? Buffer.alloc(0))?.refusal

  it('says at last that all is there', async () => {
    await run(() => undefined)
    expect(written).toHaveLength(firstWritings + 1)
    expect(decodeSeal(written.at(-1) ?? Buffer.alloc(0))?.disks).toHaveLength(1)
    expect(refusal()).toBeUndefined()
  })

  const blind = (before: number): void => {
    if (before > firstWritings) throw new Error('the rings are gone')
  }

  it('takes the record back when the look after it fails', async () => {
    await expect(run(blind)).rejects.toThrow('the rings are gone')
    expect(written).toHaveLength(firstWritings + 2)
    expect(refusal()).toContain('the rings are gone')
    expect(spoilt).toEqual([])
  })

  it('takes it back when its writing fails, which may have been at the very end', async () => {
    const write = (before: number): void => {
      if (before === firstWritings) throw new Error('no flush')
    }
    await expect(run(() => undefined, write)).rejects.toThrow('no flush')
    expect(refusal()).toContain('no flush')
  })

  it('tries more than once to take it back', async () => {
    const write = (before: number): void => {
      if (before === firstWritings + 1) throw new Error('the disk is busy')
    }
    await expect(run(blind, write)).rejects.toThrow('the rings are gone')
    expect(refusal()).toContain('the rings are gone')
    expect(spoilt).toEqual([])
  })

  it('spoils what pages it can where they cannot all be written', async () => {
    const write = (before: number): void => {
      if (before > firstWritings) throw new Error('a page is lost')
    }
    await expect(run(blind, write)).rejects.toThrow('the rings are gone')
    expect(refusal()).toBeUndefined()
    expect(spoilt.map((pages) => decodeSeal(pages)?.refusal)).toEqual([
      'nobody saw whether the disks were written to after it was sealed: the rings are gone',
    ])
  })
})
