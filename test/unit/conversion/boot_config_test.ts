import { describe, expect, it } from 'vitest'
import { planBootConfig } from '../../../conversion/linux/boot_config.ts'
import type { Guest } from '../../../conversion/types.ts'
import { debianGuest, fileSystem, kernel, uuids, virtioTarget } from '../../fixtures/guests_described.ts'

/** What becomes of a file. */
function rewritten(path: string, text: string, own: Partial<Guest> = {}): string {
  const change = planBootConfig(debianGuest({ ...own, files: [{ path, text }] }), virtioTarget)
  const operation = change?.operations[0]
  return operation?.kind === 'write' ? operation.text : text
}

const consoles = 'console=tty0 console=ttyS0,115200'
const root = `root=UUID=${uuids.root}`

describe('planBootConfig()', () => {
  it.each([
    [
      'GRUB',
      '/boot/grub/grub.cfg',
      '\tlinux\t/boot/vmlinuz root=/dev/vda1 ro  quiet',
      `\tlinux\t/boot/vmlinuz ${root} ro  quiet ${consoles}`,
    ],
    [
      'GRUB with 16-bit entry',
      '/boot/grub2/grub.cfg',
      'linux16 /vmlinuz root=/dev/sda2',
      `linux16 /vmlinuz ${root} ${consoles}`,
    ],
    [
      'GRUB on the EFI partition',
      '/boot/efi/EFI/centos/grub.cfg',
      'linuxefi /v root=/dev/sda2',
      `linuxefi /v ${root} ${consoles}`,
    ],
    [
      'a command line without parameters',
      '/boot/grub/grub.cfg',
      'linux /vmlinuz',
      `linux /vmlinuz ${consoles}`,
    ],
    [
      'extlinux',
      '/boot/extlinux/extlinux.conf',
      '  append root=/dev/vda1 ro',
      `  append ${root} ro ${consoles}`,
    ],
    ['extlinux in capitals', '/extlinux.conf', '  APPEND root=/dev/vda1', `  APPEND ${root} ${consoles}`],
    [
      'a boot entry',
      '/boot/loader/entries/a.conf',
      'options root=/dev/nvme0n1p2 ro',
      `options ${root} ro ${consoles}`,
    ],
    ['the line of kernel-install', '/etc/kernel/cmdline', 'root=/dev/vda1 ro', `${root} ro ${consoles}`],
    [
      'a swap area to resume from',
      '/boot/grub/grub.cfg',
      'linux /v resume=/dev/vdb1',
      `linux /v resume=UUID=${uuids.data} ${consoles}`,
    ],
    [
      'a screen that is named already',
      '/boot/grub/grub.cfg',
      'linux /v console=tty1',
      'linux /v console=tty1 console=ttyS0,115200',
    ],
    [
      'another serial console',
      '/boot/grub/grub.cfg',
      'linux /v console=tty0 console=ttyS01',
      'linux /v console=tty0 console=ttyS01 console=ttyS0,115200',
    ],
    [
      'the variables of GRUB',
      '/etc/default/grub',
      'GRUB_CMDLINE_LINUX="quiet"',
      `GRUB_CMDLINE_LINUX="quiet ${consoles}"`,
    ],
    [
      'a variable without marks',
      '/etc/default/grub',
      'GRUB_CMDLINE_LINUX=',
      `GRUB_CMDLINE_LINUX="${consoles}"`,
    ],
    [
      'a variable with a comment behind it',
      '/etc/default/grub',
      "GRUB_CMDLINE_LINUX='quiet' # mine",
      `GRUB_CMDLINE_LINUX='quiet ${consoles}' # mine`,
    ],
    [
      'a variable whose value only a shell can tell',
      '/etc/default/grub',
      'GRUB_CMDLINE_LINUX="quiet $MORE"',
      `GRUB_CMDLINE_LINUX="quiet $MORE"\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${consoles}"`,
    ],
    [
      'a variable that is set twice',
      '/etc/default/grub',
      'GRUB_CMDLINE_LINUX=""\nGRUB_CMDLINE_LINUX="quiet"',
      `GRUB_CMDLINE_LINUX=""\nGRUB_CMDLINE_LINUX="quiet"\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${consoles}"`,
    ],
    [
      'boot entries whose shared command line is nowhere',
      '/boot/loader/entries/a.conf',
      'options $kernelopts',
      `options $kernelopts ${consoles}`,
    ],
    [
      'variables that lack the one',
      '/etc/default/grub',
      'GRUB_TIMEOUT=5',
      `GRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX="${consoles}"`,
    ],
  ])('changes %s', (_name, path, before, after) => {
    expect(rewritten(path, `${before}\n`)).toBe(`${after}\n`)
  })

  it.each([
    ['/boot/grub/grub.cfg', `linux /vmlinuz ${root} console=ttyS0`],
    ['/boot/grub/grub.cfg', 'linux /vmlinuz root=/dev/mapper/vg-root console=ttyS0,9600n8 console=tty0'],
    ['/boot/grub/grub.cfg', '# linux /vmlinuz root=UUID=4711'],
    ['/boot/grub/grub.cfg', 'set root=(hd0,msdos1)'],
    ['/boot/extlinux/extlinux.conf', 'LINUX /vmlinuz\nINITRD /initrd.img'],
    ['/boot/loader/entries/a.conf', 'linux /vmlinuz\ninitrd /initrd.img'],
    [
      '/etc/default/grub',
      'GRUB_CMDLINE_LINUX="$MORE"\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX console=ttyS0"',
    ],
    ['/boot/grub2/grubenv', '# GRUB Environment Block\nsaved_entry=0\n####'],
    ['/etc/fstab', '/dev/vda1 / ext4 defaults 0 1'],
  ])('leaves %s with %j as it is', (path, text) => {
    expect(rewritten(path, `${text}\n`)).toBe(`${text}\n`)
  })

  it('changes the command line that boot entries share, and keeps the size of its file', () => {
    const environment = (commandLine: string): string =>
      `# GRUB Environment Block\nkernelopts=${commandLine}\n`.padEnd(1024, '#')
    const files = [
      { path: '/boot/grub2/grubenv', text: environment('root=/dev/vda1 ro') },
      { path: '/boot/loader/entries/a.conf', text: 'options $kernelopts $tuned_params\n' },
    ]
    expect(planBootConfig(debianGuest({ files }), virtioTarget)?.operations).toEqual([
      { kind: 'write', path: '/boot/grub2/grubenv', text: environment(`${root} ro ${consoles}`) },
    ])
    const full = environment(`console=ttyS0 root=/dev/vda1 ${'x'.repeat(950)}`)
    expect(rewritten('/boot/grub2/grubenv', full)).toBe(full)
  })

  it('keeps every line that is no command line, byte for byte', () => {
    const others = "set timeout=5\nmenuentry 'D\u00e9bian' {\n\tinitrd /initrd.img\n}\r\n\n"
    const text = `${others}linux /vmlinuz root=/dev/vda1\n${others}`
    expect(rewritten('/boot/grub/grub.cfg', text)).toBe(
      `${others}linux /vmlinuz ${root} ${consoles}\n${others}`,
    )
  })

  it('names the partition where there is no initial RAM disk to look for the file system', () => {
    const kernels = [kernel()]
    expect(rewritten('/boot/grub/grub.cfg', 'linux /v root=/dev/vda1 console=ttyS0\n', { kernels })).toBe(
      'linux /v root=PARTUUID=8dbf5ab7-01 console=ttyS0\n',
    )
  })

  it('keeps the device where the file system has nothing else to be named by', () => {
    const fileSystems = [fileSystem({ device: '/dev/sda1', type: 'ext4' })]
    const text = 'linux /v root=/dev/vda1 console=ttyS0\n'
    expect(rewritten('/boot/grub/grub.cfg', text, { fileSystems })).toBe(text)
  })

  it("switches off the setting by which GRUB's next configuration would name devices again", () => {
    expect(
      rewritten('/etc/default/grub', 'GRUB_CMDLINE_LINUX="console=ttyS0"\nGRUB_DISABLE_LINUX_UUID=true\n'),
    ).toBe('GRUB_CMDLINE_LINUX="console=ttyS0"\n#GRUB_DISABLE_LINUX_UUID=true\n')
  })

  it('gives interfaces their old kind of name where network scripts need it', () => {
    expect(
      rewritten('/boot/grub2/grub.cfg', 'linux16 /v console=ttyS0\n', { networkStack: 'network-scripts' }),
    ).toBe('linux16 /v console=ttyS0 net.ifnames=0 biosdevname=0\n')
  })
})
