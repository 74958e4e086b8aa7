import { describe, expect, it } from 'vitest'
import { bootVerdict, lastLines } from '../../../workers/launch/boot_verdict.ts'

const up: Record<string, string> = {
  'a prompt at the end': 'Debian GNU/Linux 12 shop ttyS0\r\n\r\nshop login: ',
  'a prompt cut after the colon': '\nshop login:',
  'a prompt with kernel messages after it': 'shop login: [   31.2] random: crng init done\n',
  'a prompt in colour': '\u001b[0;32mGreetings\u001b[0m\r\r\n\u001b[?2004hshop login: ',
  'somebody signed in': 'shop login: root\nLast login: Fri Nov 20 on ttyS0\nroot@shop:~# ',
  'an alarm that was got over':
    'error: no such device: 1234.\nPress any key to continue...\n[ 0.0] Linux version 6.1\nshop login: ',
  'emergency mode that was left':
    'You are in emergency mode.\n[ OK ] Reached target multi-user\nshop login: ',
}

const failed: Record<string, { text: string; reason: RegExp }> = {
  panic: {
    text: '[ 1.0] Kernel panic - not syncing: Attempted to kill init!',
    reason: /kernel panicked.*Attempted to kill init/,
  },
  'panic for want of a root': {
    text: 'Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)',
    reason: /no root file system/,
  },
  'panic after the prompt': {
    text: 'shop login: \n[ 99.1] Kernel panic - not syncing: Fatal exception',
    reason: /panicked/,
  },
  'initramfs shell': {
    text: 'ALERT!  UUID=12 does not exist.  Dropping to a shell!\n\n(initramfs) ',
    reason: /initial RAM disk/i,
  },
  'dracut shell': {
    text: 'Warning: /dev/disk/by-uuid/12 does not exist\n\ndracut:/# ',
    reason: /initial RAM disk/i,
  },
  'emergency mode': {
    text: 'You are in emergency mode. After logging in, type ...\nPress Enter for maintenance\n',
    reason: /emergency mode/,
  },
  'no boot loader': {
    text: 'Booting from Hard Disk...\r\nNo bootable device.\r\n',
    reason: /nothing to boot/,
  },
  'grub rescue': {
    text: 'error: unknown filesystem.\nEntering rescue mode...\ngrub rescue> ',
    reason: /GRUB cannot find its files/,
  },
  'grub without configuration': { text: 'GNU GRUB  version 2.06\n\ngrub> ', reason: /no configuration/ },
  'the shell of the UEFI firmware': {
    text: 'UEFI Interactive Shell v2.2\r\n\u001b[1mShell> ',
    reason: /firmware/,
  },
}

const waiting: Record<string, string> = {
  nothing: '',
  'a kernel at work': '[    0.000000] Linux version 6.1.0-26-cloud-amd64',
  'a message with the word login in it': '[  OK  ] Started systemd-logind.service - User Login Management.\n',
  'GRUB that goes on': 'error: no such device: 1234.\n\nPress any key to continue...',
}

describe('bootVerdict()', () => {
  it.each(Object.entries(up))('is UP for %s', (_name, text) => {
    expect(bootVerdict(text)).toEqual({ verdict: 'UP' })
  })

  it.each(Object.entries(failed))('is FAILED for %s, with the reason', (_name, { text, reason }) => {
    const found = bootVerdict(text)
    expect(found.verdict).toBe('FAILED')
    expect(found.verdict === 'FAILED' ? found.reason : '').toMatch(reason)
  })

  it.each(Object.entries(waiting))('waits at %s', (_name, text) => {
    expect(bootVerdict(text)).toEqual({ verdict: 'WAITING' })
  })
})

describe('lastLines()', () => {
  it('gives the last lines that say something, without what steers a terminal', () => {
    expect(lastLines('one\r\n\u001b[1mtwo\u001b[0m\r\n\r\n   \r\nthree\r\nfour')).toBe('two | three | four')
  })
})
