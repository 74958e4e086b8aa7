/**
 * Why a process of ours ended, read off the end of its log.
 * @module
 */
import { z } from 'zod'

const lineSchema = z.object({ level: z.number(), msg: z.string() })
/** From this level on a line says that something went wrong. */
const errorLevel = 50
const maxReasonLength = 300
/** What the runtime prints around an error, and who called whom. */
const noise = /^(\s+at |Node\.js v|node:|file:|\s*\^|\s*$)/

/** Its last error, or what the runtime printed when it died; that there is none otherwise. One line. */
export function lastWordsOf(logTail: string): string {
  const lines = logTail.trimEnd().split('\n')
  const lastJson = lines.findLastIndex((line) => line.startsWith('{'))
  const printed = lines.slice(lastJson + 1).filter((line) => !noise.test(line))
  if (printed.length > 0) return printed.join(' | ').slice(0, maxReasonLength)
  const error = errorIn(lines[lastJson] ?? '')
  return error ?? 'it ended without a word: it was killed or the host was restarted'
}

/** The message of a log line that tells of an error; undefined for any other, also for one that was cut. */
function errorIn(line: string): string | undefined {
  try {
    const parsed = lineSchema.safeParse(JSON.parse(line))
    return parsed.success && parsed.data.level >= errorLevel ? parsed.data.msg : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
