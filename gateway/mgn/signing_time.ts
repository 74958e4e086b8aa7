/**
 * When a request was signed, and whether that is now.
 * @module
 */
import { AccessError } from './access_error.ts'

/** How far the caller's clock may be from ours. */
const skewMs = 5 * 60_000

/** A time as in `20260301T120000Z`. */
export function timestampOf(time: Date): string {
  return time.toISOString().replace(/\.\d+|[:-]/g, '')
}

/**
 * The time in a header or a parameter, which may be written for mail, too, as the header Date is.
 * @throws AccessError for what is no time.
 */
export function readSignedAt(text: string, name: string): { timestamp: string; signedAt: Date } {
  const isForMail = name === 'date' && text.endsWith(' GMT')
  const signedAt = new Date(isForMail ? text : isoOf(text))
  const isTime = !Number.isNaN(signedAt.getTime())
  // A day that the month does not have would be another day elsewhere.
  if (!isTime || (!isForMail && timestampOf(signedAt) !== text))
    throw new AccessError(
      'IncompleteSignatureException',
      `Date must be in ISO-8601 'basic format'. Got '${text}' in ${name}, not as '${timestampOf(new Date(0))}'`,
    )
  return { timestamp: timestampOf(signedAt), signedAt }
}

/** The extended format, which is the one that `Date` reads. */
function isoOf(basic: string): string {
  return basic.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z')
}

/**
 * Refuses what was signed too long ago or not yet, by five minutes; a link holds as long as it says.
 * @throws AccessError that names both times.
 */
export function checkSigningTime(signedAt: Date, expiresSeconds: number | undefined, now: Date): void {
  const signed = timestampOf(signedAt)
  const at = timestampOf(now)
  const ageMs = now.getTime() - signedAt.getTime()
  if (ageMs < -skewMs) {
    const latest = timestampOf(new Date(now.getTime() + skewMs))
    throw new AccessError(
      'InvalidSignatureException',
      `Signature not yet current: ${signed} is still later than ${latest} (${at} + 5 min.); set the clock of the caller`,
    )
  }
  if (expiresSeconds !== undefined) {
    if (ageMs <= expiresSeconds * 1000) return
    const end = timestampOf(new Date(signedAt.getTime() + expiresSeconds * 1000))
    throw new AccessError(
      'RequestExpired',
      `Request has expired: it held until ${end}, and it is ${at}; sign it anew`,
    )
  }
  if (ageMs <= skewMs) return
  const earliest = timestampOf(new Date(now.getTime() - skewMs))
  throw new AccessError(
    'InvalidSignatureException',
    `Signature expired: ${signed} is now earlier than ${earliest} (${at} - 5 min.); set the clock of the caller`,
  )
}
