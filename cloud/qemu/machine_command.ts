/**
 * The command line of a machine. Pure: everything that was decided comes in.
 * @module
 */
import type { Accelerator } from './accelerator.ts'
import type { UefiFirmware } from './firmware.ts'
import { diskName } from './layout.ts'
import type { MachineMetadata } from './metadata.ts'
import { qmpSocketName } from './qmp.ts'

/** Names of a machine's files, relative to its folder, which is QEMU's working folder. */
export const machineFiles = {
  serialLog: 'serial.log',
  uefiVariables: 'vars.fd',
  commandSocket: 'commands.sock',
} as const

/** The port by which a guest finds its commands, as `/dev/virtio-ports` has it. */
export const commandPort = 'org.rehost.commands'

/** Slots of the PCI bus; each disk slot takes eight disks, as more than 27 slots there are not. */
const slots = { video: 1, network: 2, random: 3, firstDisk: 4 }
const functionsPerSlot = 8

/** What the command line follows from. */
export interface MachinePlan {
  machine: Pick<MachineMetadata, 'name' | 'diskCount' | 'cpuCount' | 'ramBytes' | 'ports' | 'takesCommands'>
  accelerator: Pick<Accelerator, 'kind' | 'cpuModel'>
  /** Missing: BIOS. */
  uefi?: UefiFirmware
}

/** QEMU's name for disk `index`. */
export function diskNode(index: number): string {
  return `disk${index}`
}

/** Arguments of `qemu-system-x86_64`. */
export function machineArguments({ machine, accelerator, uefi }: MachinePlan): string[] {
  return [
    ['-name', `guest=${machine.name.replaceAll(',', ',,')}`, '-nodefaults', '-no-user-config'],
    // A guest is not trusted: what it may break out into can start nothing and gain no rights.
    ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ['-machine', 'q35', '-accel', accelerator.kind === 'tcg' ? 'tcg,thread=multi' : 'kvm'],
    ['-cpu', accelerator.cpuModel, '-smp', String(machine.cpuCount)],
    ['-m', String(Math.floor(machine.ramBytes / 2 ** 20)), '-rtc', 'base=utc'],
    // A guest that powers itself off stays, so that this is told from a QEMU that was killed.
    '-no-shutdown',
    uefi === undefined ? [] : uefiArguments(uefi),
    ['-display', 'none', '-device', `VGA,addr=${slots.video}`],
    ['-chardev', `file,id=serial,path=${machineFiles.serialLog},append=on`, '-serial', 'chardev:serial'],
    ['-qmp', `unix:${qmpSocketName},server=on,wait=off`],
    ['-netdev', ['user,id=net0,restrict=on', ...machine.ports.map(forwarding)].join(',')],
    ['-device', `virtio-net-pci,netdev=net0,addr=${slots.network},romfile=`],
    machine.takesCommands === true ? commandArguments() : ['-device', `virtio-rng-pci,addr=${slots.random}`],
    ...Array.from({ length: machine.diskCount }, (_, index) => diskArguments(index)),
  ].flat()
}

/** The source of random numbers, and in its slot the port for commands: every other slot may be a disk's. */
function commandArguments(): string[] {
  return [
    ['-chardev', `socket,id=commands,path=${machineFiles.commandSocket},server=on,wait=off`],
    ['-device', `virtio-rng-pci,addr=${slots.random}.0,multifunction=on`],
    ['-device', `virtio-serial-pci,addr=${slots.random}.1`],
    ['-device', `virtserialport,chardev=commands,name=${commandPort}`],
  ].flat()
}

function forwarding({ guestPort, hostPort }: { guestPort: number; hostPort: number }): string {
  return `hostfwd=tcp:127.0.0.1:${hostPort}-:${guestPort}`
}

function uefiArguments({ code }: UefiFirmware): string[] {
  return [
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${code.replaceAll(',', ',,')}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${machineFiles.uefiVariables}`],
  ].flat()
}

function diskArguments(index: number): string[] {
  const node = {
    driver: 'qcow2',
    'node-name': diskNode(index),
    discard: 'unmap',
    file: { driver: 'file', filename: diskName(index), discard: 'unmap' },
  }
  const slot = slots.firstDisk + Math.floor(index / functionsPerSlot)
  const address = `addr=0x${slot.toString(16)}.${index % functionsPerSlot},multifunction=on`
  // Without a boot order of its own the firmware would try any disk.
  const boot = index === 0 ? ',bootindex=1' : ''
  return [
    ['-blockdev', JSON.stringify(node)],
    ['-device', `virtio-blk-pci,drive=${diskNode(index)},${address}${boot}`],
  ].flat()
}
