/**
 * The smallest guest there is: a boot sector that ends its machine with an exit code. It shows whether an accelerator runs code.
 * @module
 */

/** Exit code of a QEMU whose guest came so far as to write `exitValue` to the debug exit port: QEMU makes it 2 × value + 1. */
export const probeExitCode = 33
const exitValue = 0x10
const exitPort = 0x501

/** The device that the boot sector writes to, as QEMU's `-device` takes it. */
export const probeExitDevice = `isa-debug-exit,iobase=${exitPort},iosize=1`

/** SeaBIOS does not boot a disk that has less than one cylinder; this has two. */
const diskBytes = 2 ** 20

/** A bootable disk. */
export function probeDisk(): Uint8Array {
  const disk = new Uint8Array(diskBytes)
  const code = [
    [0xba, exitPort & 0xff, exitPort >> 8], // mov dx, exitPort
    [0xb0, exitValue], // mov al, exitValue
    [0xee], // out dx, al
    [0xf4], // hlt
    [0xeb, 0xfd], // jmp to the hlt
  ]
  disk.set(code.flat())
  disk.set([0x55, 0xaa], 510)
  return disk
}
