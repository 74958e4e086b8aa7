/**
 * Disks that were made to stand alone stay whole whatever happens next, as what they stood on is removed then.
 * @module
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { layoutOf } from '../../../cloud/qemu/layout.ts'
import { processState } from '../../../cloud/qemu/processes.ts'
import { stopEverything } from '../../../cloud/qemu/service_stops.ts'
import { createProvider } from '../../../cloud/registry.ts'
import type { MachineId } from '../../../domain/ids.ts'
import { bootSector, writtenLine } from '../../fixtures/boot_sector.ts'
import { qemuSettings } from '../../fixtures/qemu_cloud.ts'
import { sendSignal } from '../../fixtures/signals.ts'
import { launchSmall } from '../../fixtures/small_machine.ts'
import { until } from '../../fixtures/waiting.ts'

const run = promisify(execFile)
/** What a booted guest has: its sector twice, and nothing empty, so that whatever is lost shows. */
const sector = bootSector({ text: 'up\r\n', end: 'halt' })
const content = Buffer.concat([sector, sector, randomBytes(8 * 2 ** 20 - 1024)])
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'rehost-detach-'))
})
afterEach(async () => {
  await stopEverything(folder)
  await rm(folder, { recursive: true, force: true })
})

/** What a machine started from the disk would read, with nothing below it. */
async function standingAlone(machineId: MachineId): Promise<Buffer> {
  const disk = path.join(layoutOf(folder).machine(machineId), 'disk0.qcow2')
  // A killed QEMU keeps its locks a moment longer than its pid.
  const { stdout } = await run('qemu-img', ['info', '-U', '--output=json', disk])
  expect(JSON.parse(stdout)).not.toHaveProperty('backing-filename')
  const raw = path.join(folder, 'read.raw')
  await run('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', disk, raw])
  return await readFile(raw)
}

test('a detached disk is whole though QEMU is killed in the same moment', async () => {
  const provider = createProvider('qemu', qemuSettings(folder))
  const { machineId } = await launchSmall(provider, content)
  await until('the guest is up', async () =>
    (await provider.consoleText(machineId, 1000)).includes(writtenLine),
  )
  await provider.detachMachineFromImage(machineId)
  const { pid } = await processState(layoutOf(folder).machine(machineId))
  sendSignal(pid, 'SIGKILL')
  await until('QEMU has ended', async () => {
    return (await processState(layoutOf(folder).machine(machineId))).pid === undefined
  })
  expect((await standingAlone(machineId)).equals(content)).toBe(true)
})

test('the copied blocks of a machine that does not run are flushed before its header is written', async () => {
  // Tells what it is run with, as what the device holds at which moment cannot be seen from here.
  const tools = path.join(folder, 'tools')
  await mkdir(tools)
  const recorder = `#!/bin/sh\necho "$*" >> ${folder}/calls\nexec /usr/bin/qemu-img "$@"\n`
  await writeFile(path.join(tools, 'qemu-img'), recorder, { mode: 0o755 })
  const provider = createProvider('qemu', qemuSettings(folder, { toolPath: `${tools}:/usr/bin:/bin` }))
  const { machineId } = await launchSmall(provider, content, { started: false })
  await provider.detachMachineFromImage(machineId)
  expect(await readFile(path.join(folder, 'calls'), 'utf8')).toMatch(/^rebase .*-t writethrough /m)
  expect((await standingAlone(machineId)).equals(content)).toBe(true)
})
