import * as client from '@aws-sdk/client-mgn'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { declares } from '../../../../gateway/mgn/declared_errors.ts'
import { operations } from '../../../../gateway/mgn/operations.ts'
import { projectRoot } from '../support.ts'
import { declaredShapes, modelErrors } from './model_errors.ts'
import { withTable } from './operations_table.ts'

const names = operations.map(({ name }) => name)

it('every operation of MGN’s own client is answered, and no other', () => {
  const known = Object.keys(client)
    .filter((name) => name.endsWith('Command') && !name.startsWith('$'))
    .map((name) => name.slice(0, -'Command'.length))
  expect(known).toHaveLength(70)
  expect(new Set(names)).toEqual(new Set(known))
  expect(names).toHaveLength(70)
})

it.each(operations)('$name answers with the errors that the model declares for it', async (operation) => {
  const { name, worksUninitialised } = operation
  const errors = await modelErrors(name)
  expect(errors).toContain('MgnServiceException')
  const rare = declaredShapes.filter((shape) => shape !== 'UninitializedAccountException')
  expect(rare.filter((shape) => declares(name, shape))).toEqual(
    rare.filter((shape) => errors.includes(shape)),
  )
  expect(worksUninitialised).toBe(!errors.includes('UninitializedAccountException'))
})

it('the table of the document is the one that is made of the operations and their tests', async () => {
  const path = join(projectRoot, 'docs/mgn_api.md')
  // `npx vitest run mgn/table_test --update` writes it.
  await expect(await withTable(await readFile(path, 'utf8'))).toMatchFileSnapshot(path)
})

it('a table cannot be made of an operation that nobody described', async () => {
  const text = await readFile(join(projectRoot, 'docs/mgn_api.md'), 'utf8')
  await expect(withTable(text.replace(/^\| `StartTest`.*\n/m, ''))).rejects.toThrow(
    'no row that says what StartTest does',
  )
})
