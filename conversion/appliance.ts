/**
 * One libguestfs appliance with the guest's disks: the guest's file systems are read by a kernel of their own, never by this host's.
 * @module
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errorMessage, PermanentError } from '../domain/errors.ts'
import { ApplianceError, Guestfish, isAboutGuest } from './guestfish.ts'
import { nameOfDisk } from './linux/devices.ts'
import { shortStart } from './short_start.ts'
import type { DiskToConvert } from './types.ts'

/** How an appliance is run. */
export interface ApplianceSettings {
  /** A folder for files on their way. What is in it has no meaning once its user is gone. */
  workDir: string
  /** A folder for what the next appliance starts from, shared by all of this host. */
  cacheDir: string
  /** What runs it: `kvm` only where that has been seen to work. */
  accelerator: 'kvm' | 'tcg'
  environment: Record<string, string | undefined>
}

/** A command inside the appliance that takes longer has hung. */
const commandTimeoutMs = 180_000
/** An appliance starts in seconds, without KVM in half a minute; building it the first time takes some more. */
const launchTimeoutMs = 240_000
/** Most of a text file that is read. libguestfs passes no more than 4 MB in one message. */
const maxTextBytes = 2 * 1024 * 1024
/** Initial RAM disks are the largest files that are read whole. */
const maxDownloadBytes = 512 * 1024 * 1024
/** The extended attribute that holds a SELinux label. */
const labelAttribute = 'security.selinux'
/** Texts longer than this go through a file rather than through a command line. */
const maxInlineBytes = 32 * 1024

/** A running appliance. Text files are read and written as Latin-1, so that every byte that is not changed on purpose stays. */
export class Appliance {
  /** Its names of the disks, in the order given. */
  readonly disks: readonly string[]
  readonly #guestfish: Guestfish
  readonly #folder: string

  private constructor(disks: readonly string[], guestfish: Guestfish, folder: string) {
    this.disks = disks
    this.#guestfish = guestfish
    this.#folder = folder
  }

  /**
   * Starts one with the disks in the order given. Where it fails, it is tried once more as libguestfs itself would, and without KVM.
   * @throws PermanentError when guestfish is not installed; ApplianceError when the appliance does not start; the signal's reason.
   */
  static async start(
    disks: readonly DiskToConvert[],
    settings: ApplianceSettings,
    signal: AbortSignal,
    log: (line: string) => void,
  ): Promise<Appliance> {
    try {
      return await Appliance.#launch(disks, settings, { isShort: true }, signal)
    } catch (error) {
      if (signal.aborted || error instanceof PermanentError) throw error
      log(`The appliance did not start, trying the long and safe way: ${errorMessage(error)}`)
      return await Appliance.#launch(disks, { ...settings, accelerator: 'tcg' }, { isShort: false }, signal)
    }
  }

