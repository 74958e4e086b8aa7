/**
 * The source server as a running machine: QEMU on a copy of the image, with every write to its disk logged in order.
 * @module
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { guestAgentAnswers, guestExec } from './guest_agent.ts'
import type { GuestExecResult } from './guest_agent.ts'

const run = promisify(execFile)

/** What to start. */
export interface SourceSpec {
  /** The disk as it was before the first boot; not written. */
  initialImagePath: string
  workDir: string
  /** How machines run on this host: `-accel` and `-cpu`. */
  accelerator: { kind: 'kvm' | 'tcg'; cpuModel: string }
  signal: AbortSignal
}

/** A running source server. */
export interface SourceVm {
  diskPath: string
  /** Log of all writes to the disk, in QEMU's blklogwrites format. */
  writeLogPath: string
  /** Runs a command as root, by its shell. */
  guestExec(command: string): Promise<GuestExecResult>
  stop(): Promise<void>
}

const bootTimeoutMs = 240_000
const ramMib = 768
/**
 * Emulated, an instruction that shuffles bytes is a call, and BLAKE3 and AES are full of them wherever the processor has them: a first copy took 105 s
 * with them and 92 s without.
 */
const emulatedCpuModel = 'qemu64'

/**
 * Starts it and waits until it takes commands.
 * @throws Error with the end of its console when it does not come up.
 */
export async function startSourceVm(spec: SourceSpec): Promise<SourceVm> {
  const folder = join(spec.workDir, 'source')
  await mkdir(folder, { recursive: true })
  const diskPath = join(folder, 'disk.raw')
  const writeLogPath = join(folder, 'writes.log')
  const serialPath = join(folder, 'serial.log')
  await run('cp', ['--reflink=auto', '--sparse=always', spec.initialImagePath, diskPath], {
    signal: spec.signal,
  })
  await writeFile(writeLogPath, '')
  // Paths of unix sockets are short by nature, and work folders are not.
  const sockets = await mkdtemp(join(tmpdir(), 'rehost-source-'))
  const agentSocket = join(sockets, 'agent.sock')
  const child = spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      '--',
      'qemu-system-x86_64',
      ...machineArguments(spec, { diskPath, writeLogPath, serialPath, agentSocket }),
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    },
  )
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-2000)))
  const stop = async (): Promise<void> => {
    await end(child)
    await rm(sockets, { recursive: true, force: true })
  }
  try {
    const deadline = Date.now() + bootTimeoutMs
    while (!(await guestAgentAnswers(agentSocket))) {
      spec.signal.throwIfAborted()
      if (child.exitCode !== null || Date.now() > deadline) {
        const serial = (await readFile(serialPath, 'utf8').catch(() => ''))
          .trimEnd()
          .split('\n')
          .slice(-10)
          .join('\n')
        throw new Error(
          `The source server did not come up. QEMU: ${words.trim() || 'nothing'}. Its console ends with:\n${serial}`,
        )
      }
      await sleep(300, undefined, { signal: spec.signal })
    }
    // The guest agent answers long before the network is up; a server that is installed on has finished starting.
    await guestExec(agentSocket, 'systemctl is-system-running --wait', spec.signal)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    diskPath,
    writeLogPath,
    guestExec: (command) => guestExec(agentSocket, command, spec.signal),
    stop,
  }
}

interface Paths {
  diskPath: string
  writeLogPath: string
  serialPath: string
  agentSocket: string
}

function machineArguments({ accelerator }: SourceSpec, paths: Paths): string[] {
  const disk = {
    driver: 'raw',
    'node-name': 'disk',
    file: {
      driver: 'blklogwrites',
      file: { driver: 'file', filename: paths.diskPath },
      log: { driver: 'file', filename: paths.writeLogPath },
      // Counted up at every write: the log is read while the machine runs.
      'log-super-update-interval': 1,
    },
  }
  return [
    // Another chipset than the target's, so that disks and network cards have other places there.
    ['-machine', 'pc', '-accel', accelerator.kind === 'tcg' ? 'tcg,thread=multi' : 'kvm'],
    ['-cpu', accelerator.kind === 'tcg' ? emulatedCpuModel : accelerator.cpuModel],
    ['-smp', '2', '-m', String(ramMib), '-nodefaults', '-no-user-config', '-display', 'none'],
    ['-chardev', `file,id=serial,path=${paths.serialPath}`, '-serial', 'chardev:serial'],
    ['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0,addr=3,romfile='],
    [
      '-blockdev',
      JSON.stringify(disk),
      '-device',
      'virtio-blk-pci,drive=disk,bootindex=1,addr=4,serial=REHOSTDEMO1',
    ],
    ['-device', 'virtio-rng-pci'],
    ['-chardev', `socket,id=agent,path=${paths.agentSocket},server=on,wait=off`],
    ['-device', 'virtio-serial-pci', '-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
  ].flat()
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
