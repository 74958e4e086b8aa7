/**
 * What a machine is made of, as far as it follows from plain values.
 * @module
 */
import { describe, expect, test } from 'vitest'
import { machineArguments } from '../../../cloud/qemu/machine_command.ts'
import { boundResources } from '../../../cloud/qemu/machine_resources.ts'
import { parseStat } from '../../../cloud/qemu/processes.ts'
import { humanBytes } from '../../../cloud/qemu/space.ts'

const gibibyte = 2 ** 30

describe('machineArguments()', () => {
  const machine = {
    name: 'shop, db',
    diskCount: 60,
    cpuCount: 2,
    ramBytes: gibibyte,
    ports: [
      { guestPort: 22, hostPort: 40_022 },
      { guestPort: 80, hostPort: 40_080 },
    ],
  }
  const args = machineArguments({ machine, accelerator: { kind: 'tcg', cpuModel: 'qemu64' } })
  const devices = args.filter((argument) => argument.startsWith('virtio-blk-pci'))

  test('gives every one of sixty disks a place of its own, the first with boot order', () => {
    expect(devices).toHaveLength(60)
    expect(devices[0]).toBe('virtio-blk-pci,drive=disk0,addr=0x4.0,multifunction=on,bootindex=1')
    expect(devices[59]).toBe('virtio-blk-pci,drive=disk59,addr=0xb.3,multifunction=on')
    expect(new Set(devices.map((device) => /addr=([^,]+)/.exec(device)?.[1])).size).toBe(60)
  })

  test('gives a port for commands to a machine that takes some, in a slot that no disk has, and to no other', () => {
    expect(args.join(' ')).not.toMatch(/virtio-serial|commands/)
    const taking = machineArguments({
      machine: { ...machine, takesCommands: true },
      accelerator: { kind: 'tcg', cpuModel: 'qemu64' },
    })
    expect(taking).toContain('socket,id=commands,path=commands.sock,server=on,wait=off')
    expect(taking).toContain('virtio-rng-pci,addr=3.0,multifunction=on')
    expect(taking).toContain('virtio-serial-pci,addr=3.1')
    expect(taking).toContain('virtserialport,chardev=commands,name=org.rehost.commands')
    expect(taking.filter((argument) => argument.startsWith('virtio-blk-pci'))).toEqual(devices)
  })

  test('lets nothing out of its network and only the asked ports in, on this host alone', () => {
    expect(args).toContain(
      'user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:40022-:22,hostfwd=tcp:127.0.0.1:40080-:80',
    )
  })

  test('escapes the name, and has no firmware but with UEFI', () => {
    expect(args).toContain('guest=shop,, db')
    expect(args.some((argument) => argument.includes('pflash'))).toBe(false)
    const uefi = { code: '/firmware/code.fd', variables: '/firmware/vars.fd' }
    const withUefi = machineArguments({ machine, accelerator: { kind: 'kvm', cpuModel: 'host' }, uefi })
    expect(withUefi).toContain('if=pflash,unit=0,format=raw,readonly=on,file=/firmware/code.fd')
    expect(withUefi).toContain('if=pflash,unit=1,format=raw,file=vars.fd')
    expect(withUefi.join(' ')).toContain('-accel kvm -cpu host')
  })
})

describe('boundResources()', () => {
  const host = { cpuCount: 2, availableRamBytes: 4 * gibibyte }

  test('gives what is asked for when the host has it', () => {
    expect(boundResources({ cpuCount: 2, ramBytes: gibibyte }, host)).toEqual({
      cpuCount: 2,
      ramBytes: gibibyte,
    })
  })

  test('gives less, and says so, when it has not', () => {
    expect(boundResources({ cpuCount: 64, ramBytes: 512 * gibibyte }, host)).toEqual({
      cpuCount: 2,
      ramBytes: 3 * gibibyte,
      reduced: '64 CPUs and 512 GiB of RAM were asked for',
    })
  })
})

describe('parseStat()', () => {
  test('counts fields after the name, whatever the name holds', () => {
    const fields = ['S', ...Array.from({ length: 16 }, () => '1'), '12', '1', '987654', '0', '0']
    const stat = `4711 (a ) (b) c) ${fields.join(' ')}`
    expect(parseStat(stat)).toEqual({ pid: 4711, state: 'S', startTicks: '987654', threadCount: 12 })
    expect(parseStat('')).toBeUndefined()
    expect(parseStat('4711 (half')).toBeUndefined()
  })
})

describe('humanBytes()', () => {
  test('writes bytes for people', () => {
    expect([0, 1023, 1024, 1536 * 1024, 434 * 2 ** 20, 3 * 2 ** 40].map(humanBytes)).toEqual([
      '0 bytes',
      '1023 bytes',
      '1.0 KiB',
      '1.5 MiB',
      '434 MiB',
      '3.0 TiB',
    ])
  })
})
