/**
 * The QEMU cloud keeps the contract, with real machines.
 * @module
 */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { layoutOf } from '../../cloud/qemu/layout.ts'
import { processState } from '../../cloud/qemu/processes.ts'
import { stopEverything } from '../../cloud/qemu/service_stops.ts'
import { createProvider } from '../../cloud/registry.ts'
import type { CloudResource } from '../../cloud/provider.ts'
import { unreachable } from '../../domain/errors.ts'
import type { ReplicationServerId } from '../../domain/ids.ts'
import { GuestRunner } from '../fixtures/guest_runner.ts'
import { processesBelow, qemuSettings } from '../fixtures/qemu_cloud.ts'
import { sendSignal } from '../fixtures/signals.ts'
import { cloudContract } from './cloud_contract.ts'

const run = promisify(execFile)

cloudContract({
  name: 'qemu',
  imagesMayGoFirst: false,
  bootTimeoutMs: 30_000,
  make: async (folder) => {
    const layout = layoutOf(folder)
    const runners: GuestRunner[] = []
    const crashReplicationServer = async (id: ReplicationServerId): Promise<void> => {
      const { pid } = await processState(layout.replicationServer(id))
      sendSignal(pid, 'SIGKILL')
      while ((await processState(layout.replicationServer(id))).pid !== undefined) await sleep(10)
    }
    return {
      open: () => createProvider('qemu', qemuSettings(folder)),
      writeVolume: async (devicePath, offsetBytes, bytes) => {
        const handle = await open(devicePath, 'r+')
        await handle.write(bytes, 0, bytes.length, offsetBytes)
        await handle.close()
      },
      readDisk: async (disk, offsetBytes, lengthBytes) => {
        const raw = path.join(folder, `read-${randomUUID()}.raw`)
        await run('qemu-img', ['convert', '-U', '-f', disk.format, '-O', 'raw', disk.path, raw])
        const bytes = await readFile(raw)
        await rm(raw)
        return bytes.subarray(offsetBytes, offsetBytes + lengthBytes)
      },
      writeDisk: async (disk, offsetBytes, bytes) => {
        const file = path.join(folder, `write-${randomUUID()}.raw`)
        // qemu-io writes whole sectors from a file; the rest of the sector is what was there.
        const sector = Buffer.alloc(512)
        bytes.copy(sector)
        await writeFile(file, sector)
        await run('qemu-io', ['-f', disk.format, '-c', `write -s ${file} ${offsetBytes} 512`, disk.path])
        await rm(file)
      },
      crashReplicationServer,
      loseReplicationServer: async (id) => {
        await crashReplicationServer(id)
        await rm(layout.replicationServer(id), { recursive: true })
      },
      damageVolume: (devicePath, how) => (how === 'CUT' ? truncate(devicePath, 1024) : rm(devicePath)),
      forgetCompletion: async (resource) => {
        const file = metadataOf(resource)
        const metadata = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
        const { attachedTo: _, ...begun } = metadata
        await writeFile(file, JSON.stringify({ ...begun, progress: 'CREATING' }))
      },
      takeCommands: async (machineId) => {
        runners.push(
          await GuestRunner.start(layout.machine(machineId), path.join(folder, `guest-${machineId}`)),
        )
      },
      leftovers: async () => {
        const names = await readdir(layout.root, { recursive: true })
        const folders = ['replication-servers', 'volumes', 'snapshots', 'images', 'machines']
        const files = names.filter((name) => ![...folders, 'accelerator.json'].includes(name))
        return [...files, ...(await processesBelow(folder)).map((pid) => `process ${pid}`)]
      },
      dispose: async () => {
        for (const runner of runners) await runner.stop()
        await stopEverything(folder)
      },
    }

    function metadataOf({ kind, id }: Pick<CloudResource, 'kind' | 'id'>): string {
      switch (kind) {
        case 'volume':
          return path.join(layout.volumes, `${id}.json`)
        case 'snapshot':
          return path.join(layout.snapshots, `${id}.json`)
        case 'image':
          return path.join(layout.images, id, 'image.json')
        case 'machine':
          return path.join(layout.machines, id, 'machine.json')
        case 'replicationServer':
          return path.join(layout.replicationServers, id, 'spec.json')
        default:
          return unreachable(kind)
      }
    }
  },
})
