import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockAgent } from '../../../agent/agent_lock.ts'
import type { SavedState } from '../../../agent/tracking/track_memory.ts'
import { deviceIdentityOf } from '../../../agent/inventory/disk_identity.ts'
import { readDisks } from '../../../agent/inventory/disks.ts'
import { mergesDiscards } from '../../../agent/tracking/choose.ts'
import { diskIdentity } from '../../../agent/tracking/disk_identity.ts'
import { MarkFile } from '../../../agent/tracking/mark_file.ts'
import { isInMemory } from '../../../agent/tracking/run_folder.ts'
import { Subscriptions } from '../../../agent/tracking/subscriptions.ts'
import { TrackFolder } from '../../../agent/tracking/track_folder.ts'
import { blockSizeBytes, sectorSizeBytes } from '../../../domain/units.ts'
import type { Tree } from './captured_trees.ts'
import { diskFiles, partitionFiles, treeFiles } from './captured_trees.ts'

const sectorsPerBlock = blockSizeBytes / sectorSizeBytes

describe('diskIdentity()', () => {
  const link = { '/sys/dev/block/8:0': '→ /sys/block/sda', '/sys/block/sda/size': '1000' }
  const serial = { '/sys/block/sda/device/serial': 'S-1' }
  const of = (tree: Tree) => diskIdentity(treeFiles({ ...link, ...tree }), '8:0', '/dev/sda')

  it('is of the disk, and of the time for which this kernel has it', async () => {
    expect(await of({ ...serial, '/sys/block/sda/diskseq': '9' })).toBe('9 S-1')
    expect(await of({ '/sys/block/sda/diskseq': '9' })).toBe('9 /dev/sda')
    expect(await of({ ...serial, '/sys/block/sda/removable': '0' })).toBe('folder 77 S-1')
  })

  it('is none where another disk could stand in its place unnoticed', async () => {
    expect(await of({ '/sys/block/sda/removable': '0' })).toBeUndefined()
    expect(await of({ ...serial, '/sys/block/sda/removable': '1' })).toBeUndefined()
    expect(await diskIdentity(treeFiles({}), '8:0', '/dev/sda')).toBeUndefined()
  })
})

describe('mergesDiscards()', () => {
  const of = (queue: Tree) =>
    mergesDiscards(treeFiles({ '/sys/dev/block/259:0/queue': '→ /queue', ...queue }), '259:0')

  it('goes by what the kernel says of the disk', async () => {
    expect(await of({ '/queue/max_discard_segments': '256', '/queue/discard_max_hw_bytes': '4096' })).toBe(
      true,
    )
    expect(await of({ '/queue/max_discard_segments': '256' })).toBe(true)
    expect(await of({ '/queue/max_discard_segments': '256', '/queue/discard_max_hw_bytes': '0' })).toBe(false)
    expect(await of({ '/queue/max_discard_segments': '1', '/queue/discard_max_hw_bytes': '4096' })).toBe(
      false,
    )
    expect(await of({ '/queue/discard_max_hw_bytes': '4096' })).toBe(false)
    expect(await mergesDiscards(treeFiles({}), '259:0')).toBe(false)
  })
})

describe('deviceIdentityOf()', () => {
  const files = treeFiles({
    ...diskFiles('vda', 'pci/virtio1', '253:0', 4096, { diskseq: '9\n', serial: 'S-1\n' }),
    ...diskFiles('vdb', 'pci/virtio2', '253:16', 4096, { diskseq: '10\n' }),
    ...partitionFiles('vda', 'pci/virtio1', 'vda1', '253:1'),
    '/proc/sys/kernel/random/boot_id': 'boot-1\n',
  })

  it('is the serial number, or else the name, and the attachment of this boot', async () => {
    expect(await deviceIdentityOf(files, '253:0', '/dev/vda')).toEqual({
      stableId: 'S-1',
      attachmentId: 'boot-1/9',
    })
    expect(await deviceIdentityOf(files, '253:16', '/dev/vdb')).toEqual({
      stableId: '/dev/vdb',
      attachmentId: 'boot-1/10',
    })
  })

  it('is that of the inventory', async () => {
    for (const { deviceName, stableId, attachmentId } of await readDisks(files, undefined)) {
      const number = deviceName === '/dev/vda' ? '253:0' : '253:16'
      expect(await deviceIdentityOf(files, number, deviceName)).toEqual({ stableId, attachmentId })
    }
  })

  it('is of a partition its name, and that its disk is attached', async () => {
    const identity = { stableId: '/dev/vda1', attachmentId: 'boot-1/9' }
    expect(await deviceIdentityOf(files, '253:1', '/dev/vda1')).toEqual(identity)
  })

  it('is the name alone of what is gone', async () => {
    expect(await deviceIdentityOf(files, '8:0', '/dev/sda')).toEqual({ stableId: '/dev/sda' })
  })
})

