import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  appendedPaths,
  appendix,
  initramfsPaths,
  UnreadableInitramfsError,
} from '../../../conversion/cpio.ts'
import type { ArchiveEntry } from '../../../conversion/cpio.ts'
import { withDependencies } from '../../../conversion/linux/initramfs_archive.ts'
import { randomBytesFrom, randomInt, seededRandom, seedFor } from '../../fixtures/seed.ts'

/** One archive with empty files of these names. */
function archive(...names: string[]): Buffer {
  const entry = (name: string): Buffer => {
    const fields = [1, 0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.length + 1, 0]
    const head = Buffer.from(
      `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`,
    )
    return Buffer.concat([head, Buffer.alloc((4 - (head.length % 4)) % 4)])
  }
  return Buffer.concat([...names, 'TRAILER!!!'].map(entry))
}

const withAppended = (bytes: Buffer, entries: readonly ArchiveEntry[]): Buffer =>
  Buffer.concat([bytes, appendix(bytes.length, entries)])

const modules = 'usr/lib/modules/6.1/kernel/virtio_blk.ko'

describe('initramfsPaths()', () => {
  it.each([
    ['plain', archive('init', modules)],
    ['gzip', gzipSync(archive('init', modules))],
    ['zstd', zstdCompressSync(archive('init', modules))],
  ])('reads a %s archive', (_name, bytes) => {
    expect(initramfsPaths(bytes)).toEqual(['init', modules])
  })

  it('reads what comes before the packed archive', () => {
    const bytes = Buffer.concat([
      archive('kernel/x86/microcode'),
      Buffer.alloc(100),
      gzipSync(archive('init')),
    ])
    expect(initramfsPaths(bytes)).toEqual(['kernel/x86/microcode', 'init'])
  })

  it.each([
    ['plain', archive('init')],
    ['gzip', gzipSync(archive('init'))],
    ['zstd', zstdCompressSync(archive('init'))],
  ])('reads what was appended to a %s archive, once or twice', (_name, bytes) => {
    const once = withAppended(bytes, [{ path: 'usr' }, { path: modules, content: Buffer.from('module') }])
    expect(initramfsPaths(once)).toEqual(['init', '.rehost-drivers', 'usr', modules])
    const twice = withAppended(once, [{ path: 'second', content: Buffer.alloc(3) }])
    expect(initramfsPaths(twice)).toEqual([
      'init',
      '.rehost-drivers',
      'usr',
      modules,
      '.rehost-drivers',
      'second',
    ])
  })

  it('appends without touching what is there, where the kernel looks for it', () => {
    const bytes = zstdCompressSync(archive('init'))
    const extended = withAppended(bytes, [{ path: modules, content: Buffer.from('module') }])
    expect(extended.subarray(0, bytes.length).equals(bytes)).toBe(true)
    expect(extended.indexOf('070701', bytes.length) % 512).toBe(0)
    expect(extended.includes('module')).toBe(true)
  })

  it('reads what was appended to what it cannot read, behind zeros', () => {
    for (const length of [1000, 1020, 1024]) {
      const bytes = withAppended(Buffer.alloc(length, 0xfd), [{ path: modules, content: Buffer.from('x') }])
      expect(() => initramfsPaths(bytes)).toThrow(UnreadableInitramfsError)
      expect(appendedPaths(bytes)).toEqual(['.rehost-drivers', modules])
      expect(bytes.readUInt32LE(length)).toBe(0)
    }
    expect(appendedPaths(Buffer.alloc(1000, 0xfd))).toEqual([])
  })

  it.each([
    ['nothing that is known', Buffer.from('BZh91AY&SY'.padEnd(200, 'x'))],
    [
      'a packed archive that is cut off',
      gzipSync(archive('init')).subarray(0, 20).toString('latin1').padEnd(200, 'x'),
    ],
    ['an archive that is cut off', archive('init', modules).subarray(0, 200)],
    [
      'sizes that are no numbers',
      Buffer.from(
        archive('init').toString('latin1').replace('00000001', 'zzzzzzzz').replaceAll('00000000', 'zzzzzzzz'),
        'latin1',
      ),
    ],
    ['an archive packed twice', gzipSync(gzipSync(archive('init')))],
  ])('refuses %s', (_name, bytes) => {
    const attempt = (): unknown => initramfsPaths(Buffer.from(bytes as string, 'latin1'))
    expect(attempt).toThrow(UnreadableInitramfsError)
  })

  it('refuses or reads whatever a guest may hold, and ends', () => {
    const random = seededRandom(seedFor('initial RAM disks'))
    for (let round = 0; round < 300; round++) {
      const bytes = withAppended(archive('init', modules), [
        { path: 'a', content: randomBytesFrom(random, 40) },
      ])
      for (let changes = 0; changes < 4; changes++)
        bytes[randomInt(random, 0, bytes.length - 1)] = randomInt(random, 0, 255)
      try {
        expect(Array.isArray(initramfsPaths(bytes))).toBe(true)
      } catch (error) {
        expect(error).toBeInstanceOf(UnreadableInitramfsError)
      }
    }
  })
})

describe('withDependencies()', () => {
  const modulesDep = [
    'kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko',
    'kernel/drivers/virtio/virtio-pci.ko.xz: kernel/drivers/virtio/virtio.ko',
    'kernel/drivers/virtio/virtio.ko:',
    'kernel/drivers/net/virtio_net.ko:',
  ].join('\n')

  it('names a driver, however its file is written, with all it needs and nothing twice', () => {
    expect(withDependencies(modulesDep, ['virtio_pci', 'virtio_blk'])).toEqual([
      'kernel/drivers/block/virtio_blk.ko',
      'kernel/drivers/virtio/virtio.ko',
      'kernel/drivers/virtio/virtio_ring.ko',
      'kernel/drivers/virtio/virtio-pci.ko.xz',
    ])
  })
})
