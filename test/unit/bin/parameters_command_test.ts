import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { sealNameOf } from '../../../domain/parameter.ts'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

let cli: CliGateway

beforeEach(async () => {
  cli = await cliGateway('operator')
})

afterEach(() => cli.close())

const parameters = (...args: string[]) => cli.rehost('parameters', ...args)

async function valueOf(name: string): Promise<string> {
  const found = await cli.gateway.store.get('parameter', { id: name })
  return cli.gateway.services.secretBox.unseal(found?.value.sealedValue ?? '', sealNameOf(name))
}

it('rehost parameters keeps values and files, lists and deletes them', { timeout: 120_000 }, async () => {
  expect((await parameters('list')).stdout).toBe('There are no parameters\n')
  expect((await parameters('put', 'greet', 'echo hello')).stdout).toBe('greet is kept\n')
  expect(await valueOf('greet')).toBe('echo hello')
  const folder = await mkdtemp(join(tmpdir(), 'rehost-parameter-'))
  await writeFile(join(folder, 'set-up.sh'), '#!/bin/sh\ntrue\n')
  await parameters('put', 'set-up', '--file', join(folder, 'set-up.sh'))
  await rm(folder, { recursive: true })
  expect(await valueOf('set-up')).toBe('#!/bin/sh\ntrue\n')
  const by = 'changed 2026-03-01T12:00:00.000Z by token test operator'
  expect((await parameters('list')).stdout).toBe(`greet  ${by}\nset-up  ${by}\n`)
  const json = (await parameters('list', '--json')).stdout
  expect(JSON.parse(json)).toMatchObject([{ name: 'greet' }, { name: 'set-up' }])
  expect(json).not.toContain('ealed')
  expect((await parameters('delete', 'greet')).stdout).toBe('greet is deleted\n')
  expect(await parameters('delete', 'greet')).toMatchObject({
    code: 1,
    stderr: 'Cannot find parameter greet\n',
  })
  expect(await parameters('put', 'greet')).toMatchObject({
    code: 1,
    stderr: 'Cannot tell what to keep: give a value, or a file by --file\n',
  })
})
