/**
 * Stands in for `@napi-rs/blake-hash` in the single executable: its native part is an asset, written out at first use and loaded from there.
 * @module
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { getRawAsset } from 'node:sea'
import { errorMessage } from '../../domain/errors.ts'
import { nativeDirectories, nativeFolderPrefix } from '../native_directories.ts'

interface Hasher {
  update(bytes: Uint8Array): unknown
  digestBuffer(): Buffer
}

interface NativeBlake3 {
  blake3(bytes: Uint8Array): Buffer
  Blake3Hasher: new () => Hasher
}

let loaded: NativeBlake3 | undefined

/** Writes the library where it may be executed (a folder may be mounted noexec), loads it, and removes the file: the mapping stays. */
function load(): NativeBlake3 {
  const failures: string[] = []
  for (const directory of [...nativeDirectories(), dirname(process.execPath)]) {
    try {
      return loadFrom(directory)
    } catch (error) {
      failures.push(`${directory}: ${errorMessage(error)}`)
    }
  }
  throw new Error(
    `Cannot load the agent's native part from any folder (${failures.join('; ')}); is each of them mounted noexec?`,
  )
}

function loadFrom(directory: string): NativeBlake3 {
  const folder = mkdtempSync(join(directory, nativeFolderPrefix))
  try {
    chmodSync(folder, 0o700)
    const file = join(folder, 'blake.node')
    writeFileSync(file, new Uint8Array(getRawAsset('blake.node')), { mode: 0o700 })
    const module: { exports: unknown } = { exports: {} }
    process.dlopen(module, file, constants.dlopen.RTLD_NOW)
    return module.exports as NativeBlake3
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function native(): NativeBlake3 {
  loaded ??= load()
  return loaded
}

/** BLAKE3 in one call. */
export function blake3(bytes: Uint8Array): Buffer {
  return native().blake3(bytes)
}

/** BLAKE3 over pieces. */
export class Blake3Hasher {
  readonly #hasher = new (native().Blake3Hasher)()

  update(bytes: Uint8Array): this {
    this.#hasher.update(bytes)
    return this
  }

  digestBuffer(): Buffer {
    return this.#hasher.digestBuffer()
  }
}
