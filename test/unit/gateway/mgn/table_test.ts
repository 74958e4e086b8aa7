import * as client from '@aws-sdk/client-mgn'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { roleForOperation } from '../../../../domain/access_key.ts'
import { operations } from '../../../../gateway/mgn/operations.ts'

const names = operations.map(({ name }) => name)

it('every operation of MGN’s own client is answered, and no other', () => {
  const known = Object.keys(client)
    .filter((name) => name.endsWith('Command') && !name.startsWith('$'))
    .map((name) => name.slice(0, -'Command'.length))
  expect(known).toHaveLength(70)
  expect(new Set(names)).toEqual(new Set(known))
  expect(names).toHaveLength(70)
})

it('the document has a row for each, with its role, and names a test that calls it', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../../docs/mgn_api.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\w+) \| .+ \| `(\w+\.ts)` \|$/gm)]
  expect(rows.map(([, name]) => name)).toEqual(names)
  for (const [, name = '', role, test = ''] of rows) {
    expect(role).toBe(roleForOperation(name))
    const path = join(import.meta.dirname, test)
    expect(existsSync(path) && readFileSync(path, 'utf8'), `${test} calls ${name}`).toContain(
      `new ${name}Command`,
    )
  }
})
