/**
 * The log of one process. A log that cannot be written ends nobody: neither the supervisor nor the process, whose output goes on being read.
 * @module
 */
import { appendFile } from 'node:fs'
import { Writable } from 'node:stream'

/**
 * Appends to `file` what is written. What cannot be, as on a full disk, is lost, and `say` hears so once until writing succeeds again.
 * The file is opened for each piece: one that was moved away or removed is made anew.
 */
export function openLog(file: string, say: (line: string) => void): Writable {
  let isInTrouble = false
  return new Writable({
    write(piece: Buffer, _encoding, done) {
      appendFile(file, piece, { mode: 0o600 }, (error) => {
        if (error !== null && !isInTrouble)
          say(`Cannot write ${file}, lines are missing from now on: ${error.message}`)
        isInTrouble = error !== null
        done()
      })
    },
  })
}
