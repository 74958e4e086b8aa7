import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const views = join(import.meta.dirname, '../../../views')

function read(extension: string): string {
  return readdirSync(views, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .map((name) => readFileSync(join(views, name), 'utf8'))
    .join('\n')
}

const styled = new Set([...read('.css').matchAll(/\.([a-z][a-z-]*)/g)].map(([, name = '']) => name))
const code = read('.ts') + read('.js')

/** Classes made from a state, which stand in the code in capitals or not at all. */
const made = /^(tone|tone-text)-\w+$|^in-progress$/

describe('style sheets', () => {
  it('have no rule for what no view makes', () => {
    const words = new Set(code.toLowerCase().match(/[a-z][a-z-]*/g))
    expect([...styled].filter((name) => !words.has(name) && !made.test(name))).toEqual([])
  })

  it('have a rule for every class that a view gives', () => {
    const given = [...code.matchAll(/class="([^"$]*)/g)].flatMap(([, names = '']) => names.split(/\s+/))
    const names = new Set(given.filter((name) => /^[a-z][a-z-]*[a-z]$/.test(name)))
    expect([...names].filter((name) => !styled.has(name))).toEqual([])
  })
})
