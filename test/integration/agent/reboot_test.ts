import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SealPlan } from '../../../agent/reboot/seal_plan.ts'
import { systemClock } from '../../../agent/clock.ts'
import { machineFiles } from '../../../agent/inventory/system_files.ts'
import { BootBuffer } from '../../../agent/reboot/boot_buffer.ts'
import { RebootKeeper } from '../../../agent/reboot/reboot_keeper.ts'
import { RawPages, SealFile, sealFileName } from '../../../agent/reboot/seal_file.ts'
import { encodeSeal, sealFileBytes } from '../../../agent/reboot/sealed_record.ts'
import { seal } from '../../../agent/reboot/sealer.ts'
import { runCommand } from '../../../agent/run_command.ts'
import { PieceRoom } from '../../../agent/sync/piece_room.ts'
import { prepareTracing } from '../../../agent/tracking/choose.ts'
import { tracingFolder } from '../../../agent/tracking/instance_names.ts'
import { Subscriptions } from '../../../agent/tracking/subscriptions.ts'
import type { DeviceNumber } from '../../../agent/tracking/trace.ts'
import { parseDeviceNumber } from '../../../agent/tracking/trace.ts'
import { TraceHub } from '../../../agent/tracking/trace_hub.ts'
import { TraceInstance } from '../../../agent/tracking/trace_instance.ts'
import { TracefsTracker } from '../../../agent/tracking/tracefs_tracker.ts'
import { leftAtShutdown, TrackFolder } from '../../../agent/tracking/track_folder.ts'
import { isRoot, LoopDisk } from './loop_disk.ts'

const block = 65_536
const sizeMiB = 64
const sizeBytes = sizeMiB * 2 ** 20
const event = join(tracingFolder, 'events/block/block_rq_complete/enable')
const token = 'a-token-of-sixteen-or-more'
const instanceName = 'rehost-reboot-test'

/** Digests of the blocks of a device, as its disk has them. */
async function blocksOf(disk: LoopDisk): Promise<string[]> {
  execFileSync('sync')
  execFileSync('blockdev', ['--flushbufs', disk.device])
  const bytes = await readFile(disk.device)
  return Array.from({ length: sizeBytes / block }, (_, index) =>
    createHash('sha256')
      .update(bytes.subarray(index * block, (index + 1) * block))
      .digest('hex'),
  )
}

