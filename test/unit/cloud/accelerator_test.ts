/**
 * KVM or TCG: the trial, its verdict, and the way back when KVM fails a machine. QEMU is scripted where this host could not play along.
 * @module
 */
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  chooseAccelerator,
  describeAccelerator,
  refuteKvm,
  tcgCpuModel,
} from '../../../cloud/qemu/accelerator.ts'
import type { QemuContext } from '../../../cloud/qemu/context.ts'
import { createImage } from '../../../cloud/qemu/images.ts'
import { trialKernel } from '../../../cloud/qemu/kvm_trial.ts'
import { describeMachine, launchMachine } from '../../../cloud/qemu/machines.ts'
import { consoleText } from '../../../cloud/qemu/machine_view.ts'
import { stopEverything } from '../../../cloud/qemu/service_stops.ts'
import { createSnapshot } from '../../../cloud/qemu/snapshots.ts'
import { createVolume } from '../../../cloud/qemu/volumes.ts'
import { bootSector, writtenLine } from '../../fixtures/boot_sector.ts'
import { qemuContext, realWithTcg, scriptQemu, type QemuScript } from '../../fixtures/qemu_cloud.ts'
import { until } from '../../fixtures/waiting.ts'

let folder: string
let tools: string

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'rehost-accelerator-'))
  tools = path.join(folder, 'tools')
  await mkdir(tools)
  await mkdir(path.join(folder, 'boot'))
  await writeFile(path.join(folder, 'kvm'), '')
})
afterEach(async () => {
  await stopEverything(folder)
  await rm(folder, { recursive: true, force: true })
})

/** A context whose KVM device can be opened, whose QEMU does as scripted, and whose host has no kernel to try. */
async function scripted(script: QemuScript): Promise<QemuContext> {
  const toolPath = await scriptQemu(tools, script)
  return {
    ...qemuContext(folder, { toolPath, accelerator: 'auto' }),
    kvmDevice: path.join(folder, 'kvm'),
    kernelFolder: path.join(folder, 'boot'),
  }
}

/** The same on a host with kernels. */
async function withKernels(script: QemuScript): Promise<QemuContext> {
  for (const name of ['vmlinuz-6.9.0-1', 'vmlinuz-6.12.0-1', 'vmlinuz-0-rescue-7', 'config-7'])
    await writeFile(path.join(folder, 'boot', name), '')
  return await scripted({ probe: realWithTcg, ...script })
}

async function trials(): Promise<string[]> {
  const text = await readFile(path.join(tools, 'probes'), 'utf8')
  return text.trim().split('\n')
}

const machineSpec = {
  clientToken: 'm',
  name: 'trial',
  cpuCount: 1,
  ramBytes: 128 * 2 ** 20,
  firmware: 'BIOS' as const,
  reachablePorts: [80],
  started: true,
  tags: {},
}

async function bootableImage(context: QemuContext) {
  const volumeId = await createVolume(context, { clientToken: 'v', sizeBytes: 2 ** 20, tags: {} })
  const sector = bootSector({ text: 'up\r\n', end: 'halt' })
  await writeFile(context.layout.volume(volumeId).disk, sector, { flag: 'r+' })
  const snapshotId = await createSnapshot(context, { clientToken: 's', volumeId, tags: {} })
  return await createImage(context, { clientToken: 'i', disks: [{ snapshotId, isBootDisk: true }], tags: {} })
}

test('chooseAccelerator() takes TCG when there is no KVM device, without a trial', async () => {
  const context = { ...(await scripted({})), kvmDevice: path.join(folder, 'missing') }
  const verdict = await chooseAccelerator(context)
  expect(verdict).toMatchObject({ kind: 'tcg', cpuModel: tcgCpuModel })
  expect(describeAccelerator(verdict)).toBe(`TCG (KVM: ${folder}/missing is missing)`)
  await expect(trials()).rejects.toThrow('ENOENT')
})

test('chooseAccelerator() takes KVM when the trial machine comes to its end, and remembers', async () => {
  const context = await scripted({ probe: realWithTcg })
  expect(await chooseAccelerator(context)).toMatchObject({ kind: 'kvm', cpuModel: 'host' })
  expect(await chooseAccelerator(context)).toMatchObject({ kind: 'kvm', cpuModel: 'host' })
  expect(await trials()).toHaveLength(1)
})

test('chooseAccelerator() tries a plainer CPU when QEMU aborts with that of the host', async () => {
  const abort = `case "$*" in *"-cpu host"*) echo 'error: failed to set MSR 0x345 to 0x2000' >&2; kill -ABRT $$ ;; esac`
  const context = await scripted({ probe: `${abort}\n${realWithTcg}` })
  expect(await chooseAccelerator(context)).toMatchObject({ kind: 'kvm', cpuModel: 'qemu64' })
  expect(await trials()).toHaveLength(2)
})

test('chooseAccelerator() falls back to TCG on an abort and an internal error, with both reasons', async () => {
  const abort = `case "$*" in *"-cpu host"*) echo 'error: failed to set MSR 0x345 to 0x2000' >&2; kill -ABRT $$ ;; esac`
  const stop = `echo '{"QMP":{}}'; echo '{"event":"STOP","timestamp":{}}'; exec sleep 60`
  const verdict = await chooseAccelerator(await scripted({ probe: `${abort}\n${stop}` }))
  expect(verdict.kind).toBe('tcg')
  expect(verdict.reason).toBe(
    'with CPU host QEMU ended with SIGABRT: error: failed to set MSR 0x345 to 0x2000; ' +
      'with CPU qemu64 the trial machine stopped in an internal error',
  )
})

