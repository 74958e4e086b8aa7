/**
 * UEFI firmware on this host: where distributions put it.
 * @module
 */
import { existsSync } from 'node:fs'

/** Firmware code, and the template of the variables each machine has its own copy of. */
export interface UefiFirmware {
  code: string
  variables: string
}

const places: readonly UefiFirmware[] = [
  // Debian and Ubuntu: package ovmf. The 4 MB build first, as newer releases have no other.
  { code: '/usr/share/OVMF/OVMF_CODE_4M.fd', variables: '/usr/share/OVMF/OVMF_VARS_4M.fd' },
  { code: '/usr/share/OVMF/OVMF_CODE.fd', variables: '/usr/share/OVMF/OVMF_VARS.fd' },
  // Fedora and its kin: package edk2-ovmf.
  { code: '/usr/share/edk2/ovmf/OVMF_CODE.fd', variables: '/usr/share/edk2/ovmf/OVMF_VARS.fd' },
  // Arch: package edk2-ovmf.
  { code: '/usr/share/edk2/x64/OVMF_CODE.4m.fd', variables: '/usr/share/edk2/x64/OVMF_VARS.4m.fd' },
]

/** What to type when there is none. */
export const howToInstallUefi = 'apt-get install ovmf'

/** The firmware found, or undefined: then machines can only have a BIOS. */
export function findUefiFirmware(): UefiFirmware | undefined {
  return places.find(({ code, variables }) => existsSync(code) && existsSync(variables))
}
