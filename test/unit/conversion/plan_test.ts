import { describe, expect, it } from 'vitest'
import { PermanentError } from '../../../domain/errors.ts'
import { runnerScript } from '../../../conversion/linux/runner_script.ts'
import { plan } from '../../../conversion/plan.ts'
import type { Change, Guest, TargetHardware } from '../../../conversion/types.ts'
import { debianGuest, fileSystem, kernel, uuids, virtioTarget } from '../../fixtures/guests_described.ts'

/** The guest as inspection would find it after its changes. */
function afterwards(guest: Guest, changes: readonly Change[]): Guest {
  const files = new Map(guest.files.map(({ path, text }) => [path, text]))
  const next: Guest = { ...guest, kernels: guest.kernels.map((kernel) => ({ ...kernel })) }
  for (const operation of changes.flatMap(({ operations }) => operations)) {
    if (operation.kind === 'write') files.set(operation.path, operation.text)
    if (operation.kind === 'rename') files.delete(operation.path)
    if (operation.kind === 'remove')
      next.agentPaths = next.agentPaths.filter((path) => path !== operation.path)
    if (operation.kind === 'link' && operation.path.includes('serial-getty')) next.hasSerialLogin = true
    if (operation.kind === 'copy')
      next.efi = { mountPoint: '/boot/efi', loaders: [...(next.efi?.loaders ?? []), operation.to] }
    if (operation.kind === 'extendInitramfs') {
      for (const kernel of next.kernels)
        if (kernel.version === operation.kernelVersion) kernel.missingDrivers = []
    }
  }
  return { ...next, files: [...files].map(([path, text]) => ({ path, text })) }
}

/** A guest on which everything has to be done. */
const neglected = debianGuest({
  hasSerialLogin: false,
  hasSelinux: true,
  firmware: 'UEFI',
  efi: { mountPoint: '/boot/efi', loaders: ['/boot/efi/EFI/debian/grubx64.efi'] },
  agentPaths: ['/etc/systemd/system/rehost-agent.service', '/opt/rehost'],
  kernels: [kernel({ initramfsPath: '/boot/initrd.img-6.1.0-1-amd64', missingDrivers: ['virtio_blk'] })],
  files: [
    { path: '/etc/fstab', text: '/dev/vda1 / ext4 defaults 0 1\n/dev/vdc1 /old ext4 defaults 0 2\n' },
    { path: '/boot/grub/grub.cfg', text: 'menuentry x {\n\tlinux\t/vmlinuz root=/dev/vda1 ro\n}\n' },
    { path: '/etc/default/grub', text: 'GRUB_CMDLINE_LINUX=""\nGRUB_DISABLE_LINUX_UUID=true\n' },
    { path: '/etc/network/interfaces', text: 'auto ens3\niface ens3 inet static\n address 10.1.2.3/24\n' },
    { path: '/etc/udev/rules.d/70-persistent-net.rules', text: 'SUBSYSTEM=="net"\n' },
    { path: '/etc/initramfs-tools/modules', text: '# modules\n' },
  ],
})

