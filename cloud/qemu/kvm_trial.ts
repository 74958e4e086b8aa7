/**
 * Whether KVM truly runs machines here. `/dev/kvm` may open, and even run a boot sector, on a host that comes to no end with a whole kernel
 * (seen where KVM itself runs in a virtual machine): so a boot sector is tried first, which tells at once that nothing runs, then a kernel.
 * @module
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, constants, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { QemuContext } from './context.ts'
import { isSystemError, makeFolder, unfinishedName } from './files.ts'
import { probeDisk, probeExitCode, probeExitDevice } from './probe_disk.ts'
import { Qmp } from './qmp.ts'

/** What a kernel without a root file system says last. The options make it restart then, and QEMU ends instead. */
const lastWords = 'Unable to mount root fs'
const kernelOptions = 'console=ttyS0 panic=-1 root=none'

/** How a trial went wrong. */
export interface TrialFailure {
  reason: string
  /** It ran and came to no end: another CPU model makes no difference. */
  isStuck: boolean
}

/** The newest kernel of this host that this user can read; undefined when there is none. */
export async function trialKernel({ kernelFolder }: QemuContext): Promise<string | undefined> {
  const names = await readdir(kernelFolder).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'EACCES')) return []
    throw error
  })
  const kernels = names.filter((name) => name.startsWith('vmlinuz-') && !name.includes('rescue'))
  const newestFirst = kernels.toSorted((left, right) =>
    right.localeCompare(left, 'en', { numeric: true, sensitivity: 'variant' }),
  )
  for (const name of newestFirst) {
    const file = path.join(kernelFolder, name)
    const isReadable = await access(file, constants.R_OK).then(
      () => true,
      () => false,
    )
    if (isReadable) return file
  }
  return undefined
}

/** Runs the trial machines with this CPU model. Returns undefined when each came to its end, otherwise what went wrong. */
export async function tryMachines(context: QemuContext, cpuModel: string): Promise<TrialFailure | undefined> {
  await makeFolder(context.layout.root)
  const failure = await trySector(context, cpuModel)
  if (failure !== undefined) return failure
  const kernel = await trialKernel(context)
  return kernel === undefined ? undefined : await tryKernel(context, cpuModel, kernel)
}

async function trySector(context: QemuContext, cpuModel: string): Promise<TrialFailure | undefined> {
  const disk = unfinishedName(`${context.layout.root}/probe`)
  await writeFile(disk, probeDisk(), { mode: 0o600 })
  const file = { driver: 'file', filename: disk }
  const drive = JSON.stringify({ driver: 'raw', 'node-name': 'probe', file })
  try {
    const { code, failure } = await watch(context, 'the trial machine', cpuModel, [
      ...['-m', '64', '-device', probeExitDevice],
      ...['-blockdev', drive, '-device', 'virtio-blk-pci,drive=probe,bootindex=1'],
    ])
    return failure ?? (code === probeExitCode ? undefined : ended(`code ${code}`, ''))
  } finally {
    await rm(disk, { force: true })
  }
}

async function tryKernel(
  context: QemuContext,
  cpuModel: string,
  kernel: string,
): Promise<TrialFailure | undefined> {
  const serial = unfinishedName(`${context.layout.root}/probe`)
  try {
    const { failure } = await watch(context, path.basename(kernel), cpuModel, [
      ...['-m', '256', '-smp', '2', '-no-reboot', '-serial', `file:${serial}`],
      ...['-kernel', kernel, '-append', kernelOptions],
    ])
    if (failure !== undefined) return failure
    if ((await readFile(serial, 'latin1')).includes(lastWords)) return undefined
    return { reason: `${path.basename(kernel)} ended before it looked for its root`, isStuck: false }
  } finally {
    await rm(serial, { force: true })
  }
}

function ended(how: string, words: string): TrialFailure {
  return { reason: `QEMU ended with ${how}: ${words.trim() || 'it said nothing'}`, isStuck: false }
}

/** Runs one machine until it ends, stops in an internal error, or has had its time. */
async function watch(
  { tools, trialTimeoutMs }: QemuContext,
  what: string,
  cpuModel: string,
  args: string[],
): Promise<{ code: number | null; failure?: TrialFailure }> {
  const common = ['-nodefaults', '-no-user-config', '-machine', 'q35', '-accel', 'kvm', '-cpu', cpuModel]
  const command = await tools.find('qemu-system-x86_64')
  const child = spawn(command, [...common, '-display', 'none', '-qmp', 'stdio', ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...tools.environment },
  })
  let words = ''
  let failure: TrialFailure | undefined
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-1000)))
  const giveUp = (reason: string, isStuck: boolean) => {
    failure ??= { reason, isStuck }
    child.kill('SIGKILL')
  }
  const timer = setTimeout(
    () => giveUp(`${what} got nowhere in ${trialTimeoutMs / 1000} s`, true),
    trialTimeoutMs,
  )
  const qmp = new Qmp(child.stdout, child.stdin, (event) => {
    if (event === 'STOP') giveUp(`${what} stopped in an internal error`, false)
  })
  // Its end is told by the exit code, so a conversation cut short by it is no news.
  const begun = qmp.begin(trialTimeoutMs).catch(() => undefined)
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    await begun
    if (failure !== undefined) return { code, failure }
    if (signal !== null) return { code, failure: ended(signal, words) }
    if (code !== 0 && code !== probeExitCode) return { code, failure: ended(`code ${code}`, words) }
    return { code }
  } finally {
    clearTimeout(timer)
  }
}
