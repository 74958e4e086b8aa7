/**
 * Proves that a kernel is the first one started since an agent asked for proof: the agent leaves a token with the boot loader, which hands it to the
 * kernel that it starts and forgets it. A kernel that comes after another one, whatever that one did and however it ended, does not get it.
 * @module
 */
import { dirname, join } from 'node:path'
import type { SystemFiles } from '../inventory/system_files.ts'
import type { CommandRunner } from '../run_command.ts'
import type { LoaderFile } from './sealed_record.ts'
import type { PresentDisk, SectorRange } from './present_disks.ts'
import { errorMessage } from '../../domain/errors.ts'
import { isInstalled } from '../run_command.ts'
import { diskUnder, placesOf } from './file_places.ts'
import { sectorSizeBytes } from '../../domain/units.ts'

/** What the kernel is told to trace from its start on. */
export const traceParameter = 'trace_event=block:block_rq_complete'
/** The boot loader's variable that holds the token; GRUB's program empties it. */
export const tokenVariable = 'rehost_token'
/** Its variable with the token that it handed to the kernel it started last; empty when that one was given none. */
export const givenVariable = 'rehost_given'
/** How the kernel's parameter with the token begins. */
export const tokenParameter = 'rehost.boot='
/** Numbers of the boot loaders that are a kernel themselves, in the upper four bits. */
const kexecLoader = 0xd

/** What this kernel knows of its start. */
export interface BootFacts {
  commandLine: string
  /** The kernel's number for the boot loader; undefined where there is none. */
  loaderType: number | undefined
  /** This kernel was started because another one has crashed. */
  isCrashKernel: boolean
  /** What the boot loader still holds. */
  tokenLeft: string | undefined
  /** What it handed out at its last start; undefined where that cannot be read. */
  tokenGiven: string | undefined
}

/** Why this kernel may not be the first one since the token was left; undefined when it is. */
export function refusalOfBoot(facts: BootFacts, token: string): string | undefined {
  const words = facts.commandLine.split(/\s+/)
  const tokens = words.filter((word) => word.startsWith(tokenParameter))
  if (!tokens.includes(`${tokenParameter}${token}`))
    return 'nothing proves that no other system was started since it was shut down'
  if (facts.tokenLeft === token) return 'the boot loader cannot forget what it was told'
  // The words of an earlier kernel may have been kept for this one: programs that install kernels copy them.
  if (facts.tokenGiven !== token) return 'the boot loader was at work once more since it handed the proof out'
  if (facts.isCrashKernel) return 'this kernel was started after a crash'
  // Such a kernel may have been given the words of the one before.
  if (facts.loaderType === undefined || facts.loaderType >>> 4 === kexecLoader)
    return 'it may have been started by another kernel'
  return undefined
}

/** Whether the kernel was told to trace from its start on. */
export function isTracedFromBoot(commandLine: string): boolean {
  const told = commandLine.split(/\s+/).filter((word) => word.startsWith('trace_event='))
  return told.length === 1 && told[0] === traceParameter
}

/** Where the boot loader's file lies in this boot. */
export type LoaderPlace = SectorRange & { kernelName: string }

/** The same, as it is known in another boot. */
export function loaderFileOf(place: LoaderPlace, disks: readonly PresentDisk[]): LoaderFile {
  const { firstSector, sectorCount, kernelName } = place
  const disk = disks.find((candidate) => candidate.kernelName === kernelName)
  return { lastingId: disk?.lastingId ?? kernelName, firstSector, sectorCount }
}

/** The boot loader of this machine, if it is GRUB. */
export class BootLoader {
  readonly #files: SystemFiles
  readonly #run: CommandRunner

  constructor(files: SystemFiles, run: CommandRunner) {
    this.#files = files
    this.#run = run
  }

  /** What this kernel knows of its start. */
  async facts(): Promise<BootFacts> {
    const files = this.#files
    const type = await files.readText('/proc/sys/kernel/bootloader_type')
    const commandLine = (await files.readText('/proc/cmdline')) ?? ''
    // What cannot be read proves nothing.
    const held = await this.#list().catch(() => '')
    return {
      commandLine,
      loaderType: type === undefined ? undefined : Number(type),
      isCrashKernel:
        (await files.realPath('/proc/vmcore')) !== undefined || commandLine.includes('elfcorehdr='),
      tokenLeft: valueIn(held, tokenVariable),
      tokenGiven: valueIn(held, givenVariable),
    }
  }

  /** Leaves a token, durably. @throws Error with why a kernel would not get it. */
  async arm(token: string): Promise<void> {
    const path = await this.envFile()
    await this.#run(await this.#editor(), [path, 'set', `${tokenVariable}=${token}`])
    await this.#run('sync', [path, dirname(path)])
    await this.place()
  }

  /** Where the file lies that the boot loader writes. @throws Error when it cannot write there, or that cannot be said. */
  async place(): Promise<LoaderPlace> {
    const path = await this.envFile()
    const config = await this.#files.readText(join(dirname(path), 'grub.cfg'))
    if (config === undefined || /\bsave_env\s+(?:-f|--file)/.test(config))
      throw new Error(`nobody can say what else GRUB writes than ${path}`)
    let places
    try {
      places = await placesOf(path, this.#run)
    } catch (error) {
      throw new Error(`nobody can say where ${path} lies: ${errorMessage(error)}`, { cause: error })
    }
    const disk = await diskUnder(this.#files, places.device)
    const [part, ...others] = places.parts
    if (disk === undefined || part === undefined || others.length > 0)
      throw new Error(`GRUB cannot write ${path}: it is not in one piece on a plain partition`)
    return {
      kernelName: disk.kernelName,
      firstSector: disk.firstSector + part.deviceByte / sectorSizeBytes,
      sectorCount: part.bytes / sectorSizeBytes,
    }
  }

  async #list(): Promise<string> {
    return this.#run(await this.#editor(), [await this.envFile(), 'list'])
  }

  /** Its file with what it keeps from one start to the next. @throws Error when there is none. */
  async envFile(): Promise<string> {
    for (const folder of ['/boot/grub', '/boot/grub2']) {
      const path = await this.#files.realPath(`${folder}/grubenv`)
      if (path !== undefined) return path
    }
    throw new Error('there is no GRUB with an environment (/boot/grub/grubenv)')
  }

  async #editor(): Promise<string> {
    for (const program of ['grub-editenv', 'grub2-editenv'])
      if (await isInstalled(this.#run, program)) return program
    throw new Error('grub-editenv is not installed')
  }
}

/** Of a variable in what the boot loader's program lists. */
function valueIn(list: string, variable: string): string | undefined {
  return new RegExp(`^${variable}=(.*)$`, 'm').exec(list)?.[1]
}
