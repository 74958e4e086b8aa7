/**
 * The data folder, which one process at a time works on.
 * @module
 */
import { readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeFolder, unlessMissing } from '../../cloud/qemu/files.ts'
import { tryLock } from '../../cloud/qemu/lock.ts'
import type { HeldLock } from '../../cloud/qemu/lock.ts'

/** Names the holder for whoever is refused. It decides nothing: the kernel frees the lock when its holder dies, and nobody the file. */
const holderName = 'supervisor.pid'

/** One that was killed a moment ago still has its lock while the kernel takes it apart. */
const lockTries = 6
const lockEveryMs = 200

async function lockInTime(name: string): Promise<HeldLock | undefined> {
  for (let left = lockTries - 1; ; left--) {
    const lock = await tryLock(name)
    if (lock !== undefined || left === 0) return lock
    await sleep(lockEveryMs)
  }
}

/** A data folder that this process has. */
export class DataFolder {
  readonly path: string
  readonly #lock: HeldLock

  private constructor(path: string, lock: HeldLock) {
    this.path = path
    this.#lock = lock
  }

  /**
   * Takes the folder, and makes it if it is not there.
   * @throws Error naming the process that has it, or saying why it cannot be made.
   */
  static async take(dataDir: string): Promise<DataFolder> {
    const path = resolve(dataDir)
    await make(path)
    // It is one folder under whichever name it is reached.
    const lock = await lockInTime(`data folder ${await realpath(path)}`)
    if (lock === undefined) {
      const holder = await unlessMissing(readFile(join(path, holderName), 'utf8'))
      throw new Error(
        `Rehost already runs on ${path}${holder === undefined ? '' : ` as process ${holder}`}: stop it, or set REHOST_DATA_DIR to another folder`,
      )
    }
    try {
      // Whoever had it a moment ago may have removed it.
      await make(path)
      await writeFile(join(path, holderName), String(process.pid), { mode: 0o600 })
    } catch (error) {
      await lock.release()
      throw error
    }
    return new DataFolder(path, lock)
  }

  /** Removes everything in it. It stays this process's. */
  async empty(): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (name !== holderName) await rm(join(this.path, name), { recursive: true, force: true })
    }
  }

  /** Lets others have it. */
  async giveBack(): Promise<void> {
    await rm(join(this.path, holderName), { force: true })
    await this.#lock.release()
  }
}

async function make(path: string): Promise<void> {
  await makeFolder(path).catch((cause: unknown) => {
    throw new Error(`Cannot make the data folder ${path}; set REHOST_DATA_DIR to a folder that can be made`, {
      cause,
    })
  })
}
