import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { convert } from '../../conversion/convert.ts'
import type { ConversionReport } from '../../conversion/types.ts'
import { readStatusPage } from '../../bin/demo/status_page.ts'
import type { StatusPage } from '../../bin/demo/status_page.ts'
import { differingPaths, filesOfDisk } from '../fixtures/disk_files.ts'
import type { DiskFiles } from '../fixtures/disk_files.ts'
import { bootConverted, grubGuest, neglectGuest } from '../fixtures/guests.ts'
import { virtioTarget } from '../fixtures/guests_described.ts'
import { freePorts, until } from '../fixtures/waiting.ts'

/**
 * Real guests through the real appliance, and then through QEMU on hardware that the source did not have.
 */
const run = promisify(execFile)
const manyMinutes = 20 * 60_000
const { signal } = new AbortController()
let folder: string
let base: string

interface Converted {
  overlay: string
  reports: ConversionReport[]
  before: DiskFiles
  after: DiskFiles
}

/** Converts a view of `image` twice, as a step that is run again may. */
async function converted(image: string): Promise<Converted> {
  const overlay = `${image}.qcow2`
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', image, overlay])
  const reports: ConversionReport[] = []
  for (let round = 0; round < 2; round++) {
    const report = await convert({
      disks: [
        {
          path: overlay,
          format: 'qcow2',
          isBootDisk: true,
          sourceDeviceName: image.includes('grub') ? '/dev/vda' : '/dev/sda',
        },
      ],
      target: virtioTarget,
      appliance: { workDir: join(folder, 'work'), accelerator: 'tcg', environment: process.env },
      signal,
      log: (line) => console.log(`  ${line}`),
      now: () => performance.now(),
    })
    console.log(`  ${JSON.stringify(report.seconds)}`)
    reports.push(report)
  }
  return {
    overlay,
    reports,
    before: await filesOfDisk(image, 'raw'),
    after: await filesOfDisk(overlay, 'qcow2'),
  }
}

/** Boots it, waits for the login prompt and the web page, and answers with console and status page. */
async function booted(overlay: string): Promise<{ serial: string; page: StatusPage }> {
  const [port = 0] = await freePorts(1)
  const guest = bootConverted(overlay, port)
  try {
    const serial = await until(
      'there is a login prompt',
      async () => {
        const text = await guest.serial()
        return /^\S+ login: $/m.test(text) ? text : undefined
      },
      manyMinutes,
      500,
    )
    const page = await until(
      'the web page answers',
      () => readStatusPage([{ guestPort: 80, host: '127.0.0.1', port }], signal).catch(() => undefined),
      manyMinutes,
      500,
    )
    return { serial, page }
  } finally {
    await guest.stop()
  }
}

/** Files that differ, without folders and what differs because something in it does. */
const changedPaths = ({ before, after }: Converted): string[] => differingPaths(before, after)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rehost-conversion-'))
  base = await grubGuest(folder, signal)
}, manyMinutes)
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a Debian with GRUB', () => {
  let guest: Converted
  beforeAll(async () => {
    guest = await converted(base)
  }, manyMinutes)

  it('is recognized', () => {
    expect(guest.reports[0]?.guest).toMatchObject({
      distribution: 'debian',
      version: '12',
      hostname: 'shop-01',
      architecture: 'x86_64',
      firmware: 'BIOS',
      bootLoader: 'grub2',
      initSystem: 'systemd',
      networkStack: 'ifupdown',
      rootDevice: '/dev/sda1',
    })
    expect(guest.reports[0]?.guest.kernels[0]?.missingDrivers).toEqual([])
  })

  it('changes what it says and nothing else', () => {
    const names = guest.reports[0]?.changes.map(({ name }) => name)
    expect(names).toEqual(['fstab', 'kernel-command-line', 'network-by-dhcp', 'serial-login'])
    expect(changedPaths(guest)).toEqual([
      '/boot/grub/grub.cfg',
      '/etc/fstab',
      '/etc/network/interfaces',
      '/etc/network/interfaces.before-rehost',
      '/etc/systemd/system/getty.target.wants/serial-getty@ttyS0.service',
    ])
    expect(guest.after.get('/etc/network/interfaces.before-rehost')).toBe(
      guest.before.get('/etc/network/interfaces'),
    )
  })

  it('has nothing to be done when it is converted again', () => {
    expect(guest.reports[1]?.changes).toEqual([])
  })

  it(
    'boots on other hardware, with the network up',
    async () => {
      const { serial, page } = await booted(guest.overlay)
      expect(serial).toContain('shop-01 login:')
      expect(serial).toMatch(/Command line: .*root=UUID=/)
      expect(page).toMatchObject({ hostname: 'shop-01', agent: [] })
    },
    manyMinutes,
  )
})

describe('a neglected Debian with extlinux', () => {
  let guest: Converted
  beforeAll(async () => {
    const image = join(folder, 'neglected.raw')
    await cp(base, image)
    await neglectGuest(image)
    guest = await converted(image)
  }, manyMinutes)

  it('is recognized, and so is what it lacks', () => {
    expect(guest.reports[0]?.guest).toMatchObject({
      bootLoader: 'extlinux',
      networkStack: 'ifupdown',
      hasDhcpClient: false,
    })
    expect(guest.reports[0]?.guest.kernels[0]?.missingDrivers).toEqual(['virtio_pci', 'virtio_blk'])
    expect(guest.reports[0]?.warnings).toEqual([
      '/etc/fstab names /dev/sdb1 for /srv/old, which was not found on the replicated disks: the guest starts without it',
      'The source has fixed addresses (192.0.2.7); the launched machine gets its address by DHCP',
    ])
  })

  it('gets every change that it needs', () => {
    expect(guest.reports[0]?.changes.map(({ name }) => name)).toEqual([
      'fstab',
      'kernel-command-line',
      'initramfs-drivers',
      'network-by-dhcp',
      'no-persistent-network-names',
      'serial-login',
      'agent-removed',
    ])
  })

  it('keeps what identifies it and loses the agent', () => {
    for (const path of ['/etc/machine-id', '/etc/hostname', '/etc/shadow', '/etc/passwd']) {
      expect(guest.after.get(path)).toBe(guest.before.get(path))
    }
    const isAgent = (path: string): boolean => /\/rehost($|\/)|rehost-agent/.test(path)
    expect([...guest.before.keys()].filter(isAgent).length).toBeGreaterThan(6)
    expect([...guest.after.keys()].filter(isAgent)).toEqual([])
  })

  it('has nothing to be done when it is converted again', () => {
    expect(guest.reports[1]?.changes).toEqual([])
  })

  it(
    'boots from a disk that its own initial RAM disk did not know, with an address by DHCP',
    async () => {
      const { serial, page } = await booted(guest.overlay)
      expect(serial).toContain('shop-01 login:')
      expect(page).toMatchObject({
        hostname: 'shop-01',
        machineId: '0123456789abcdef0123456789abcdef',
        agent: [],
      })
    },
    manyMinutes,
  )
})
