/**
 * Reads a serial console and says whether the machine has come up.
 * @module
 */

/** What the console says so far. */
export type BootVerdict = { verdict: 'WAITING' } | { verdict: 'UP' } | { verdict: 'FAILED'; reason: string }

/** Ends that a machine does not leave by itself, each with what it means to the operator. */
const dead: readonly { pattern: RegExp; reason: string }[] = [
  { pattern: /Kernel panic - not syncing[^\r\n]*/, reason: 'The kernel panicked' },
  { pattern: /VFS: Unable to mount root fs[^\r\n]*/, reason: 'The kernel found no root file system' },
  { pattern: /No bootable device/i, reason: 'The firmware found nothing to boot' },
  { pattern: /Boot failed: not a bootable disk/i, reason: 'The firmware found no boot loader on the disk' },
  { pattern: /grub rescue>/, reason: 'GRUB cannot find its files' },
  { pattern: /error: no such (device|partition)[^\r\n]*/, reason: 'GRUB cannot find its file system' },
  { pattern: /\(initramfs\)\s*$/, reason: 'The initial RAM disk did not find the root file system' },
  { pattern: /ALERT!\s+\S+ does not exist\.\s+Dropping to a shell/, reason: 'The initial RAM disk did not find the root file system' },
  { pattern: /dracut:\/#\s*$/, reason: 'The initial RAM disk did not find the root file system' },
  {
    pattern: /You are in (emergency|rescue) mode|Entering emergency mode|Give root password for maintenance/i,
    reason: 'The system stopped in emergency mode',
  },
]

/** A login prompt at the start of a line; getty puts the host name before it. */
const loginPrompt = /(^|[\r\n])\S* ?login: ?$|(^|[\r\n])\S+ login: /

/** The last lines of a console, without control sequences, for a message. */
export function lastLines(text: string, count = 3): string {
  // oxlint-disable-next-line no-control-regex -- terminals are steered by exactly these characters
  const plain = text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u0008\u000b-\u001f]/g, '')
  const lines = plain.split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '').slice(-count).join(' | ')
}

/** The verdict on a console. A login prompt wins over an earlier alarm: the machine is up. Pure. */
export function bootVerdict(consoleText: string): BootVerdict {
  if (loginPrompt.test(consoleText)) return { verdict: 'UP' }
  const found = dead.find(({ pattern }) => pattern.test(consoleText))
  if (found === undefined) return { verdict: 'WAITING' }
  return { verdict: 'FAILED', reason: `${found.reason}. Its last words: ${lastLines(consoleText)}` }
}