describe('lockAgent()', () => {
  it.runIf(process.platform === 'linux')('lets one agent have a folder at a time', async () => {
    const first = await lockAgent('/tests/one')
    await expect(lockAgent('/tests/one')).rejects.toThrow(
      'Another agent runs with the state directory /tests/one; end it first',
    )
    await (await lockAgent('/tests/other')).release()
    await first.release()
    await (await lockAgent('/tests/one')).release()
  })
})

describe('isInMemory()', () => {
  it('looks at the file system that a folder is in, or would be made in', async () => {
    expect(await isInMemory('/dev/shm')).toBe(true)
    expect(await isInMemory('/dev/shm/not/there/yet')).toBe(true)
    expect(await isInMemory('/proc/not/there')).toBe(false)
  })
})

describe('what outlives a run', () => {
  let path: string

  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'rehost-run-'))
  })
  afterEach(() => rmSync(path, { recursive: true, force: true }))

  const state: SavedState = {
    copyId: 'copy-1',
    rescanEpoch: 0,
    isInitialSyncDone: true,
    hasDurableBlocks: true,
  }
  const disk = { diskId: 'd', volumeId: 'vol-1', sizeBytes: 100_000 * blockSizeBytes }
  const makeFile = () =>
    MarkFile.create(join(path, 'one.marks'), { ...disk, ringId: 'r', device: [8, 0] as [number, number] })
  const reloaded = (file: MarkFile): MarkFile => {
    file.close()
    return MarkFile.load(file.path)
  }
  const marksOf = (file: MarkFile) => [...file.marks()]

  it('marks whole blocks of every sector touched, up to the end of the volume', () => {
    const file = makeFile()
    file.mark(sectorsPerBlock - 1, 2)
    file.mark(40_000 * sectorsPerBlock, 1)
    file.mark(99_999 * sectorsPerBlock, 1000 * sectorsPerBlock)
    file.flush()
    expect(marksOf(reloaded(file))).toEqual(
      [0, 1, 40_000, 99_999].map((firstBlock) => ({ firstBlock, blockCount: 1 })),
    )
  })

  it.each([
    ['another disk was in its place', { diskId: 'e' }],
    ['it was copied to another volume', { volumeId: 'vol-2' }],
    // Within its last block, too: of what is new nothing was ever sent.
    ['its size has changed', { sizeBytes: disk.sizeBytes + 512 }],
  ])('is refused to a disk of which it does not speak: %s', (reason, change) => {
    const device = { major: 8, minor: 0 }
    const sink = { changed: () => undefined, lost: () => undefined }
    const added = (own: typeof disk) => {
      const subscriptions = new Subscriptions(
        () => 0,
        (work) => work(),
      )
      const file = makeFile()
      file.save(state, [])
      subscriptions.restore([reloaded(file)], [device])
      return subscriptions.add(device, sink, own)
    }
    expect(added({ ...disk, ...change })).toMatchObject({ refusal: reason, own: { file: undefined } })
    expect(added(disk).refusal).toBeUndefined()
  })

  it('says nothing of the copy between growing and the next saving, and marks what is new', () => {
    const file = makeFile()
    file.save(state, [])
    file.grow(disk.sizeBytes + blockSizeBytes)
    file.mark(100_000 * sectorsPerBlock, 1)
    file.flush()
    const grown = reloaded(file)
    expect(grown.header).toMatchObject({ sizeBytes: disk.sizeBytes + blockSizeBytes })
    expect(grown.header.state).toBeUndefined()
    expect(marksOf(grown)).toEqual([{ firstBlock: 100_000, blockCount: 1 }])
    grown.save(state, [{ firstBlock: 5, blockCount: 40 }])
    const saved = reloaded(grown)
    expect(saved.header.state).toEqual(state)
    expect(marksOf(saved).reduce((sum, { blockCount }) => sum + blockCount, 0)).toBe(40)
    saved.close()
  })

  it('knows of a blank volume how far it was ever written, before it is', () => {
    const scan = { mode: 'BLANK', purpose: 'INITIAL', isPartial: false, differences: 0 } as const
    const file = makeFile()
    file.save({ ...state, scan: { ...scan, cursor: 256, attemptedEnd: 300 } }, [])
    const attempted = (own: MarkFile) => own.header.state?.scan?.attemptedEnd ?? 0
    const first = reloaded(file)
    expect(attempted(first)).toBeGreaterThanOrEqual(300)
    const beyond = attempted(first) + 1
    first.willSend(beyond)
    const second = reloaded(first)
    expect(attempted(second)).toBeGreaterThanOrEqual(beyond)
    expect(second.header.state?.scan?.cursor).toBe(256)
    second.close()
  })

  it('does not let an older state speak of newer marks', () => {
    const file = makeFile()
    const scan = {
      mode: 'COMPARE',
      purpose: 'RESCAN',
      isPartial: false,
      attemptedEnd: 0,
      differences: 0,
    } as const
    file.save(state, [{ firstBlock: 7, blockCount: 1 }])
    // Killed after the marks were replaced: the rescan that has begun is not known yet.
    const stop = (): never => {
      throw new Error('Killed')
    }
    const outstanding = (function* () {
      yield { firstBlock: 9, blockCount: 1 }
      stop()
    })()
    expect(() => file.save({ ...state, scan: { ...scan, cursor: 0 } }, outstanding)).toThrow('Killed')
    const killed = reloaded(file)
    expect(killed.header.state).toBeUndefined()
    killed.close()
  })

  it('forgets a loss only with the state that makes it good', () => {
    const file = makeFile()
    file.save(state, [])
    file.lost('the ring was full')
    const told = reloaded(file)
    expect(told.header.lost).toBe('the ring was full')
    told.save(state, [])
    expect(told.header.lost).toBeUndefined()
    told.close()
  })

  it('says that discards were under way of which a later run sees only the end', () => {
    const traced = [{ major: 8, minor: 0, mergesDiscards: true }]
    /** What a run of the agent, that begins with `file`, makes of its events. */
    const run = (file: MarkFile) => {
      const subscriptions = new Subscriptions(
        () => 0,
        (work) => work(),
      )
      subscriptions.restore([file], traced)
      return subscriptions
    }
    const first = makeFile()
    first.save(state, [])
    const before = run(first)
    expect(first.header.lost).toBeUndefined()
    before.discardQueued(8, 0, 100, 8)
    before.markEnded()
    first.flush()
    const second = reloaded(first)
    const after = run(second)
    expect(second.header.lost).toBe('discards were under way when the run before ended')
    // What it begins with itself is not that.
    second.save(state, [])
    after.discardQueued(8, 0, 100, 8)
    after.discardEnded(8, 0, 8)
    after.markEnded()
    second.flush()
    after.beginLook()?.()
    after.markEnded()
    second.flush()
    const third = reloaded(second)
    run(third)
    expect(third.header.lost).toBeUndefined()
    third.close()
  })

  it('is believed by the next run of this machine only', () => {
    const folder = (generation: number, bootId = 'boot-1') =>
      new TrackFolder({ path, instanceName: 'rehost-test', bootId, generation, newRingId: () => 'r' })
    const ring = { folderId: '1', filter: 'f', discardFilter: 'd', lost: 0, records: 5 }
    const first = folder(3)
    expect(first.find()).toMatch(/^no earlier run/)
    first.record(ring, [{ major: 8, minor: 0 }]).close()
    expect(folder(5).find()).toMatch(/^the run before \(4\) was not this machine's \(3\)/)
    // A refusal leaves no trace that would make it an acceptance the next time.
    expect(folder(6).find()).toMatch(/^the run before \(5\) was not this machine's \(3\)/)
    expect(folder(4, 'boot-2').find()).toBe('the machine was started anew')
    expect(folder(4).find()).toMatchObject({ ring: { ...ring, ringId: 'r' }, files: [] })
    expect(folder(5).find()).toMatchObject({ ring })
  })
})
