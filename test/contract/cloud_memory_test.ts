/**
 * The memory cloud keeps the contract.
 * @module
 */
import { spawnSync } from 'node:child_process'
import { open, readFile, readdir, rm, truncate } from 'node:fs/promises'
import { MemoryCloud, type CommandGuest, type Guest } from '../../cloud/memory/cloud.ts'
import type { CloudCommand } from '../../cloud/provider.ts'
import type { ShellScript } from '../../domain/command_document.ts'
import { MemoryProvider } from '../../cloud/memory/provider.ts'
import { textOf, writtenLine } from '../fixtures/boot_sector.ts'
import { cloudContract } from './cloud_contract.ts'

/** Does what the boot sector of the fixture does when a processor runs it. */
const bootSectorGuest: Guest = async ({ diskPaths: [disk = ''] }) => {
  const sector = (await readFile(disk)).subarray(0, 512)
  await writeAt(disk, 512, sector)
  return { consoleText: textOf(sector) + writtenLine }
}

/** Runs each script when it is looked at first. */
function shellGuest(): CommandGuest {
  const ended = new Map<ShellScript, CloudCommand>()
  return (script) => {
    const known = ended.get(script)
    if (known !== undefined) return known
    const { text, workingDirectory = '/', timeoutSeconds } = script
    const run = spawnSync('sh', ['-c', text], { cwd: workingDirectory, timeout: timeoutSeconds * 1000 })
    const reason =
      run.status === null
        ? `It ran for longer than ${timeoutSeconds} s and was ended`
        : `It ended with exit code ${run.status}`
    const output = run.stdout.toString()
    const end: CloudCommand =
      run.status === 0 ? { state: 'SUCCEEDED', output } : { state: 'FAILED', stateReason: reason, output }
    ended.set(script, end)
    return end
  }
}

async function writeAt(file: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'r+')
  await handle.write(bytes, 0, bytes.length, offsetBytes)
  await handle.close()
}

cloudContract({
  name: 'memory',
  imagesMayGoFirst: false,
  bootTimeoutMs: 1000,
  make: async (folder) => {
    const memory = new MemoryCloud(bootSectorGuest)
    return {
      open: () =>
        new MemoryProvider({ dataDir: folder, publicHost: '127.0.0.1', replicationPort: 1500 }, memory),
      writeVolume: writeAt,
      readDisk: async ({ path: file }, offsetBytes, lengthBytes) =>
        (await readFile(file)).subarray(offsetBytes, offsetBytes + lengthBytes),
      writeDisk: ({ path: file }, offsetBytes, bytes) => writeAt(file, offsetBytes, bytes),
      crashReplicationServer: async (id) => memory.crashReplicationServer(id),
      loseReplicationServer: async (id) => memory.loseReplicationServer(id),
      damageVolume: (devicePath, how) => (how === 'CUT' ? truncate(devicePath, 1024) : rm(devicePath)),
      takeCommands: async () => {
        memory.commandGuest = shellGuest()
      },
      leftovers: async () => {
        const names = await readdir(folder, { recursive: true })
        return names.filter((name) => name !== 'cloud')
      },
      dispose: async () => undefined,
    }
  },
})
