import { describe, expect, it } from 'vitest'
import type { SourceProperties } from '../../../domain/source_server.ts'
import { rightSize } from '../../../workers/launch/right_size.ts'

const mebibyte = 1024 ** 2
const source = (cores: number[], ramBytes: number): SourceProperties => ({
  lastUpdatedAt: '2026-01-01T00:00:00Z',
  identificationHints: { hostname: 'shop', fqdn: 'shop.example' },
  os: { fullString: 'Debian GNU/Linux 12', family: 'linux' },
  cpus: cores.map((count) => ({ cores: count, modelName: 'CPU' })),
  ramBytes,
  firmware: 'BIOS',
  networkInterfaces: [],
  disks: [],
})

describe('rightSize()', () => {
  it('adds up the cores of all sockets and rounds RAM up to whole 64 MiB', () => {
    expect(rightSize(source([4, 4], 3_999_000_000), 'BASIC')).toEqual({
      cpuCount: 8,
      ramBytes: 3840 * mebibyte,
    })
  })

  it('gives no less than one CPU and 512 MiB', () => {
    expect(rightSize(source([], 0), 'BASIC')).toEqual({ cpuCount: 1, ramBytes: 512 * mebibyte })
  })

  it('takes the template when it is off', () => {
    expect(rightSize(source([64], 2 ** 40), 'NONE')).toEqual({ cpuCount: 2, ramBytes: 2048 * mebibyte })
  })
})
