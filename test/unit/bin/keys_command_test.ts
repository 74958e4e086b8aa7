import { afterEach, beforeEach, expect, it } from 'vitest'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

let cli: CliGateway

beforeEach(async () => {
  cli = await cliGateway()
})

afterEach(() => cli.close())

const keys = (...args: string[]) => cli.rehost('keys', ...args)
const stored = async () => (await cli.gateway.store.list('accessKey')).items.map(({ value }) => value)

it('rehost keys makes a key, lists, disables, enables and deletes it', { timeout: 120_000 }, async () => {
  expect((await keys('list')).stdout).toBe('There are no access keys\n')
  const scopes = ['mgn:Describe*', 'mgn:StartTest']
  const made = await keys('create', 'ci', '--role', 'viewer', '--scope', ...scopes, '--days', '2')
  const [key] = await stored()
  const id = key?.accessKeyId ?? ''
  expect(key).toMatchObject({ name: 'ci', role: 'viewer', scopes, expiresAt: '2026-03-03T12:00:00.000Z' })
  const secret = cli.gateway.services.secretBox.unseal(key?.sealedSecret ?? '', id)
  expect(made.stdout).toBe(`export AWS_ACCESS_KEY_ID=${id}\nexport AWS_SECRET_ACCESS_KEY=${secret}\n`)

  const line = (status: string) =>
    `${id}  ${status}  viewer  ci  mgn:Describe* mgn:StartTest  never used  until 2026-03-03T12:00:00.000Z\n`
  expect((await keys('list')).stdout).toBe(line('ACTIVE'))
  expect((await keys('disable', id)).stdout).toBe(line('INACTIVE'))
  expect((await stored())[0]?.status).toBe('INACTIVE')
  expect((await keys('enable', id)).stdout).toBe(line('ACTIVE'))
  const listed = await keys('list', '--json')
  expect(JSON.parse(listed.stdout)).toMatchObject([{ accessKeyId: id, status: 'ACTIVE' }])
  expect(listed.stdout).not.toContain('ecret')
  expect((await keys('delete', id)).stdout).toBe(`${id} is deleted\n`)
  expect(await stored()).toEqual([])
  expect(await keys('delete', id)).toMatchObject({ code: 1, stderr: `Cannot find access key ${id}\n` })
})

it('rehost keys create gives all of it as JSON, and for ever unless told', { timeout: 60_000 }, async () => {
  const made = JSON.parse((await keys('create', 'ci', '--json')).stdout) as Record<string, unknown>
  expect(made).toMatchObject({ name: 'ci', role: 'operator', scopes: ['*'], status: 'ACTIVE' })
  expect(made['secretAccessKey']).toMatch(/^rhsk_/)
  expect(made['expiresAt']).toBeUndefined()
})

it('rehost keys create refuses what is no role and no number', { timeout: 60_000 }, async () => {
  expect((await keys('create', 'ci', '--role', 'root')).stderr).toContain('viewer, operator, admin')
  expect((await keys('create', 'ci', '--days', 'soon')).stderr).toContain('Cannot read lifetimeDays')
  expect(await stored()).toEqual([])
})
