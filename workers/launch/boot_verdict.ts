/**
 * Reads a serial console and says whether the machine has come up.
 * @module
 */

/** What the console says so far. */
export type BootVerdict = { verdict: 'WAITING' } | { verdict: 'UP' } | { verdict: 'FAILED'; reason: string }

const noRoot = 'The initial RAM disk did not find the root file system'

/** Ends that a machine does not leave by itself, each with what it means to the operator. */
const dead: readonly { pattern: RegExp; reason: string }[] = [
  { pattern: /VFS: Unable to mount root fs/g, reason: 'The kernel found no root file system' },
  { pattern: /Kernel panic - not syncing/g, reason: 'The kernel panicked' },
  { pattern: /No bootable device/gi, reason: 'The firmware found nothing to boot' },
  { pattern: /Boot failed: not a bootable disk/gi, reason: 'The firmware found no boot loader on the disk' },
  { pattern: /^\s*Shell> *$/gm, reason: 'The firmware found nothing to boot and fell into its shell' },
  { pattern: /^grub rescue>/gm, reason: 'GRUB cannot find its files' },
  { pattern: /^grub> *$/gm, reason: 'GRUB has no configuration' },
  { pattern: /^\(initramfs\) *$/gm, reason: noRoot },
  { pattern: /ALERT!\s+\S+ does not exist\.\s+Dropping to a shell/g, reason: noRoot },
  { pattern: /^(dracut|sh|rdsosreport)?:?\/# *$/gm, reason: noRoot },
  {
    pattern: /Entering emergency mode|You are in (emergency|rescue) mode/gi,
    reason: 'The system stopped in emergency mode',
  },
  {
    pattern: /(Give root password for maintenance|Press Enter for maintenance)/gi,
    reason: 'The system stopped in emergency mode',
  },
]

/** getty's prompt: the host name, then `login:`, at the start of a line; kernel messages may come after it. */
const loginPrompt = /^(\S+ )?login: /gm

/** What steers a terminal and says nothing: escape sequences, and control characters other than tab and line ends. */
// oxlint-disable-next-line no-control-regex -- terminals are steered by exactly these characters
const steering = /\u001b\[[0-9;?]*[A-Za-z]|\u001b[()][A-Z0-9]|[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g

/** `text` without control sequences, with plain line ends. */
function plain(text: string): string {
  return text.replaceAll(steering, '').replaceAll(/\r+\n?/g, '\n')
}

/** The last lines of a console, without control sequences, for a message. */
export function lastLines(text: string, count = 3): string {
  const lines = plain(text)
    .split('\n')
    .map((line) => line.trim())
  return lines
    .filter((line) => line !== '')
    .slice(-count)
    .join(' | ')
}

function lastIndex(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].at(-1)?.index ?? -1
}

/**
 * The verdict on a console so far. What comes last counts: a login prompt after an alarm means that the machine came up all the same, and a
 * panic after a login prompt that it went down again. Pure.
 */
export function bootVerdict(consoleText: string): BootVerdict {
  // A prompt is written without an end of line, and a console may be cut right after the colon.
  const text = plain(consoleText).replace(/login:$/, 'login: ')
  const upAt = lastIndex(text, loginPrompt)
  const found = dead.find(({ pattern }) => lastIndex(text, pattern) > upAt)
  if (found !== undefined)
    return { verdict: 'FAILED', reason: `${found.reason}. Its last words: ${lastLines(consoleText)}` }
  return upAt >= 0 ? { verdict: 'UP' } : { verdict: 'WAITING' }
}