  static async #launch(
    disks: readonly DiskToConvert[],
    settings: ApplianceSettings,
    start: { isShort: boolean },
    signal: AbortSignal,
  ): Promise<Appliance> {
    const { workDir, cacheDir } = settings
    for (const own of [workDir, cacheDir]) await mkdir(own, { recursive: true, mode: 0o700 })
    const folder = await mkdtemp(join(workDir, 'appliance-'))
    const guestfish = new Guestfish(environmentOf(settings, start, folder), signal)
    const names = disks.map((_disk, index) => nameOfDisk(index))
    const appliance = new Appliance(names, guestfish, folder)
    try {
      const usual = (await appliance.run('get-path')).trimEnd()
      const own = start.isShort ? await shortStart(usual, cacheDir) : undefined
      if (own !== undefined) await appliance.run('set-path', hostPath(own))
      await appliance.run('set-cachedir', hostPath(own ?? cacheDir))
      for (const { path, format } of disks)
        await appliance.run('add-drive', hostPath(path), `format:${format}`)
      await guestfish.launch(launchTimeoutMs)
      await appliance.#checkDisks()
      return appliance
    } catch (error) {
      await appliance.stop()
      throw error instanceof ApplianceError
        ? new ApplianceError(`Cannot open the disks: ${error.message}`, { cause: error })
        : error
    }
  }

  /** Everything depends on which disk is which. */
  async #checkDisks(): Promise<void> {
    const devices = await this.lines('list-devices')
    if (devices.join() !== this.disks.join())
      throw new ApplianceError(
        `The appliance calls the disks ${devices.join(', ')}, not ${this.disks.join(', ')}`,
      )
  }

  /** Runs one command and answers with its text. @throws ApplianceError with libguestfs's words. */
  async run(command: string, ...args: string[]): Promise<string> {
    return (await this.#guestfish.run(commandTimeoutMs, command, ...args)).toString('latin1')
  }

  /** As {@link run}, with the answer cut into lines. */
  async lines(command: string, ...args: string[]): Promise<string[]> {
    return (await this.run(command, ...args)).split('\n').filter((line) => line !== '')
  }

  /** A question with true or false for an answer. */
  async asks(command: string, ...args: string[]): Promise<boolean> {
    return (await this.run(command, ...args)).trim() === 'true'
  }

  /** Whether there is a regular file at `path`, perhaps behind a symbolic link. */
  isFile(path: string): Promise<boolean> {
    return this.asks('is-file', path, 'followsymlinks:true')
  }

  /** Whether there is a folder at `path`, perhaps behind a symbolic link. */
  isFolder(path: string): Promise<boolean> {
    return this.asks('is-dir', path, 'followsymlinks:true')
  }

  /** Where the symbolic link at `path` points; undefined when there is none. */
  async linkTarget(path: string): Promise<string | undefined> {
    return (await this.asks('is-symlink', path)) ? (await this.run('readlink', path)).trimEnd() : undefined
  }

  /** The file as text; undefined when there is no regular file. @throws PermanentError when it is larger than a configuration file can be. */
  async text(path: string): Promise<string | undefined> {
    // The first question is answered much faster than the second, and mostly with no.
    if (!(await this.asks('exists', path)) || !(await this.isFile(path))) return undefined
    const size = Number(await this.run('filesize', path))
    if (size > maxTextBytes)
      throw new PermanentError(
        `The guest's ${path} has ${size} bytes, which is too many for a configuration file: look at it on the source`,
      )
    return (await this.start(path, size)).toString('latin1')
  }

  /** The first `lengthBytes` bytes of a file, fewer when it is shorter. */
  start(path: string, lengthBytes: number): Promise<Buffer> {
    return this.#guestfish.run(commandTimeoutMs, 'pread', path, String(lengthBytes), '0')
  }

  /** The first `lengthBytes` bytes of a disk or partition. */
  startOfDevice(device: string, lengthBytes: number): Promise<Buffer> {
    return this.#guestfish.run(commandTimeoutMs, 'pread-device', device, String(lengthBytes), '0')
  }

  /** A whole file. @throws PermanentError when it is larger than any that conversion reads: this host's disk is not for guests to fill. */
  async download(path: string): Promise<Buffer> {
    const size = Number(await this.run('filesize', path))
    if (size > maxDownloadBytes)
      throw new PermanentError(
        `The guest's ${path} has ${size} bytes, which is too many for a file that starts it: look at it on the source`,
      )
    const local = join(this.#folder, 'download')
    await this.run('download', path, hostPath(local))
    const content = await readFile(local)
    await rm(local)
    return content
  }

  /** Writes a file, its folder made if it is missing. An existing file keeps its owner, mode and labels unless `mode` is given. */
  async write(path: string, content: string | Buffer, mode?: number): Promise<void> {
    await this.run('mkdir-p', dirname(path))
    const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content
    if (bytes.length <= maxInlineBytes && !bytes.includes(0)) {
      await this.run('write', path, bytes.toString('latin1'))
    } else {
      await this.#upload(bytes, 'upload', path)
    }
    if (mode !== undefined) await this.run('chmod', `0${mode.toString(8)}`, path)
  }

  /** Writes into a file at an offset and leaves what is before it. */
  async writeAt(path: string, offsetBytes: number, content: Buffer): Promise<void> {
    await this.#upload(content, 'upload-offset', path, String(offsetBytes))
  }

  async #upload(content: Buffer, command: string, ...args: string[]): Promise<void> {
    const local = join(this.#folder, 'upload')
    await writeFile(local, content)
    await this.run(command, hostPath(local), ...args)
    await rm(local)
  }

  /** The SELinux label of what is at `path`, a link itself included; undefined where there is none. */
  async #labelOf(path: string): Promise<string | undefined> {
    try {
      return (await this.run('lgetxattr', path, labelAttribute)).replace(/\0$/, '')
    } catch (error) {
      // Not labelled, or on a file system that has no labels.
      if (isAboutGuest(error)) return undefined
      throw error
    }
  }

  /** Gives what is at `path` the SELinux label of its folder, if it has none and its folder has one. */
  async inheritLabel(path: string): Promise<void> {
    if ((await this.#labelOf(path)) !== undefined) return
    const label = await this.#labelOf(dirname(path))
    if (label !== undefined) await this.run('lsetxattr', labelAttribute, label, String(label.length), path)
  }

  /** Flushes everything to the disks and ends the appliance. @throws ApplianceError when flushing fails. */
  async finish(): Promise<void> {
    await this.run('umount-all')
    await this.run('shutdown')
    await this.stop()
  }

  /** Ends the appliance whatever it is doing. */
  async stop(): Promise<void> {
    await this.#guestfish.end()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** A path of this host, whose bytes are UTF-8, in the one-character-per-byte text that commands take. */
function hostPath(path: string): string {
  return Buffer.from(path, 'utf8').toString('latin1')
}

function environmentOf(
  settings: ApplianceSettings,
  start: { isShort: boolean },
  folder: string,
): Record<string, string | undefined> {
  // Emulated processors have no side channels to guard, and the guards cost a third of the time; reading ACPI's tables costs two seconds.
  const parameters = start.isShort ? 'mitigations=off acpi=off' : 'mitigations=off'
  return {
    ...settings.environment,
    LIBGUESTFS_BACKEND: 'direct',
    ...(settings.accelerator === 'tcg'
      ? { LIBGUESTFS_BACKEND_SETTINGS: 'force_tcg', LIBGUESTFS_APPEND: parameters }
      : {}),
    LIBGUESTFS_TMPDIR: folder,
    TMPDIR: folder,
    LC_ALL: 'C.UTF-8',
  }
}
