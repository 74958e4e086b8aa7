import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ConversionReport } from '../../conversion/types.ts'
import { bootConverted } from '../fixtures/converted_machine.ts'
import { filesOfDisk } from '../fixtures/disk_files.ts'
import type { DiskFiles } from '../fixtures/disk_files.ts'
import {
  changeNames,
  conversionFolder,
  converted,
  manyMinutes,
  viewOf,
} from '../fixtures/guest_conversion.ts'
import { identity } from '../fixtures/guest_tree.ts'
import { neglectedServer } from '../fixtures/guests.ts'
import { virtioTarget } from '../fixtures/guests_described.ts'

/** As `conversion_grub_test.ts`, in a file of its own: two are run at a time. */
const folder = conversionFolder()

const agentFiles = (files: DiskFiles): string[] =>
  [...files.keys()].filter((path) => /\/rehost($|\/)|rehost-agent/.test(path))

describe('a neglected Debian with extlinux and an agent', () => {
  let view: string
  let reports: ConversionReport[]
  let before: DiskFiles
  let after: DiskFiles
  beforeAll(async () => {
    const image = join(folder(), 'neglected.raw')
    await neglectedServer(image)
    before = await filesOfDisk(image, 'raw')
    view = await viewOf(image)
    // Twice, as a step that is run again may.
    reports = [
      await converted(folder(), view, '/dev/sda', virtioTarget),
      await converted(folder(), view, '/dev/sda', virtioTarget),
    ]
    after = await filesOfDisk(view, 'qcow2')
  }, manyMinutes)

  it('is recognized, and so is what it lacks', () => {
    expect(reports[0]?.guest).toMatchObject({
      bootLoader: 'extlinux',
      networkStack: 'ifupdown',
      hasDhcpClient: false,
      kernels: [{ missingDrivers: ['virtio_pci', 'virtio_blk'] }],
    })
    expect(reports[0]?.warnings).toEqual([
      '/etc/fstab names /dev/sdb1 for /srv/old, which was not found on the replicated disks: the guest starts without it, and whatever writes to /srv/old then writes to the disk below it',
      'The source has fixed addresses (192.0.2.7); the launched machine gets its address by DHCP',
    ])
  })

  it('gets every change that it needs, and none a second time', () => {
    expect(reports.map(changeNames)).toEqual([
      [
        'fstab',
        'kernel-command-line',
        'initramfs-drivers',
        'network-by-dhcp',
        'no-persistent-network-names',
        'serial-login',
        'agent-removed',
      ],
      [],
    ])
  })

  it('keeps what identifies it and loses the agent', () => {
    for (const path of ['/etc/machine-id', '/etc/hostname', '/etc/shadow', '/etc/passwd', identity.hostKey])
      expect(after.get(path)).toBe(before.get(path))
    expect(agentFiles(before).length).toBeGreaterThan(6)
    expect(agentFiles(after)).toEqual([])
    expect(after.get('/opt')).toBe(before.get('/opt'))
  })

  it(
    'starts from a disk that its own initial RAM disk did not know, with an address by DHCP',
    async () => {
      const hardware = {
        firmware: 'BIOS' as const,
        disk: ['virtio-blk-pci,addr=7'],
        networkCard: 'virtio-net-pci',
      }
      const guest = await bootConverted(view, hardware, manyMinutes)
      expect(guest.console).toContain(`${identity.hostname} login: `)
      expect(Object.fromEntries(guest.report)).toMatchObject({
        hostname: identity.hostname,
        'machine-id': identity.machineId,
        address: expect.stringMatching(/^10\.0\.2\.\d+\/24$/),
        root: '/dev/vda1',
        agent: '',
      })
    },
    manyMinutes,
  )
})
