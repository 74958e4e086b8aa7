import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { convert } from '../../conversion/convert.ts'
import { initramfsPaths } from '../../conversion/cpio.ts'
import type { ConversionReport } from '../../conversion/types.ts'
import { inImage } from '../fixtures/guests.ts'
import { virtioTarget } from '../fixtures/guests_described.ts'
import { rhelKernel, rhelLikeServer, rhelParts, rhelRootUuid } from '../fixtures/rhel_like.ts'

/**
 * Guests that are laid out like real ones and have nothing in them that runs, through the real appliance.
 */
const launchMs = 900_000
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-layouts-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function converted(path: string): Promise<ConversionReport> {
  return convert({
    disks: [{ path, format: 'raw', isBootDisk: true, sourceDeviceName: '/dev/sda' }],
    target: virtioTarget,
    appliance: {
      workDir: join(folder, 'work'),
      cacheDir: join(folder, 'cache'),
      accelerator: 'tcg',
      environment: process.env,
    },
    signal: new AbortController().signal,
    log: () => undefined,
    now: () => performance.now(),
  })
}

describe('a server laid out as RHEL 8', () => {
  let image: string
  let report: ConversionReport
  const fromBoot = (commands: string): Promise<string> => inImage(image, rhelParts.boot, commands)
  const fromRoot = (commands: string): Promise<string> => inImage(image, rhelParts.root, commands)
  beforeAll(async () => {
    image = join(folder, 'rhel.raw')
    await rhelLikeServer(image)
    report = await converted(image)
  }, launchMs)

  it('is recognized', () => {
    expect(report.guest).toMatchObject({
      distribution: 'rocky',
      productName: 'Rocky Linux 8.10 (Green Obsidian)',
      hostname: 'shop-02.example.test',
      bootLoader: 'grub2',
      networkStack: 'NetworkManager',
      hasSelinux: true,
      kernels: [{ version: rhelKernel, missingDrivers: ['virtio_pci', 'virtio_blk'], absentDrivers: [] }],
    })
    expect(report.changes.map(({ name }) => name)).toEqual([
      'fstab',
      'kernel-command-line',
      'initramfs-drivers',
      'network-by-dhcp',
      'serial-login',
      'selinux-labels',
    ])
  })

  it('has consoles and a stable root on the command line that its boot entries share, and nowhere twice', async () => {
    const environment = await fromBoot('cat grub2/grubenv')
    expect(environment).toContain(
      `\nkernelopts=root=UUID=${rhelRootUuid} ro crashkernel=auto console=tty0 console=ttyS0,115200\n#`,
    )
    expect(environment.length).toBe(1024)
    expect(await fromBoot('cat loader/entries/x.conf')).toContain('\noptions $kernelopts $tuned_params\n')
    expect(await fromRoot('cat etc/default/grub')).toContain(
      'GRUB_CMDLINE_LINUX="crashkernel=auto console=tty0 console=ttyS0,115200" # dump\n',
    )
  })

  it('has the drivers behind what its initial RAM disk held, with all that they need', async () => {
    const paths = initramfsPaths(Buffer.from(await fromBoot('cat initramfs-*.img'), 'latin1'))
    const modules = `lib/modules/${rhelKernel}`
    expect(paths).toContain(`usr/${modules}/kernel/vmw_pvscsi.ko.xz`)
    for (const name of ['virtio', 'virtio_ring', 'virtio_pci', 'virtio_blk'])
      expect(paths).toContain(`${modules}/kernel/${name}/${name}.ko.xz`)
    expect(paths).not.toContain(`${modules}/kernel/virtio_net/virtio_net.ko.xz`)
    expect(await fromRoot('cat etc/dracut.conf.d/90-rehost.conf')).toBe(
      'add_drivers+=" virtio_pci virtio_blk "\n',
    )
  })

  it('asks for its address by DHCP, and keeps nothing of the old network in force', async () => {
    expect(
      await fromRoot('ls etc/sysconfig/network-scripts etc/sysconfig/network-scripts.before-rehost'),
    ).toBe(
      'etc/sysconfig/network-scripts:\nifcfg-lo\n\netc/sysconfig/network-scripts.before-rehost:\nifcfg-ens192\nroute-ens192\n',
    )
    expect(await fromRoot('cat etc/sysconfig/network')).toBe('NETWORKING=yes\n#GATEWAY=192.0.2.1\n')
    const profile = 'etc/NetworkManager/system-connections/rehost.nmconnection'
    expect(await fromRoot(`stat -c '%a %U' ${profile}; cat ${profile}`)).toMatch(
      /^600 root\n[^]*\[ipv4\]\nmethod=auto\n/,
    )
  })

  it('gives new files the labels of their folders, and leaves others theirs', async () => {
    const labelOf = (path: string): Promise<string> =>
      fromRoot(`getfattr --only-values -h -n security.selinux ${path}`)
    expect(await labelOf('etc/fstab')).toBe('system_u:object_r:etc_t:s0')
    expect(await labelOf('etc/dracut.conf.d/90-rehost.conf')).toBe('system_u:object_r:etc_t:s0')
    expect(await labelOf('etc/NetworkManager/system-connections/rehost.nmconnection')).toBe(
      'system_u:object_r:NetworkManager_etc_rw_t:s0',
    )
    expect(await fromRoot('ls -A')).not.toContain('.autorelabel')
  })
})
