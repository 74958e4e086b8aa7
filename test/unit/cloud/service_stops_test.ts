/**
 * Machines across a stop and a start of Rehost, with real QEMU.
 * @module
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { layoutOf } from '../../../cloud/qemu/layout.ts'
import { processState } from '../../../cloud/qemu/processes.ts'
import { runningMachines, startMachinesAgain, stopEverything } from '../../../cloud/qemu/service_stops.ts'
import type { CloudMachine, CloudProvider } from '../../../cloud/provider.ts'
import { createProvider } from '../../../cloud/registry.ts'
import { bootSector, writtenLine } from '../../fixtures/boot_sector.ts'
import { qemuSettings } from '../../fixtures/qemu_cloud.ts'
import { sendSignal } from '../../fixtures/signals.ts'
import { launchSmall } from '../../fixtures/small_machine.ts'
import { until } from '../../fixtures/waiting.ts'

const patientMs = 60_000
let folder: string
let provider: CloudProvider

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'rehost-stops-'))
  provider = createProvider('qemu', qemuSettings(folder))
})
afterEach(async () => {
  await stopEverything(folder)
  await rm(folder, { recursive: true, force: true })
})

async function launchUp(
  end: 'halt' | 'powerButton' | 'secondPress',
  name = end as string,
): Promise<CloudMachine> {
  const sector = bootSector({ text: 'up\r\n', end })
  const machine = await launchSmall(provider, sector, { name, reachablePorts: [22, 80] })
  await consoleHas(machine, 'up\r\n')
  return machine
}

async function consoleHas({ machineId }: CloudMachine, text: string): Promise<void> {
  await until(`the console has ${JSON.stringify(text)}`, async () =>
    (await provider.consoleText(machineId, 10_000)).includes(text),
  )
}

const processOf = async ({ machineId }: CloudMachine) =>
  (await processState(layoutOf(folder).machine(machineId))).pid

test('a guest shuts itself down when Rehost stops, and its machine runs where it was after the next start', async () => {
  const machine = await launchUp('powerButton')
  const { machineId, name } = { ...machine, name: 'powerButton' }
  expect(await provider.consoleText(machineId, 1000)).not.toContain(writtenLine)
  expect(await runningMachines(folder)).toEqual([machineId])
  expect(await stopEverything(folder, patientMs)).toEqual([{ id: machineId }])
  // What the guest writes on its way down is written.
  expect(await provider.consoleText(machineId, 1000)).toBe(`up\r\n${writtenLine}`)
  expect(await provider.describeMachine(machineId)).toMatchObject({
    state: 'STOPPED',
    stateReason: 'Rehost was stopped',
  })
  expect(await runningMachines(folder)).toEqual([])

  expect(await startMachinesAgain({ dataDir: folder, accelerator: 'tcg' })).toEqual([
    { id: machineId, name, movedPorts: [] },
  ])
  expect(await provider.describeMachine(machineId)).toEqual(machine)
  await consoleHas(machine, `${writtenLine}up\r\n`)
})

test('a machine that still runs is left alone', async () => {
  const machine = await launchUp('halt')
  const pid = await processOf(machine)
  expect(pid).toBeDefined()
  expect(await startMachinesAgain({ dataDir: folder, accelerator: 'tcg' })).toEqual([])
  expect(await processOf(machine)).toBe(pid)
})

test('a guest that took no notice of its power button, as one that still boots, is asked again', async () => {
  const { machineId } = await launchUp('secondPress')
  expect(await stopEverything(folder, patientMs)).toEqual([{ id: machineId }])
  expect(await provider.consoleText(machineId, 1000)).toBe(`up\r\n${writtenLine}`)
})

test('a guest that does not react is stopped all the same, and is started again', async () => {
  const machine = await launchUp('halt')
  expect(await stopEverything(folder, 200)).toEqual([
    { id: machine.machineId, trouble: 'its guest did not shut down in 0.2 s' },
  ])
  expect((await provider.describeMachine(machine.machineId))?.stateReason).toBe(
    'Rehost was stopped; its guest did not shut down in 0.2 s',
  )
  expect(await startMachinesAgain({ dataDir: folder, accelerator: 'tcg' })).toHaveLength(1)
  expect(await provider.describeMachine(machine.machineId)).toEqual(machine)
})

test('a port that somebody has taken meanwhile is replaced, and that is told', async () => {
  const machine = await launchUp('halt')
  await stopEverything(folder)
  const [first, second] = machine.endpoints
  const taker = createServer().listen(second?.port, '127.0.0.1')
  await once(taker, 'listening')
  const [again] = await startMachinesAgain({ dataDir: folder, accelerator: 'tcg' })
  const seen = await provider.describeMachine(machine.machineId)
  taker.close()
  expect(seen?.state).toBe('RUNNING')
  expect(seen?.endpoints[0]).toEqual(first)
  expect(seen?.endpoints[1]?.port).not.toBe(second?.port)
  expect(again?.movedPorts).toEqual([{ guestPort: 80, hostPort: seen?.endpoints[1]?.port }])
})

test('a machine that powered itself off, one that was not to be started and one that is gone stay as they are', async () => {
  const off = await launchSmall(provider, bootSector({ text: 'bye\r\n', end: 'powerOff' }))
  await until('it has powered itself off', async () => {
    return (await provider.describeMachine(off.machineId))?.state === 'STOPPED'
  })
  const never = await launchSmall(provider, bootSector({ text: 'up\r\n', end: 'halt' }), { started: false })
  const gone = await launchUp('halt')
  await provider.terminateMachine(gone.machineId)
  await stopEverything(folder, patientMs)
  expect(await startMachinesAgain({ dataDir: folder, accelerator: 'tcg' })).toEqual([])
  expect((await provider.describeMachine(off.machineId))?.stateReason).toBe('The guest powered itself off')
  expect((await provider.describeMachine(never.machineId))?.stateReason).toBe('It was not to be started')
})

test('after a restart of the host machines run again, and one that cannot keeps no other from it', async () => {
  const [broken, whole] = [await launchUp('halt', 'broken'), await launchUp('halt', 'whole')]
  for (const machine of [broken, whole]) sendSignal(await processOf(machine), 'SIGKILL')
  await until('they are gone', async () => (await runningMachines(folder)).length === 0)
  await rm(path.join(layoutOf(folder).machine(broken.machineId), 'disk0.qcow2'))
  const outcomes = await startMachinesAgain({ dataDir: folder, accelerator: 'tcg' })
  expect(outcomes).toHaveLength(2)
  expect(outcomes.find(({ name }) => name === 'broken')?.trouble).toMatch(/disk0\.qcow2.*No such file/s)
  expect(outcomes.find(({ name }) => name === 'whole')).not.toHaveProperty('trouble')
  expect(await provider.describeMachine(whole.machineId)).toEqual(whole)
})
