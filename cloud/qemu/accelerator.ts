/**
 * How machines run on this host: KVM if it truly works, else TCG. `/dev/kvm` may open and still be unable to run a guest, so KVM is
 * tried with a tiny machine; the verdict is kept with its reason until QEMU or the kernel changes.
 * @module
 */
import { spawn } from 'node:child_process'
import { access, constants, rm, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { release } from 'node:os'
import { z } from 'zod'
import { errorMessage } from '../../domain/errors.ts'
import type { QemuContext } from './context.ts'
import { isSystemError, makeFolder, readJson, unfinishedName, writeJson } from './files.ts'
import { withLock } from './lock.ts'
import { probeDisk, probeExitCode, probeExitDevice } from './probe_disk.ts'
import { Qmp } from './qmp.ts'

/** A guest that does nothing boots in a second with KVM; one that takes this long is stuck. */
const probeTimeoutMs = 15_000
const versionTimeoutMs = 20_000
/** Models to try with KVM: all that the host has, then the least that every host has. */
const kvmCpuModels = ['host', 'qemu64']

const verdictSchema = z.object({
  kind: z.enum(['kvm', 'tcg']),
  cpuModel: z.string(),
  /** For the operator: why not KVM, or that it works. */
  reason: z.string(),
  /** What the verdict holds for; anything else asks for a new one. */
  basis: z.object({ qemuVersion: z.string(), kernel: z.string(), kvmDevice: z.string() }),
})

/** What machines of this host are started with, and why. */
export type Accelerator = z.infer<typeof verdictSchema>

/**
 * CPU of machines under TCG: what x86-64-v2 asks for, as RHEL 9 and its kin do, and no more. A Debian guest took 38 s of processor
 * time to its login prompt with it and with plain `qemu64`, 48 s with `max` and 50 s with `Nehalem`: kernels guard Intel models against Meltdown by switching
 * page tables at every system call, which TCG pays for dearly, and this model passes for an AMD one.
 */
export const tcgCpuModel = 'qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt'

/** The accelerator of this host: the remembered verdict, or a new trial. @throws PermanentError when QEMU is missing. */
export async function chooseAccelerator(context: QemuContext): Promise<Accelerator> {
  const { layout } = context
  return await withLock(layout.accelerator, async () => {
    const basis = await currentBasis(context)
    const known = await readJson(layout.accelerator, verdictSchema)
    if (known !== undefined && JSON.stringify(known.basis) === JSON.stringify(basis)) return known
    const verdict = { ...(await tryKvm(context)), basis }
    await makeFolder(layout.root)
    await writeJson(layout.accelerator, verdict)
    return verdict
  })
}

/** Notes that KVM failed a real machine, and returns what to use from now on. */
export async function refuteKvm(context: QemuContext, reason: string): Promise<Accelerator> {
  const { layout } = context
  return await withLock(layout.accelerator, async () => {
    const verdict = { ...tcg(reason), basis: await currentBasis(context) }
    await makeFolder(layout.root)
    await writeJson(layout.accelerator, verdict)
    return verdict
  })
}

/** For people: `KVM` or `TCG (KVM: why not)`. */
export function describeAccelerator({ kind, reason }: Pick<Accelerator, 'kind' | 'reason'>): string {
  return kind === 'kvm' ? 'KVM' : `TCG (KVM: ${reason})`
}

type Verdict = Omit<Accelerator, 'basis'>

function tcg(reason: string): Verdict {
  return { kind: 'tcg', cpuModel: tcgCpuModel, reason }
}

async function currentBasis(context: QemuContext): Promise<Accelerator['basis']> {
  const version = await context.tools.run('qemu-system-x86_64', ['--version'], versionTimeoutMs)
  return {
    qemuVersion: version.split('\n')[0] ?? '',
    kernel: release(),
    kvmDevice: await kvmDeviceTrouble(context.kvmDevice),
  }
}

/** Empty when the device can be opened, otherwise why not. */
async function kvmDeviceTrouble(device: string): Promise<string> {
  try {
    await access(device, constants.R_OK | constants.W_OK)
    return ''
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return `${device} is missing`
    if (isSystemError(error, 'EACCES')) return `this user may not open ${device}; add it to the group kvm`
    return errorMessage(error)
  }
}

async function tryKvm(context: QemuContext): Promise<Verdict> {
  const trouble = await kvmDeviceTrouble(context.kvmDevice)
  if (trouble !== '') return tcg(trouble)
  const reasons: string[] = []
  for (const cpuModel of kvmCpuModels) {
    const reason = await probe(context, cpuModel)
    if (reason === undefined) return { kind: 'kvm', cpuModel, reason: 'it ran a trial machine' }
    reasons.push(`with CPU ${cpuModel} ${reason}`)
  }
  return tcg(reasons.join('; '))
}

/** Runs the trial machine. Returns undefined when it came to its end, otherwise what went wrong. */
async function probe(context: QemuContext, cpuModel: string): Promise<string | undefined> {
  const { layout, tools } = context
  await makeFolder(layout.root)
  const disk = unfinishedName(`${layout.root}/probe`)
  await writeFile(disk, probeDisk(), { mode: 0o600 })
  try {
    const command = await tools.find('qemu-system-x86_64')
    return await watch(command, probeArguments(cpuModel, disk), tools.environment)
  } finally {
    await rm(disk, { force: true })
  }
}

function probeArguments(cpuModel: string, disk: string): string[] {
  const drive = JSON.stringify({
    driver: 'raw',
    'node-name': 'probe',
    file: { driver: 'file', filename: disk },
  })
  return [
    ['-nodefaults', '-no-user-config', '-machine', 'q35', '-accel', 'kvm', '-cpu', cpuModel, '-m', '64'],
    ['-display', 'none', '-qmp', 'stdio', '-device', probeExitDevice],
    ['-blockdev', drive, '-device', 'virtio-blk-pci,drive=probe,bootindex=1'],
  ].flat()
}

async function watch(
  command: string,
  args: string[],
  environment: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...environment } })
  let words = ''
  let stuck: string | undefined
  child.stderr.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-1000)))
  const giveUp = (reason: string) => {
    stuck ??= reason
    child.kill('SIGKILL')
  }
  const timer = setTimeout(
    () => giveUp(`the trial machine got nowhere in ${probeTimeoutMs / 1000} s`),
    probeTimeoutMs,
  )
  const qmp = new Qmp(child.stdout, child.stdin, (event) => {
    if (event === 'STOP') giveUp('the trial machine stopped in an internal error')
  })
  // Its end is told by the exit code, so a conversation cut short by it is no news.
  const begun = qmp.begin(probeTimeoutMs).catch(() => undefined)
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    await begun
    if (stuck !== undefined) return stuck
    if (code === probeExitCode) return undefined
    return `QEMU ended with ${signal ?? `code ${code}`}: ${words.trim() || 'it said nothing'}`
  } finally {
    clearTimeout(timer)
  }
}
