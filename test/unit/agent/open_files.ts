/**
 * Files that a simulated process leaves open when it is killed, which a real one's end would close. Beside `node:fs` in a mock of it.
 * @module
 */
import type * as Fs from 'node:fs'

const openFiles = new Map<number, (file: number) => void>()

/** `openSync` and `closeSync` of `real`, noting what is open. */
export function noteOpenFiles(real: typeof Fs): Pick<typeof Fs, 'openSync' | 'closeSync'> {
  return {
    openSync: (...args) => {
      const file = real.openSync(...args)
      openFiles.set(file, real.closeSync)
      return file
    },
    closeSync: (file) => {
      openFiles.delete(file)
      real.closeSync(file)
    },
  }
}

/** Closes what is still open. */
export function closeFilesLeftOpen(): void {
  for (const [file, close] of openFiles) close(file)
  openFiles.clear()
}
