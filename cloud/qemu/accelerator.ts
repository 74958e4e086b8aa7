/**
 * How machines run on this host: KVM if it truly works, else TCG. The verdict of the trial is kept with its reason until QEMU or the running
 * kernel changes.
 * @module
 */
import { access, constants } from 'node:fs/promises'
import { release } from 'node:os'
import { z } from 'zod'
import { errorMessage } from '../../domain/errors.ts'
import type { QemuContext } from './context.ts'
import { isSystemError, makeFolder, readJson, writeJson } from './files.ts'
import { trialKernel, tryMachines } from './kvm_trial.ts'
import { withLock } from './lock.ts'

const versionTimeoutMs = 20_000
/** Models to try with KVM: all that the host has, then the least that every host has. */
const kvmCpuModels = ['host', 'qemu64']

const verdictSchema = z.object({
  kind: z.enum(['kvm', 'tcg']),
  cpuModel: z.string(),
  /** For the operator: why not KVM, or that it works. */
  reason: z.string(),
  /** What the verdict holds for; anything else asks for a new one. */
  basis: z.object({
    qemuVersion: z.string(),
    kernel: z.string(),
    kvmDevice: z.string(),
    /** Whether there was a kernel to try. Which one makes no difference: a later one must not undo what a real machine has shown. */
    isKernelTried: z.boolean().default(false),
  }),
})

/** What machines of this host are started with, and why. */
export type Accelerator = z.infer<typeof verdictSchema>

/**
 * CPU of machines under TCG: what x86-64-v2 asks for, as RHEL 9 and its kin do, and no more. A Debian guest took 38 s of processor
 * time to its login prompt with it and with plain `qemu64`, 48 s with `max` and 50 s with `Nehalem`: kernels guard Intel models against Meltdown by switching
 * page tables at every system call, which TCG pays for dearly, and this model passes for an AMD one.
 */
export const tcgCpuModel = 'qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt'

/** The accelerator of this host: as set, the remembered verdict, or a new trial. @throws PermanentError when QEMU is missing. */
export async function chooseAccelerator(context: QemuContext): Promise<Accelerator> {
  const { layout, config } = context
  if (config.accelerator === 'tcg')
    return { ...tcg('turned off by setting'), basis: await currentBasis(context) }
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
    isKernelTried: (await trialKernel(context)) !== undefined,
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
    const failure = await tryMachines(context, cpuModel)
    if (failure === undefined) return { kind: 'kvm', cpuModel, reason: 'it ran a trial machine' }
    reasons.push(`with CPU ${cpuModel} ${failure.reason}`)
    if (failure.isStuck) break
  }
  return tcg(reasons.join('; '))
}
