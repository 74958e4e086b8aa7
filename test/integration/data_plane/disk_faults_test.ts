/**
 * Disks of the staging area that fail under a replication that goes on: every part of a volume's state, every call, every error. Replication
 * pauses with a reason that the operator can act on, goes on by itself when the disk is well, and nothing is lost.
 *
 * `SEED=…` replays.
 * @module
 */
import { describe, expect, it } from 'vitest'
import type { DocumentStore, VolumeCheckpoint } from '../../../replicator/checkpoint.ts'
import type { Disk } from '../../../replicator/disk.ts'
import type { VolumeParts } from '../../../replicator/volume_parts.ts'
import { seedFor } from '../../fixtures/seed.ts'
import { SimWorld } from './sim_world.ts'
import { withCalls } from '../../fixtures/disk_calls.ts'

const seed = seedFor('disk faults')

type Part = 'data' | 'index' | 'checkpoint'
type Call = 'read' | 'write' | 'flush'

interface Fault {
  part: Part
  call: Call
  code: string
}

const errors: Record<Call, readonly string[]> = {
  read: ['EIO'],
  write: ['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO', 'EROFS'],
  flush: ['EIO', 'ENOSPC', 'EDQUOT', 'EROFS'],
}

/** A checkpoint is a document: written and flushed in one. It is read only when a volume is opened. */
const calls: Record<Part, readonly Call[]> = {
  data: ['read', 'write', 'flush'],
  index: ['read', 'write', 'flush'],
  checkpoint: ['write'],
}

const faults: Fault[] = (Object.keys(calls) as Part[]).flatMap((part) =>
  calls[part].flatMap((call) => errors[call].map((code) => ({ part, call, code }))),
)

/** `disk` whose `call` fails with `code` as long as `isFailing`. */
function failingDisk(disk: Disk, { call, code }: Fault, isFailing: () => boolean): Disk {
  const fail = (): Promise<never> => Promise.reject(Object.assign(new Error(`Injected ${code}`), { code }))
  switch (call) {
    case 'read':
      return withCalls(disk, { read: (into, at) => (isFailing() ? fail() : disk.read(into, at)) })
    case 'write':
      return withCalls(disk, { write: (from, at) => (isFailing() ? fail() : disk.write(from, at)) })
    case 'flush':
      return withCalls(disk, { flush: () => (isFailing() ? fail() : disk.flush()) })
  }
}

function failingParts(parts: VolumeParts, fault: Fault, isFailing: () => boolean): VolumeParts {
  if (fault.part === 'data') return { ...parts, data: failingDisk(parts.data, fault, isFailing) }
  if (fault.part === 'index') {
    return {
      ...parts,
      openIndex: async (bytes, isFresh) => {
        const opened = await parts.openIndex(bytes, isFresh)
        return { ...opened, disk: failingDisk(opened.disk, fault, isFailing) }
      },
    }
  }
  const { checkpoint } = parts
  const failing: DocumentStore<VolumeCheckpoint> = {
    read: () => checkpoint.read(),
    remove: () => checkpoint.remove(),
    write: (document) =>
      isFailing()
        ? Promise.reject(Object.assign(new Error(`Injected ${fault.code}`), { code: fault.code }))
        : checkpoint.write(document),
  }
  return { ...parts, checkpoint: failing }
}

/** What of the volume's use makes the call: everything else of it may go well for long. */
async function provoke(world: SimWorld, { call, part }: Fault): Promise<void> {
  if (call === 'read') {
    // Blocks are read when the index does not know them, and the index whenever hashes are compared.
    await world.restartReplicator(true)
    world.agent.apply({ rescanEpoch: world.agent.desired.rescanEpoch + 1 })
  }
  // Opening a volume ends with a checkpoint.
  if (part === 'checkpoint') await world.restartReplicator(true)
}

/** Saves what is known of the index in memory only, as the replicator does each second; small writes alone never write to it otherwise. */
async function keepTidying(world: SimWorld, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await world.replicator.registry.tidy(true)
    await world.turns(40)
  }
}

const isFull = (code: string): boolean => code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'

describe('a disk of the staging area that fails', () => {
  it.each(faults)('at $call of the $part with $code pauses with the reason and goes on', async (fault) => {
    const world = new SimWorld(seed, { isAllTracked: true, diskBytes: [15 * 65_536 + 1536, 5 * 65_536] })
    let isFailing = false
    let failures = 0
    const isFailingNow = (): boolean => {
      if (isFailing) failures += 1
      return isFailing
    }
    world.replicator.wrap = (parts, diskIndex) =>
      diskIndex === 0 ? failingParts(parts, fault, isFailingNow) : parts
    try {
      await world.replicator.start()
      await world.converge()
      world.startWriters()
      await world.sources[0]?.writeSomewhere()
      isFailing = true
      let isTold = false
      await provoke(world, fault)
      const tidying = fault.part === 'index' ? keepTidying(world, () => isTold) : Promise.resolve()
      const told = () => world.replicator.registry.servers[0]?.report().error
      await world
        .until('the operator is told why', () => {
          const { error } = world.agent.engine.report()
          return [told(), error?.rawError].every((said) => said?.includes(fault.code))
        })
        .finally(() => (isTold = true))
      await tidying
      const reason = told() ?? ''
      expect(reason).toMatch(
        isFull(fault.code) ? /no space is left in the staging area/ : /check the staging disk/,
      )
      expect(reason).toMatch(/Nothing that was acknowledged is lost/)
      const { error } = world.agent.engine.report()
      expect(error?.whatToDo).toMatch(
        isFull(fault.code) ? /Make room in the staging area/ : /disk under the staging area/,
      )
      expect(failures).toBeGreaterThan(0)
      await world.stopWriters()
      isFailing = false
      await world.converge()
      expect(told(), 'once it is well nothing is said any more').toBeUndefined()
      await world.finish()
    } finally {
      await world.end()
    }
  })

  it.each(['data', 'index'] as const)('by doing less than asked at the %s is asked again', async (part) => {
    const world = new SimWorld(seed, { isAllTracked: true })
    const short = (disk: Disk): Disk =>
      withCalls(disk, {
        write: (from, at) => disk.write(from.subarray(0, Math.min(from.length, 3008)), at),
        read: (into, at) => disk.read(into.subarray(0, Math.min(into.length, 992)), at),
      })
    world.replicator.wrap = (parts) =>
      part === 'data'
        ? { ...parts, data: short(parts.data) }
        : {
            ...parts,
            openIndex: async (bytes, isFresh) => {
              const opened = await parts.openIndex(bytes, isFresh)
              return { ...opened, disk: short(opened.disk) }
            },
          }
    try {
      await world.replicator.start()
      world.startWriters()
      await world.turns(200)
      await world.finish()
    } finally {
      await world.end()
    }
  })
})
