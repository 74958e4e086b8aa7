/**
 * What the operator reads when something is missing, taken or full, and that nothing half done stays.
 * @module
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { metadataNames } from '../../../cloud/qemu/layout.ts'
import { startDetached, stopProcess } from '../../../cloud/qemu/processes.ts'
import { stopEverything } from '../../../cloud/qemu/service_stops.ts'
import type { CloudProvider } from '../../../cloud/provider.ts'
import { createProvider } from '../../../cloud/registry.ts'
import { isPermanent, PermanentError } from '../../../domain/errors.ts'
import { newId, type VolumeId } from '../../../domain/ids.ts'
import { bootSector } from '../../fixtures/boot_sector.ts'
import { qemuContext, qemuSettings } from '../../fixtures/qemu_cloud.ts'
import { sendSignal } from '../../fixtures/signals.ts'
import { freePorts, until } from '../../fixtures/waiting.ts'

const run = promisify(execFile)
const mebibyte = 2 ** 20
const tags = {}
const enrolment = { gatewayUrl: 'https://127.0.0.1:8443', caPem: 'certificate', token: 'token' }

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'rehost-trouble-'))
})
afterEach(async () => {
  await stopEverything(folder)
  await rm(folder, { recursive: true, force: true })
})

async function rejection(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (!(error instanceof Error)) throw new Error('It was expected to fail and did not')
  return error
}

async function fill(provider: CloudProvider, volumeId: VolumeId, bytes: Uint8Array): Promise<void> {
  const replicationServerId = newId('replicationServer', () => new Uint8Array(9))
  await provider.createReplicationServer({ replicationServerId, enrolment, tags })
  await writeFile(await provider.attachVolume(volumeId, replicationServerId), bytes, { flag: 'r+' })
}

describe('ports', () => {
  test('a port that another program has is named, with what to do', async () => {
    const [port = 0] = await freePorts(1)
    const holder = createServer().listen(port, '127.0.0.1')
    await once(holder, 'listening')
    const provider = createProvider('qemu', qemuSettings(folder, { replicationPort: port }))
    const replicationServerId = newId('replicationServer')
    const what = `port ${port} on 127.0.0.1 is taken by another program`
    const whatToDo = `find it with "ss -ltnp sport = :${port}" and end it, or set REHOST_REPLICATION_PORT`
    expect(await provider.preflight()).toContainEqual({ ok: false, what, whatToDo })
    const create = () => provider.createReplicationServer({ replicationServerId, enrolment, tags })
    const error = await rejection(create())
    expect(error.message).toBe(`Cannot start replication server ${replicationServerId}: ${what}; ${whatToDo}`)
    expect(isPermanent(error)).toBe(false)
    expect(await provider.listResources()).toEqual([])
    holder.close()
    await once(holder, 'close')
    expect((await create()).port).toBe(port)
  })

  test('one port serves one replication server, and the second is told which has it', async () => {
    const [port = 0] = await freePorts(1)
    const provider = createProvider('qemu', qemuSettings(folder, { replicationPort: port }))
    const first = newId('replicationServer')
    const second = newId('replicationServer')
    await provider.createReplicationServer({ replicationServerId: first, enrolment, tags })
    const error = await rejection(
      provider.createReplicationServer({ replicationServerId: second, enrolment, tags }),
    )
    expect(error.message).toContain(`replication server ${first} has port ${port}; remove it first`)
    expect(await provider.preflight()).toContainEqual({
      ok: true,
      what: `Port ${port} is served by ${first}`,
    })
    await provider.removeReplicationServer(first)
    expect(
      (await provider.createReplicationServer({ replicationServerId: second, enrolment, tags })).port,
    ).toBe(port)
  })
})

describe('tools', () => {
  test('a missing tool is named with what installs it, and no retry is asked for', async () => {
    const provider = createProvider('qemu', qemuSettings(folder, { toolPath: '' }))
    const findings = await provider.preflight()
    expect(findings).toContainEqual({
      ok: false,
      what: 'Cannot find qemu-img in an empty path; install it (Debian, Ubuntu: apt-get install qemu-utils)',
      whatToDo: 'apt-get install qemu-utils',
    })
    expect(findings.filter(({ ok }) => !ok).map(({ whatToDo }) => whatToDo)).toContain(
      'apt-get install qemu-system-x86',
    )
    const replicationServerId = newId('replicationServer')
    const error = await rejection(provider.createReplicationServer({ replicationServerId, enrolment, tags }))
    expect(error).toBeInstanceOf(PermanentError)
    expect(error.message).toContain('Cannot find sh in an empty path')
  })

  test('a tool that fails is quoted', async () => {
    const tools = path.join(folder, 'tools')
    await mkdir(tools)
    await writeFile(path.join(tools, 'qemu-img'), '#!/bin/sh\necho "qemu-img: bad day" >&2; exit 1\n', {
      mode: 0o755,
    })
    const provider = createProvider('qemu', qemuSettings(folder, { toolPath: `${tools}:/usr/bin:/bin` }))
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: mebibyte, tags })
    const snapshotId = await provider.createSnapshot({ clientToken: 's', volumeId, tags })
    const disks = [{ snapshotId, isBootDisk: true }]
    const error = await rejection(provider.createImage({ clientToken: 'i', disks, tags }))
    expect(error.message).toMatch(/^Cannot run qemu-img create .*: qemu-img: bad day$/)
  })
})

describe('machines', () => {
  const spec = {
    clientToken: 'm',
    name: 'trouble',
    cpuCount: 1,
    ramBytes: 128 * mebibyte,
    reachablePorts: [],
    started: true,
    tags,
  }

  async function imageOf(provider: CloudProvider, content: Uint8Array) {
    const volumeId = await provider.createVolume({ clientToken: 'v', sizeBytes: mebibyte, tags })
    await fill(provider, volumeId, content)
    const snapshotId = await provider.createSnapshot({ clientToken: 's', volumeId, tags })
    return await provider.createImage({ clientToken: 'i', disks: [{ snapshotId, isBootDisk: true }], tags })
  }

  test('a guest that powers itself off is STOPPED, one whose QEMU was killed is FAILED', async () => {
    const provider = createProvider('qemu', qemuSettings(folder))
    const imageId = await imageOf(provider, bootSector({ text: 'bye\r\n', end: 'powerOff' }))
    const { machineId } = await provider.launchMachine({ ...spec, imageId, firmware: 'BIOS' })
    const stopped = await until('it has powered itself off', async () => {
      const seen = await provider.describeMachine(machineId)
      return seen?.state === 'STOPPED' ? seen : undefined
    })
    expect(stopped.stateReason).toBe('The guest powered itself off')
    expect(await provider.screenshot(machineId)).toBeDefined()

    const killed = await provider.launchMachine({ ...spec, clientToken: 'k', imageId, firmware: 'BIOS' })
    const pidFile = path.join(folder, 'cloud', 'machines', killed.machineId, 'pid')
    const { stdout } = await run('sed', ['-n', '2s/ .*//p', pidFile])
    sendSignal(Number(stdout), 'SIGKILL')
    const failed = await until('its end is seen', async () => {
      const seen = await provider.describeMachine(killed.machineId)
      return seen?.state === 'FAILED' ? seen : undefined
    })
    expect(failed.stateReason).toBe('QEMU ended without a word: it was killed or the host was restarted')
    await provider.detachMachineFromImage(killed.machineId)
  })

  test('one whose launch was cut short runs only when its QEMU answers, and is started again otherwise', async () => {
    const settings = qemuSettings(folder)
    const provider = createProvider('qemu', settings)
    const imageId = await imageOf(provider, bootSector({ text: 'up\r\n', end: 'halt' }))
    const launch = () => provider.launchMachine({ ...spec, imageId, firmware: 'BIOS' })
    const { machineId } = await launch()
    const { layout, tools } = qemuContext(folder)
    const home = layout.machine(machineId)
    await stopProcess(home, 'The test says so')
    const file = path.join(home, metadataNames.machine)
    const saved = JSON.parse(await readFile(file, 'utf8')) as object
    await writeFile(file, JSON.stringify({ ...saved, progress: 'CREATING' }))
    await startDetached({ folder: home, command: ['/bin/sleep', '1'], environment: {} }, tools)
    expect((await launch()).state).toBe('RUNNING')
    await until('the guest has printed', async () =>
      (await provider.consoleText(machineId, 1000)).includes('up'),
    )
  })

  test('after stopEverything() a machine is STOPPED with its disks, and can be made to stand alone', async () => {
    const provider = createProvider('qemu', qemuSettings(folder))
    const imageId = await imageOf(provider, bootSector({ text: 'up\r\n', end: 'halt' }))
    const { machineId } = await provider.launchMachine({ ...spec, imageId, firmware: 'BIOS' })
    expect(await stopEverything(folder)).toContainEqual({ id: machineId })
    expect(await provider.describeMachine(machineId)).toMatchObject({
      state: 'STOPPED',
      stateReason: 'Rehost was stopped',
    })
    await provider.detachMachineFromImage(machineId)
    await provider.deleteImage(imageId)
  })

  test('a machine with UEFI runs its firmware, on variables of its own', async ({ skip }) => {
    const provider = createProvider('qemu', qemuSettings(folder))
    if (!provider.capabilities.hardware.firmwares.includes('UEFI')) {
      skip('this host has no UEFI firmware')
      return
    }
    const imageId = await imageOf(provider, new Uint8Array(512))
    const { machineId } = await provider.launchMachine({ ...spec, imageId, firmware: 'UEFI' })
    await until('the firmware speaks', async () =>
      /BdsDxe/.test(await provider.consoleText(machineId, 65_536)),
    )
    const names = await readdir(path.join(folder, 'cloud', 'machines', machineId))
    expect(names).toContain('vars.fd')
    await provider.terminateMachine(machineId)
    expect(await readdir(path.join(folder, 'cloud', 'machines'))).toEqual([])
  })
})