test('chooseAccelerator() takes TCG without a trial where a setting says so', async () => {
  const context = await scripted({ probe: realWithTcg })
  const set = { ...context, config: { ...context.config, accelerator: 'tcg' as const } }
  expect(describeAccelerator(await chooseAccelerator(set))).toBe('TCG (KVM: turned off by setting)')
  await expect(trials()).rejects.toThrow('ENOENT')
})

test("chooseAccelerator() boots this host's own kernel in the trial", async () => {
  const context = {
    ...(await scripted({ probe: realWithTcg })),
    kernelFolder: '/boot',
    trialTimeoutMs: 60_000,
  }
  const kernel = await trialKernel(context)
  expect(kernel).toContain('/boot/vmlinuz-')
  expect(await chooseAccelerator(context)).toMatchObject({ kind: 'kvm', basis: { isKernelTried: true } })
})

test('chooseAccelerator() takes TCG when the newest kernel comes to no end, and tries no other CPU', async () => {
  const context = { ...(await withKernels({ kernel: 'exec sleep 60' })), trialTimeoutMs: 2000 }
  const verdict = await chooseAccelerator(context)
  expect(describeAccelerator(verdict)).toBe('TCG (KVM: with CPU host vmlinuz-6.12.0-1 got nowhere in 2 s)')
  expect(await trials()).toHaveLength(1)
})

test('chooseAccelerator() remembers nothing of a trial that was ended from outside', async () => {
  const context = await withKernels({
    kernel: "echo 'qemu: terminating on signal 15 from pid 1' >&2; exit 0",
  })
  await expect(chooseAccelerator(context)).rejects.toThrow(
    'The trial of KVM was broken off (terminating on signal 15)',
  )
  const killed = await withKernels({ probe: 'kill -KILL $$' })
  await expect(chooseAccelerator(killed)).rejects.toThrow('The trial of KVM was broken off (SIGKILL)')
  await expect(readFile(context.layout.accelerator)).rejects.toThrow('ENOENT')
})

test('a verdict that a real machine has given outlives the next kernel that is installed', async () => {
  const context = await withKernels({ kernel: realWithTcg })
  await refuteKvm(context, 'machine X stopped in an internal error with it')
  await writeFile(path.join(folder, 'boot', 'vmlinuz-7.0.0-1'), '')
  expect(describeAccelerator(await chooseAccelerator(context))).toBe(
    'TCG (KVM: machine X stopped in an internal error with it)',
  )
})

test('chooseAccelerator() takes TCG when a kernel ends the machine before its time', async () => {
  const verdict = await chooseAccelerator(await withKernels({ kernel: 'exit 0' }))
  expect(verdict.reason).toBe(
    'with CPU host vmlinuz-6.12.0-1 ended before it looked for its root; ' +
      'with CPU qemu64 vmlinuz-6.12.0-1 ended before it looked for its root',
  )
})

test('chooseAccelerator() tries again when QEMU has changed', async () => {
  await chooseAccelerator(await scripted({ version: 'QEMU 7.2', probe: 'exit 1' }))
  const verdict = await chooseAccelerator(await scripted({ version: 'QEMU 10.0', probe: realWithTcg }))
  expect(verdict).toMatchObject({ kind: 'kvm', basis: { qemuVersion: 'QEMU 10.0' } })
})

test('launchMachine() starts with TCG when QEMU ends early with KVM, and no later machine tries KVM', async () => {
  const context = await scripted({
    probe: realWithTcg,
    kvmMachine: "echo 'kvm run failed Bad address' >&2; exit 1",
  })
  const machine = await launchMachine(context, { ...machineSpec, imageId: await bootableImage(context) })
  expect(machine.state).toBe('RUNNING')
  expect(machine.description).toBe(
    'qemu, TCG (KVM: QEMU ended with it: kvm run failed Bad address), 1 CPU, 128 MiB of RAM',
  )
  await until('the guest has printed', async () =>
    (await consoleText(context, machine.machineId, 1000)).includes(writtenLine),
  )
  expect((await chooseAccelerator(context)).kind).toBe('tcg')
})

test('describeMachine() starts a machine again with TCG when KVM stopped it in an internal error', async () => {
  const standIn = fileURLToPath(new URL('../../fixtures/internal_error_qemu.ts', import.meta.url))
  const context = await scripted({ probe: realWithTcg, kvmMachine: `exec ${process.execPath} ${standIn}` })
  const launched = await launchMachine(context, { ...machineSpec, imageId: await bootableImage(context) })
  expect(launched).toMatchObject({ state: 'FAILED', stateReason: 'QEMU stopped in an internal error' })
  const healed = await describeMachine(context, launched.machineId)
  expect(healed?.state).toBe('RUNNING')
  expect(healed?.description).toContain(
    `TCG (KVM: machine ${launched.machineId} stopped in an internal error with it)`,
  )
  await until('the guest has printed', async () =>
    (await consoleText(context, launched.machineId, 1000)).includes(writtenLine),
  )
})
