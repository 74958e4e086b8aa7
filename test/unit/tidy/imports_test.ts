import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

/**
 * Who may import whom, room by room.
 */
const rooms: Record<string, { mayImport: string[]; because: string }> = {
  domain: { mayImport: [], because: 'domain is pure: words, rules and state machines, with no I/O' },
  host: { mayImport: [], because: 'host tells what only the operating system of this host can' },
  wire: { mayImport: ['domain'], because: 'wire describes what crosses a process boundary and nothing else' },
  agent: { mayImport: ['wire', 'domain', 'host'], because: 'agent and replicator meet in wire only' },
  replicator: { mayImport: ['wire', 'domain', 'host'], because: 'agent and replicator meet in wire only' },
  queues: {
    mayImport: ['domain'],
    because: 'queues is the one description of jobs, shared by who adds and who runs',
  },
  store: { mayImport: ['domain'], because: 'the store knows entities, not their users' },
  cloud: { mayImport: ['domain'], because: 'providers know clouds, not guests or jobs' },
  conversion: { mayImport: ['domain'], because: 'conversion knows guests, not clouds' },
  workers: {
    mayImport: ['domain', 'host', 'queues', 'store', 'cloud', 'conversion'],
    because: 'workers run jobs and never call gateway or data plane',
  },
  views: { mayImport: ['domain'], because: 'views turn a view model into HTML' },
  gateway: {
    mayImport: ['domain', 'wire', 'queues', 'store', 'views'],
    because: 'the gateway adds jobs and never runs them',
  },
  bin: {
    mayImport: ['domain', 'queues', 'store', 'cloud'],
    because: 'bin starts processes and talks to them over their public surface',
  },
  bench: {
    mayImport: ['domain', 'wire', 'agent', 'store', 'cloud', 'bin'],
    because: 'bench measures the product from outside, and plays what it has no machines for',
  },
  scripts: { mayImport: [], because: 'scripts prepare the machine or the build' },
}

const root = join(import.meta.dirname, '../../..')
const importPattern =
  /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s*['"](\.[^'"]+)['"]|import\(\s*['"](\.[^'"]+)['"]\s*\)|(?:^|\n)import\s*['"](\.[^'"]+)['"]/g

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => normalize(join(entry.parentPath, entry.name)).slice(root.length + 1))
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(importPattern)].map((match) =>
    normalize(join(dirname(file), match[1] ?? match[2] ?? match[3] ?? '')),
  )
}

const files = Object.keys(rooms).flatMap((room) => sourceFiles(room))

describe('rooms', () => {
  it('finds the source', () => {
    expect(files.length).toBeGreaterThan(20)
  })

  it('import only what the table allows', () => {
    const broken: string[] = []
    for (const file of files) {
      const room = file.split('/')[0] ?? ''
      const rule = rooms[room]
      for (const target of importsOf(file)) {
        const other = target.split('/')[0] ?? ''
        if (other === room || rule?.mayImport.includes(other)) continue
        broken.push(`${file} imports ${target}: ${rule?.because}`)
      }
    }
    expect(broken).toEqual([])
  })

  it('have no import cycle', () => {
    const graph = new Map(files.map((file) => [file, importsOf(file)]))
    const done = new Set<string>()
    const cycles: string[] = []
    const visit = (file: string, path: string[]): void => {
      if (path.includes(file)) {
        cycles.push([...path.slice(path.indexOf(file)), file].join(' → '))
        return
      }
      if (done.has(file)) return
      for (const next of graph.get(file) ?? []) visit(next, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
    expect(cycles).toEqual([])
  })

  it('carry .ts extensions and a @module sentence', () => {
    const broken = files.filter((file) => {
      const text = readFileSync(join(root, file), 'utf8')
      const opens = text.replace(/^#!.*\n/, '').startsWith('/**') && text.slice(0, 4000).includes('@module')
      return !opens || importsOf(file).some((target) => !/\.(ts|json)$/.test(target))
    })
    expect(broken).toEqual([])
  })
})