describe.runIf(isRoot)('tracking through a reboot', () => {
  let folder: string
  let disk: LoopDisk
  let device: DeviceNumber

  beforeEach(async () => {
    expect(await prepareTracing(runCommand, true)).toBeUndefined()
    folder = mkdtempSync(join(tmpdir(), 'rehost-reboot-'))
    disk = await LoopDisk.make(sizeMiB)
    device = parseDeviceNumber((await machineFiles.facts(disk.device))?.deviceNumber ?? '')
  })

  afterEach(async () => {
    await writeFile(event, '0')
    await writeFile(join(tracingFolder, 'trace'), '')
    await TraceInstance.remove(instanceName)
    try {
      execFileSync('umount', [disk.mountPoint], { stdio: 'ignore' })
    } catch {
      // It is not mounted, as after a test that has come to its end.
    }
    await disk.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  function mount(): void {
    mkdirSync(disk.mountPoint, { recursive: true })
    execFileSync('mount', [disk.device, disk.mountPoint])
  }

  /** With blocks of the size that every larger file system has. */
  function makeFileSystem(): void {
    execFileSync('mkfs.ext4', [
      '-q',
      '-b',
      '4096',
      '-E',
      'lazy_itable_init=0,lazy_journal_init=0',
      disk.device,
    ])
    mount()
  }

  /** Begins to trace as a kernel does that is told to: nothing was counted or traced before. Answers where the counts are then found. */
  async function startKernel(): Promise<() => BootBuffer> {
    const name = `${device.major}:${device.minor}`
    const counts = async (): Promise<number[]> =>
      (await readFile(`/sys/dev/block/${name}/stat`, 'utf8')).trim().split(/\s+/).map(Number)
    await writeFile(join(tracingFolder, 'trace'), '')
    await writeFile(join(tracingFolder, 'buffer_size_kb'), '4096')
    await writeFile(event, '1')
    const before = await counts()
    // Other disks of this machine are written to as well.
    for (const other of readdirSync('/sys/dev/block'))
      mkdirSync(join(folder, other, 'queue'), { recursive: true })
    return () => {
      const queue = join(folder, name, 'queue')
      writeFileSync(join(queue, 'iostats'), '1\n')
      const now = readFileSync(`/sys/dev/block/${name}/stat`, 'utf8').trim().split(/\s+/).map(Number)
      const since = now.map((count, index) => count - (before[index] ?? 0))
      writeFileSync(join(folder, name, 'stat'), since.join(' '))
      return new BootBuffer(tracingFolder, folder, join(folder, 'ended'))
    }
  }

  /** What is read, and why something may be missing. */
  async function read(buffer: BootBuffer): Promise<{ blocks: Set<number>; fault: string | undefined }> {
    const blocks = new Set<number>()
    const fault = await buffer.read([device], {
      changed: (major, minor, sector) => {
        if (major === device.major && minor === device.minor) blocks.add(Math.floor(sector / 128))
      },
      lost: (reason) => expect.unreachable(reason),
    })
    return { blocks, fault }
  }

  it('finds what changed since the kernel was started, and ends that trace', async () => {
    const buffer = await startKernel()
    await disk.write(5 * block, new Uint8Array(4096).fill(1))
    await disk.discard(9 * block, block)
    const { blocks, fault } = await read(buffer())
    expect(fault).toBeUndefined()
    expect([...blocks].sort((a, b) => a - b)).toEqual([5, 9])
    expect((await readFile(event, 'utf8')).trim()).toBe('0')
    expect((await read(buffer())).fault).toBe("the kernel's trace since its start was ended before")
    rmSync(join(folder, 'ended'))
    expect((await read(buffer())).fault).toContain(
      'is not as it was begun (events/block/block_rq_complete/enable is 0)',
    )
  })

  it('does not believe a trace of writes to a disk that is gone, or there by another number', async () => {
    const buffer = await startKernel()
    const lost = await LoopDisk.make(1)
    try {
      const number = (await machineFiles.facts(lost.device))?.deviceNumber ?? ''
      await lost.write(0, new Uint8Array(4096).fill(1))
      rmSync(join(folder, number), { recursive: true, force: true })
      expect((await read(buffer())).fault).toBe(
        `device ${number} was written to after the kernel's start and is gone`,
      )
    } finally {
      await lost.remove()
    }
  })

  it.each([
    ['was emptied', () => writeFile(join(tracingFolder, 'trace'), ''), /the kernel traced 0 of \d+ sectors/],
    ['is off', () => writeFile(join(tracingFolder, 'tracing_on'), '0'), /tracing_on is 0/],
    [
      'was read by another',
      async () => {
        await runCommand('timeout', ['0.5', 'cat', join(tracingFolder, 'trace_pipe')]).catch(() => undefined)
      },
      /somebody else took events/,
    ],
    [
      'was off for a while',
      async () => {
        await writeFile(event, '0')
        await disk.write(7 * block, new Uint8Array(4096).fill(2))
        await writeFile(event, '1')
      },
      /the kernel traced \d+ of \d+ sectors/,
    ],
  ])('does not believe a trace that %s', async (_what, meddle, reason) => {
    const buffer = await startKernel()
    await disk.write(5 * block, new Uint8Array(4096).fill(1))
    try {
      await meddle()
      expect((await read(buffer())).fault).toMatch(reason)
    } finally {
      await writeFile(join(tracingFolder, 'tracing_on'), '1')
    }
  })

  it('seals past the file system, and writes no page that is not its own any more', async () => {
    makeFileSystem()
    let nonces = 0
    const file = new SealFile(disk.mountPoint, machineFiles, runCommand, () =>
      String(nonces++).padStart(32, '0'),
    )
    const places = await file.prepare()
    expect(await file.read()).toBeUndefined()
    execFileSync('umount', [disk.mountPoint])
    const record = {
      bootId: 'one',
      generation: 7,
      token,
      loaderFile: { lastingId: 'disk', firstSector: 8, sectorCount: 8 },
      disks: [],
    }
    await new RawPages(disk.device, places).write(encodeSeal(places.nonce, record))
    mount()
    expect(await file.read()).toEqual(record)
    execFileSync('umount', [disk.mountPoint])
    // One page is enough to take it back.
    const place = places.parts[0]
    if (place === undefined) expect.unreachable('the file is nowhere')
    const last = { fileByte: sealFileBytes - 4096, deviceByte: place.deviceByte + sealFileBytes - 4096 }
    const lastPage = { ...places, parts: [{ ...last, bytes: 4096 }] }
    const refused = encodeSeal(places.nonce, { ...record, refusal: 'no' })
    await new RawPages(disk.device, lastPage).spoil(refused)
    await expect(
      new RawPages(disk.device, { ...lastPage, nonce: 'f'.repeat(32) }).spoil(refused),
    ).rejects.toThrow(`no page on ${disk.device} could be taken back`)
    mount()
    await expect(file.read()).rejects.toThrow('it was not written to its end')
    const next = await file.prepare()
    expect(await file.read()).toBeUndefined()
    // The file is removed, and another one has taken the place of a page.
    const stolen = (next.parts[0]?.deviceByte ?? 0) + 4096
    rmSync(join(disk.mountPoint, sealFileName))
    execFileSync('umount', [disk.mountPoint])
    await disk.write(stolen, new Uint8Array(4096).fill(9))
    const before = await disk.digest()
    await expect(new RawPages(disk.device, next).write(encodeSeal(next.nonce, record))).rejects.toThrow(
      `byte ${stolen} of ${disk.device} does not hold the file any more`,
    )
    expect(await disk.digest()).toBe(before)
  })

  it('knows of every block that differs after a shutdown and a start, without comparing', async () => {
    const present = {
      kernelName: disk.device.slice(5),
      device,
      sizeBytes,
      lastingId: 'disk one',
      firmwareParts: [],
    }
    let plan: SealPlan | undefined
    const run = async (boot: string, generation: number, buffer: BootBuffer) => {
      const diskId = `${boot} one`
      const keeper = new RebootKeeper({
        bootId: boot,
        generation,
        seal: new SealFile(disk.mountPoint, machineFiles, runCommand, () =>
          createHash('md5').update(boot).digest('hex'),
        ),
        loader: {
          facts: () =>
            Promise.resolve({
              commandLine: `trace_event=block:block_rq_complete rehost.boot=${token}`,
              loaderType: 0x72,
              isCrashKernel: false,
              tokenLeft: undefined,
              tokenGiven: token,
            }),
          arm: () => Promise.resolve(),
        },
        buffer,
        disks: () => Promise.resolve([{ ...present, diskId }]),
        newToken: () => token,
        plan: (made) => {
          plan = made
        },
        warn: (message) => expect.unreachable(message),
      })
      await keeper.begin()
      const hub = new TraceHub(systemClock, {
        boot: keeper,
        folder: new TrackFolder({
          path: join(folder, boot),
          instanceName,
          bootId: boot,
          generation,
          newRingId: () => `ring of ${boot}`,
        }),
      })
      const tracker = new TracefsTracker({
        hub,
        device,
        sizeBytes,
        reason: 'test',
        room: new PieceRoom(),
        disk: { diskId, volumeId: 'vol-1', sizeBytes },
      })
      await tracker.start()
      return { hub, tracker }
    }
    makeFileSystem()
    const first = await run(
      'first',
      1,
      new BootBuffer(tracingFolder, '/sys/dev/block', join(folder, 'first-ended')),
    )
    expect(first.tracker.memory?.inherited).toContain('the machine was not shut down cleanly')
    await writeFile(join(disk.mountPoint, 'a'), new Uint8Array(2 ** 20).fill(1))
    const copy = await blocksOf(disk)
    await first.tracker.drain(true)
    const state = { copyId: 'c', rescanEpoch: 0, isInitialSyncDone: true, hasDurableBlocks: true }
    first.tracker.memory?.save(state, [])
    await writeFile(join(disk.mountPoint, 'b'), new Uint8Array(2 ** 20).fill(2))
    await first.hub.leave()
    await writeFile(join(disk.mountPoint, 'c'), new Uint8Array(2 ** 20).fill(3))
    execFileSync('umount', [disk.mountPoint])

    if (plan === undefined) expect.unreachable('nothing was noted for the shutdown')
    const left = leftAtShutdown(join(folder, 'first'))
    const subscriptions = new Subscriptions(
      () => systemClock.monotonicMs(),
      (work) => work(),
    )
    subscriptions.restore(left.files, left.ring.devices)
    const trace = await TraceInstance.adopt([device], subscriptions, { name: instanceName }, left.ring)
    const raw = new RawPages(disk.device, plan.places)
    let writes = 0
    const record = await seal({
      plan,
      loaderFile: { lastingId: 'other', firstSector: 8, sectorCount: 8 },
      generation: left.generation,
      trace,
      subscriptions,
      files: left.files,
      disks: [{ ...present, diskId: 'first one' }],
      write: (pages) => {
        writes += 1
        return raw.write(pages)
      },
      spoil: (pages) => raw.spoil(pages),
    })
    expect(record.disks).toHaveLength(1)
    // Twice until all is known, and once to say so.
    expect(writes).toBe(3)
    await trace.close()

    const buffer = await startKernel()
    mount()
    await writeFile(join(disk.mountPoint, 'd'), new Uint8Array(2 ** 20).fill(4))
    execFileSync('sync')
    const second = await run('second', 2, buffer())
    await writeFile(join(disk.mountPoint, 'e'), new Uint8Array(2 ** 20).fill(5))
    execFileSync('umount', [disk.mountPoint])
    const inherited = second.tracker.memory?.inherited
    if (inherited === undefined || typeof inherited === 'string') throw new Error(`Compared: ${inherited}`)
    const known = new Set<number>()
    for (const { firstBlock, blockCount } of inherited.marks)
      for (let index = firstBlock; index < firstBlock + blockCount; index++) known.add(index)
    const now = await blocksOf(disk)
    const drained = await second.tracker.drain(true)
    if (drained.lost) throw new Error(drained.reason)
    for (const { firstBlock, blockCount } of drained.changed)
      for (let index = firstBlock; index < firstBlock + blockCount; index++) known.add(index)
    const differing = [...now.keys()].filter((index) => now[index] !== copy[index])
    expect(differing.filter((index) => !known.has(index))).toEqual([])
    // Four files of a megabyte each, and the record's own file.
    expect(differing.length).toBeGreaterThan(64)
    expect(known.size).toBeLessThan(sizeBytes / block / 2)
    await second.tracker.stop()
  })
})
