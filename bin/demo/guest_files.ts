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
  'linux-image-cloud-amd64',
  'systemd-sysv',
  'udev',
  'ifupdown',
  'isc-dhcp-client',
  'curl',
  'ca-certificates',
  'qemu-guest-agent',
  'lighttpd',
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

const writerScript = `#!/bin/sh
# Keeps the disk busy as a small shop would: new files, files replaced, a log that is flushed. About 1 MB/s, in 40 MB of space.
count=0
while :; do
  count=$((count + 1))
  slot=$((count % 320))
  head -c 131072 /dev/urandom >/srv/writer/new
  mv /srv/writer/new "/srv/writer/file-$slot"
  echo "order $count" >>/srv/writer/orders.log
  if [ $((count % 8)) -eq 0 ]; then sync /srv/writer/orders.log; fi
  if [ $((count % 20000)) -eq 0 ]; then : >/srv/writer/orders.log; fi
  sleep 0.1
done
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
      path: '/etc/network/interfaces',
      text: 'auto lo\niface lo inet loopback\n\nauto ens3\niface ens3 inet dhcp\n',
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
        `  linux /vmlinuz root=${sourceRootDevice} ro console=tty0 console=ttyS0,115200`,
        '  initrd /initrd.img',
        '}',
        '',
      ].join('\n'),
    },
  ]
}