describe('plan()', () => {
  it('names every change with its reason, in the order in which they are done', () => {
    const { changes, warnings } = plan(neglected, virtioTarget)
    expect(changes.map(({ name }) => name)).toEqual([
      'fstab',
      'kernel-command-line',
      'efi-fallback-loader',
      'initramfs-drivers',
      'network-by-dhcp',
      'no-persistent-network-names',
      'serial-login',
      'agent-removed',
      'selinux-labels',
    ])
    for (const { what, because, operations } of changes) {
      expect(what).not.toBe('')
      expect(because).not.toBe('')
      expect(operations.length).toBeGreaterThan(0)
    }
    expect(warnings).toEqual([
      expect.stringContaining('/dev/vdc1'),
      'The source has fixed addresses (10.1.2.3); the launched machine gets its address by DHCP',
    ])
  })

  it('puts in a runner of actions where the target has a port for them, and only there', () => {
    const target = { ...virtioTarget, commandPort: 'org.rehost.commands' }
    const change = plan(debianGuest(), target).changes.at(-1)
    expect(change?.name).toBe('action-runner')
    const unit = '/etc/systemd/system/rehost-runner.service'
    expect(change?.operations).toEqual([
      { kind: 'write', path: '/usr/local/lib/rehost-runner/runner.sh', text: runnerScript, mode: 0o755 },
      {
        kind: 'write',
        path: unit,
        mode: 0o644,
        text: expect.stringContaining(
          'ExecStart=/bin/sh /usr/local/lib/rehost-runner/runner.sh /dev/virtio-ports/org.rehost.commands /var/lib/rehost-runner\n',
        ),
      },
      {
        kind: 'link',
        path: '/etc/systemd/system/multi-user.target.wants/rehost-runner.service',
        target: unit,
      },
    ])
    const labels = plan(debianGuest({ hasSelinux: true }), target).changes.at(-1)
    expect(labels?.operations).toContainEqual({ kind: 'label', path: unit })
    expect(plan(debianGuest(), virtioTarget).changes.map(({ name }) => name)).not.toContain('action-runner')
  })

  it('has sysvinit start the runner, beside the login prompt, and does so once', () => {
    const target = { ...virtioTarget, commandPort: 'org.rehost.commands' }
    const guest = debianGuest({
      initSystem: 'sysvinit',
      hasSerialLogin: false,
      files: [{ path: '/etc/inittab', text: 'id:2:initdefault:\n' }],
    })
    const { changes } = plan(guest, target)
    const inittab = afterwards(guest, changes).files.find(({ path }) => path === '/etc/inittab')?.text
    const lines = [
      'id:2:initdefault:',
      'S0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100',
      'RH:2345:respawn:/bin/sh /usr/local/lib/rehost-runner/runner.sh /dev/virtio-ports/org.rehost.commands /var/lib/rehost-runner',
      '',
    ]
    expect(inittab).toBe(lines.join('\n'))
    const again = plan({ ...afterwards(guest, changes), hasSerialLogin: true }, target).changes
    const second = again.flatMap(({ operations }) => operations).find(({ path }) => path === '/etc/inittab')
    expect(second).toMatchObject({ text: inittab })
    const { changes: none, warnings } = plan(debianGuest({ initSystem: 'unknown' }), target)
    expect(none.map(({ name }) => name)).not.toContain('action-runner')
    expect(warnings).toContainEqual(expect.stringContaining('nothing starts the runner'))
  })

  it('finds nothing to do after its own changes', () => {
    const first = plan(neglected, virtioTarget)
    const second = plan(afterwards(neglected, first.changes), virtioTarget)
    expect(second.changes).toEqual([])
  })

  it('finds nothing to do in a guest that needs nothing', () => {
    const guest = debianGuest({
      files: [
        { path: '/etc/fstab', text: `UUID=${uuids.root} / ext4 defaults 0 1\n` },
        { path: '/boot/grub/grub.cfg', text: `linux /vmlinuz root=UUID=${uuids.root} ro console=ttyS0\n` },
      ],
      networkStack: 'unknown',
    })
    expect(plan(guest, virtioTarget).changes).toEqual([])
  })

  it('never touches what identifies the machine', () => {
    const touched = plan(neglected, virtioTarget).changes.flatMap(({ operations }) =>
      operations.map(({ path }) => path),
    )
    expect(touched.filter((path) => /machine-id|\/ssh\/|hostname|shadow|passwd/.test(path))).toEqual([])
  })

  it.each<[string, Partial<Guest>, Partial<TargetHardware>, RegExp]>([
    [
      'an unknown boot loader',
      { bootLoader: 'unknown', warnings: ['Cannot mount /dev/sda2'] },
      {},
      /no boot loader that Rehost knows.*\/boot .*\. Cannot mount \/dev\/sda2$/,
    ],
    ['no kernel', { kernels: [] }, {}, /no kernel in \/boot/],
    [
      'firmware that the target lacks',
      { firmware: 'UEFI' },
      { firmwares: ['BIOS'] },
      /starts by UEFI and the target offers BIOS only.*ovmf/,
    ],
    [
      'a kernel without the drivers and without an initial RAM disk',
      { kernels: [kernel({ version: '5.0', missingDrivers: ['virtio_blk'] })] },
      {},
      /No kernel .*5\.0.*virtio_blk/,
    ],
    [
      'a kernel that was made without the drivers',
      {
        kernels: [
          kernel({
            version: '5.0',
            initramfsPath: '/boot/i',
            missingDrivers: ['virtio_blk'],
            absentDrivers: ['virtio_blk'],
          }),
        ],
      },
      {},
      /No kernel .*5\.0/,
    ],
  ])('refuses %s with a verdict', (_name, guest, target, verdict) => {
    const attempt = (): unknown => plan(debianGuest(guest), { ...virtioTarget, ...target })
    expect(attempt).toThrow(PermanentError)
    expect(attempt).toThrow(verdict)
  })

  it('gives all drivers to an initial RAM disk that it cannot read, and says so', () => {
    const missingDrivers = ['virtio_pci', 'virtio_blk']
    const guest = debianGuest({
      kernels: [
        kernel({ version: '5.0', initramfsPath: '/boot/i', isInitramfsReadable: false, missingDrivers }),
      ],
    })
    const { changes, warnings } = plan(guest, virtioTarget)
    expect(changes.find(({ name }) => name === 'initramfs-drivers')?.operations[0]).toEqual({
      kind: 'extendInitramfs',
      path: '/boot/i',
      kernelVersion: '5.0',
      drivers: missingDrivers,
    })
    expect(warnings).toContain(
      'Cannot read the initial RAM disk of kernel 5.0: it gets the drivers in any case',
    )
  })

  it('warns of a kernel without the network driver', () => {
    const guest = debianGuest({
      kernels: [kernel({ version: '5.0', initramfsPath: '/boot/i', absentDrivers: ['virtio_net'] })],
    })
    expect(plan(guest, virtioTarget).warnings).toContain('Kernel 5.0 was made without virtio_net')
  })

  it('extends only the initial RAM disks that lack drivers, and makes that last', () => {
    const guest = debianGuest({
      kernels: [
        kernel({ version: '5.0', initramfsPath: '/boot/initrd.img-5.0' }),
        kernel({
          version: '6.0',
          initramfsPath: '/boot/initrd.img-6.0',
          missingDrivers: ['virtio_pci', 'virtio_blk'],
        }),
      ],
      files: [{ path: '/etc/initramfs-tools/modules', text: '# mine\nvirtio_pci\n' }],
      networkStack: 'unknown',
    })
    const [change] = plan(guest, virtioTarget).changes
    expect(change?.operations).toEqual([
      {
        kind: 'extendInitramfs',
        path: '/boot/initrd.img-6.0',
        kernelVersion: '6.0',
        drivers: ['virtio_pci', 'virtio_blk'],
      },
      { kind: 'write', path: '/etc/initramfs-tools/modules', text: '# mine\nvirtio_pci\nvirtio_blk\n' },
    ])
  })

  it('writes a dracut setting where there is no initramfs-tools', () => {
    const guest = debianGuest({
      kernels: [
        kernel({
          version: '6.0',
          initramfsPath: '/boot/initramfs-6.0.img',
          missingDrivers: ['virtio_blk'],
        }),
      ],
      networkStack: 'unknown',
    })
    expect(plan(guest, virtioTarget).changes[0]?.operations[1]).toEqual({
      kind: 'write',
      path: '/etc/dracut.conf.d/90-rehost.conf',
      text: 'add_drivers+=" virtio_blk "\n',
    })
  })

  it('adds a login prompt to inittab where that starts services', () => {
    const guest = debianGuest({
      initSystem: 'sysvinit',
      hasSerialLogin: false,
      networkStack: 'unknown',
      files: [{ path: '/etc/inittab', text: 'id:2:initdefault:\n' }],
    })
    expect(plan(guest, virtioTarget).changes[0]?.operations).toEqual([
      {
        kind: 'write',
        path: '/etc/inittab',
        text: 'id:2:initdefault:\nS0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100\n',
      },
    ])
  })

  it('copies shim and GRUB to the fallback path of UEFI, and leaves one that is there alone', () => {
    const loaders = ['/boot/efi/EFI/debian/shimx64.efi', '/boot/efi/EFI/debian/grubx64.efi']
    const guest = (more: string[]): Guest =>
      debianGuest({
        firmware: 'UEFI',
        networkStack: 'unknown',
        efi: { mountPoint: '/boot/efi', loaders: [...loaders, ...more] },
      })
    expect(plan(guest([]), virtioTarget).changes[0]?.operations).toEqual([
      { kind: 'copy', path: loaders[0], to: '/boot/efi/EFI/BOOT/BOOTX64.EFI' },
      { kind: 'copy', path: loaders[1], to: '/boot/efi/EFI/BOOT/grubx64.efi' },
    ])
    expect(plan(guest(['/boot/efi/EFI/BOOT/BOOTX64.EFI']), virtioTarget).changes).toEqual([])
  })

  it('is the same for a guest whose file systems have no UUID', () => {
    const guest = debianGuest({
      fileSystems: [fileSystem({ device: '/dev/sda1', type: 'ext4', mountPoint: '/' })],
      files: [{ path: '/etc/fstab', text: '/dev/vda1 / ext4 defaults 0 1\n' }],
      networkStack: 'unknown',
    })
    expect(plan(guest, virtioTarget).changes).toEqual([])
  })
})
