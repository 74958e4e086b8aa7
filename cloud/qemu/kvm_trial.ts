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
import { makeFolder, unfinishedName, unlessMissing } from './files.ts'
import { probeDisk, probeExitCode, probeExitDevice } from './probe_disk.ts'
import { Qmp } from './qmp.ts'

/** What a kernel without a root file system says last. The options make it restart then, and QEMU ends with code 0 instead. */
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
  // A folder that cannot be read has no kernel for us, whatever the reason.
  const names = await readdir(kernelFolder).catch(() => [])
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

/**
 * Runs the trial machines with this CPU model. Returns undefined when each came to its end, otherwise what went wrong.
 * @throws Error when one was ended from outside: that says nothing about KVM.
 */
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
    return await watch(context, { what: 'the trial machine', cpuModel, goodCode: probeExitCode }, [
      ...['-m', '64', '-device', probeExitDevice],
      ...['-blockdev', drive, '-device', 'virtio-blk-pci,drive=probe,bootindex=1'],
    ])
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
  const what = path.basename(kernel)
  try {
    const failure = await watch(context, { what, cpuModel, goodCode: 0 }, [
      ...['-m', '256', '-smp', '2', '-no-reboot', '-serial', `file:${serial}`],
      ...['-kernel', kernel, '-append', kernelOptions],
    ])
    if (failure !== undefined) return failure
    const words = (await unlessMissing(readFile(serial, 'latin1'))) ?? ''
    if (words.includes(lastWords)) return undefined
    return { reason: `${what} ended before it looked for its root`, isStuck: false }
  } finally {
    await rm(serial, { force: true })
  }
}

/** One machine of the trial. */
interface Trial {
  what: string
  cpuModel: string
  /** QEMU's exit code when the guest came to its end. */
  goodCode: number
}

/** Runs one machine until it ends, stops in an internal error, or has had its time. Neither Ctrl-C nor this process's own end leaves it. */
async function watch(
  { tools, trialTimeoutMs }: QemuContext,
  { what, cpuModel, goodCode }: Trial,
  args: string[],
): Promise<TrialFailure | undefined> {
  const common = ['-nodefaults', '-no-user-config', '-machine', 'q35', '-accel', 'kvm', '-cpu', cpuModel]
  const qemu = [
    await tools.find('qemu-system-x86_64'),
    ...common,
    '-display',
    'none',
    '-qmp',
    'stdio',
    ...args,
  ]
  const child = spawn(await tools.find('setpriv'), ['--pdeathsig', 'KILL', '--', ...qemu], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...tools.environment },
    detached: true,
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
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    await begun
    if (failure !== undefined) return failure
    refuseBrokenOff(words, signal)
    if (code === goodCode) return undefined
    const how = `QEMU ended with ${signal ?? `code ${code}`}: ${words.trim() || 'it said nothing'}`
    return { reason: how, isStuck: false }
  } finally {
    clearTimeout(timer)
  }
}

/** QEMU takes these signals for a request to end, says so, and ends with code 0. @throws Error when it got one, or was killed. */
function refuseBrokenOff(words: string, signal: NodeJS.Signals | null): void {
  const request = /terminating on signal \d+/.exec(words)?.[0]
  const kill = signal === 'SIGKILL' || signal === 'SIGTERM' ? signal : undefined
  if (request === undefined && kill === undefined) return
  throw new Error(
    `The trial of KVM was broken off (${request ?? kill}); it is made again when it is needed. Where it is broken off each time, set REHOST_ACCELERATOR=tcg`,
  )
}
