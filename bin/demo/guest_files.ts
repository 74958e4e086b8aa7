/**
 * What the demonstration server is made of: the files that turn a bare Debian into a busy little web server.
 * @module
 */

/** A file of the guest. */
export interface GuestFile {
  path: string
  text: string
  mode?: number
}

/** Packages beside the base system. */
export const guestPackages = [
  'usr-is-merged',
  'linux-image-cloud-amd64',
  'systemd-sysv',
  // Without it nobody in the guest hears the power button.
  'dbus',
  'udev',
  'curl',
  'qemu-guest-agent',
  'nginx-light',
]

/** The root disk as the source's own hardware names it; conversion has to mend it. */
export const sourceRootDevice = '/dev/vda1'

const statusScript = `#!/bin/sh
# Says on the web page what is on this machine. Runs once at each boot.
set -eu
agent=''
for path in /opt/rehost /etc/rehost /var/lib/rehost /etc/systemd/system/rehost-agent.service; do
  [ -e "$path" ] && agent="$agent\\"$path\\","
done
systemctl is-active --quiet rehost-agent 2>/dev/null && agent="$agent\\"running\\","
markers=''
for file in /srv/markers/*; do
  [ -f "$file" ] || continue
  sum=$(sha256sum "$file")
  markers="$markers{\\"name\\":\\"\${file##*/}\\",\\"sha256\\":\\"\${sum%% *}\\"},"
done
printf '{"hostname":"%s","machineId":"%s","agent":[%s],"markers":[%s]}\\n' \\
  "$(hostname)" "$(cat /etc/machine-id)" "\${agent%,}" "\${markers%,}" >/var/www/html/status.json.new
mv /var/www/html/status.json.new /var/www/html/status.json
`

const writerScript = `#!/usr/bin/perl
# Keeps the disk busy as a small shop would: new files, files replaced, a log that is flushed. About 160 kB/s, in 20 MB of space.
# One process that starts no other: what it does on an emulated processor is paid for by everything else.
use strict;
use warnings;
use IO::Handle;

chdir '/srv/writer' or die "Cannot enter /srv/writer: $!";
open my $random, '<:raw', '/dev/urandom' or die "Cannot open /dev/urandom: $!";
open my $log, '>>', 'orders.log' or die "Cannot open orders.log: $!";
$log->autoflush(1);
for (my $count = 1; ; $count++) {
  read($random, my $content, 65536) == 65536 or die "Cannot read /dev/urandom: $!";
  open my $file, '>:raw', 'new' or die "Cannot open new: $!";
  print $file $content or die "Cannot write new: $!";
  close $file or die "Cannot write new: $!";
  rename 'new', 'file-' . $count % 320 or die "Cannot rename new: $!";
  print $log "order $count\\n" or die "Cannot write orders.log: $!";
  $log->sync if $count % 8 == 0;
  truncate $log, 0 if $count % 20000 == 0;
  select undef, undef, undef, 0.4;
}
`

function service(description: string, lines: string[], wantedBy = 'multi-user.target'): string {
  return `[Unit]\nDescription=${description}\n\n[Service]\n${lines.join('\n')}\n\n[Install]\nWantedBy=${wantedBy}\n`
}

/** The files. */
export function guestFiles(hostname: string): GuestFile[] {
  return [
    { path: '/etc/hostname', text: `${hostname}\n` },
    { path: '/etc/hosts', text: `127.0.0.1 localhost\n127.0.1.1 ${hostname}\n` },
    { path: '/etc/fstab', text: `${sourceRootDevice} / ext4 errors=remount-ro 0 1\n` },
    {
      // Bound to the name that the source's own hardware gives the card; conversion has to mend it.
      path: '/etc/systemd/network/lan.network',
      text: '[Match]\nName=ens3\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n',
    },
    {
      path: '/var/www/html/index.html',
      text: `<!doctype html><title>${hostname}</title><h1>${hostname}</h1><p>Open for orders.</p>\n`,
    },
    { path: '/usr/local/bin/demo-status', text: statusScript, mode: 0o755 },
    { path: '/usr/local/bin/demo-writer', text: writerScript, mode: 0o755 },
    {
      path: '/etc/systemd/system/demo-status.service',
      text: service('Says what is on this machine', ['Type=oneshot', 'ExecStart=/usr/local/bin/demo-status']),
    },
    {
      path: '/etc/systemd/system/demo-writer.service',
      text: service('Keeps the disk busy', ['ExecStart=/usr/local/bin/demo-writer', 'Nice=5']),
    },
    {
      path: '/boot/grub/grub.cfg',
      text: [
        'set timeout=0',
        'serial --unit=0 --speed=115200',
        'terminal_input serial console',
        'terminal_output serial console',
        "menuentry 'Debian GNU/Linux' {",
        `  linux /vmlinuz root=${sourceRootDevice} ro quiet console=tty0 console=ttyS0,115200`,
        '  initrd /initrd.img',
        '}',
        '',
      ].join('\n'),
    },
  ]
}
