/**
 * Figures as the benchmark measures them.
 * @module
 */
import type { Measurement } from '../../../bench/figures.ts'
import type { Row, RowName } from '../../../bench/row.ts'

/** A row of this name. */
export function rowNamed(name: RowName, change: Partial<Row> = {}): Row {
  return {
    name,
    what: 'unchanged',
    value: 1.2345,
    runs: [1.2345],
    how: 'measured once',
    unit: 'GB/s',
    peer: 'rsync',
    peerValue: 1,
    ratio: 1.2345,
    budget: 'at least 2 ×',
    met: true,
    bound: { kind: 'MOST', value: 5 },
    limit: 'The speed of one core',
    ...change,
  }
}

/** What a run of the benchmark is about. */
export const about: Pick<Measurement, 'commit' | 'settings' | 'host' | 'parts'> = {
  commit: 'abc123',
  settings: { runs: 3, sizeMib: 2048, loadSeconds: 30 },
  host: {
    processor: 'Fast',
    cores: 2,
    memoryGib: 24,
    kernel: '6.1',
    node: 'v24.0.0',
    peers: ['nbdcopy 1.14'],
  },
  parts: { cores: 2, read: 6, write: 5, blake3: 5, aesGcm: 4, loopback: 3 },
}

/** A row as it was measured at some time. */
export function measurementOf(name: RowName, at: string, change: Partial<Measurement> = {}): Measurement {
  return { ...about, name, at, tookSeconds: 12.3, rows: [rowNamed(name)], profiles: [], ...change }
}
