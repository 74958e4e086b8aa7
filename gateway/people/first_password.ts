/**
 * The administrator's first password: made up, and kept in a file until whoever started Rehost takes it from there.
 * @module
 */
import type { RandomBytes } from '../../domain/ids.ts'
import { keptSecret } from '../../store/kept_secret.ts'

/** Letters and digits that cannot be mistaken for one another when read aloud. */
const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789'

/** Four groups of five: about 99 bits. */
function newPassword(random: RandomBytes): string {
  const groups = [0, 1, 2, 3].map(() => {
    let group = ''
    while (group.length < 5) {
      for (const byte of random(8)) {
        // Rejecting the rest of the range keeps every letter as likely as any other.
        if (byte < 248 && group.length < 5) group += alphabet[byte % alphabet.length] ?? ''
      }
    }
    return group
  })
  return groups.join('-')
}

/** The password in `file`, made up unless a start has left one there. */
export function firstPassword(file: string, random: RandomBytes): Promise<string> {
  return keptSecret(file, () => newPassword(random))
}
