/**
 * Makes a clean reboot need no comparison: parameters of the kernel, a script of GRUB that hands a token to the first kernel it starts, and a program
 * that systemd runs at the end of a shutdown. All of it is text in files of its own.
 * @module
 */
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { SystemFiles } from '../inventory/system_files.ts'
import type { CommandRunner } from '../run_command.ts'
import { errorMessage, PermanentError } from '../../domain/errors.ts'
import {
  BootLoader,
  givenVariable,
  tokenParameter,
  tokenVariable,
  traceParameter,
} from '../reboot/boot_loader.ts'
import { isInstalled } from '../run_command.ts'
import { bootPaths } from './layout.ts'

/** Making GRUB's configuration anew looks for systems on all disks. */
export const longestGrubMs = 300_000

/** GRUB's variable with the parameter; empty for every kernel but the first. */
const bootVariable = 'rehost_boot'

/**
 * The program of `/etc/grub.d` that hands the token on, if it was able to forget it. GRUB has read its environment before, in `00_header`. A start
 * without a token is noted too: what the one before was given may have been kept as words of this kernel.
 */
export const grubScript = `#!/bin/sh
# Of the Rehost agent: a token is handed to the first kernel that is started, and to no other. See its documentation on reboots.
cat <<'EOF'
set ${bootVariable}=
if [ -n "\${${tokenVariable}}\${${givenVariable}}" ]; then
  set ${givenVariable}="\${${tokenVariable}}"
  set ${tokenVariable}=
  if save_env ${tokenVariable} ${givenVariable}; then
    set ${tokenVariable}=unread
    load_env ${tokenVariable}
    if [ -n "\${${givenVariable}}" -a -z "\${${tokenVariable}}" ]; then
      set ${bootVariable}="${tokenParameter}\${${givenVariable}}"
    fi
  fi
fi
export ${bootVariable}
EOF
`

/** The parameters, with a ring of so many KiB for each processor. */
export function kernelParameters(ringKb: number): string[] {
  return [traceParameter, `trace_buf_size=${ringKb}K`, `$${bootVariable}`]
}

/** The file of `/etc/default/grub.d`: a shell reads it. */
function grubDefaults(ringKb: number): string {
  return `# Of the Rehost agent: the kernel notes from its start on which blocks change.
GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX ${kernelParameters(ringKb)
    .join(' ')
    .replaceAll('$', String.raw`\$`)}"
`
}

/** What systemd runs last of all. */
export function shutdownScript(program: string): string {
  return `#!/bin/sh
# Of the Rehost agent: notes which blocks the copies of the disks still lack, so that nothing is compared after the reboot.
# Nobody writes a log any more: what it says is on the console.
exec ${program} seal --at "$1" >/dev/kmsg 2>&1
`
}

/** Where the files are. */
type BootPaths = Record<keyof typeof bootPaths, string>

/** What is needed to change this machine. */
export interface BootTraceInput {
  run: CommandRunner
  files: SystemFiles
  /** What the service runs. */
  program: string
  ringKb: number
  say(line: string): void
  paths?: BootPaths
}

/** Refuses where it could never work. @throws PermanentError with what to do. */
export async function checkBootTrace({ run, files }: Pick<BootTraceInput, 'run' | 'files'>): Promise<void> {
  try {
    if (!(await isInstalled(run, 'filefrag')))
      throw new Error('filefrag is not installed (package e2fsprogs)')
    if ((await files.readText('/proc/sys/kernel/bootloader_type')) === undefined)
      throw new Error('this kernel does not say how it was started')
    const loader = new BootLoader(files, run)
    const path = await loader.envFile()
    if ((await stat(path)).dev !== (await stat('/')).dev)
      throw new Error(
        `${path} is not on the root file system, and on no other can it be found at the end of a shutdown`,
      )
    await loader.place()
  } catch (error) {
    throw new PermanentError(
      `Cannot trace from boot: ${errorMessage(error)}; install with --no-trace-from-boot, then disks are compared after a reboot`,
      { cause: error },
    )
  }
}

/** Writes the files and has the boot loader's configuration made anew. */
export async function addBootTrace(input: BootTraceInput): Promise<void> {
  const { run, files, ringKb, say } = input
  const paths = input.paths ?? bootPaths
  await writeProgram(paths.shutdownHook, shutdownScript(input.program))
  await writeProgram(paths.grubScript, grubScript)
  if (await isInstalled(run, 'update-grub')) {
    await mkdir(dirname(paths.grubDefaults), { recursive: true })
    await writeFile(paths.grubDefaults, grubDefaults(ringKb), { mode: 0o644 })
    await run('update-grub', [], longestGrubMs)
  } else if (await isInstalled(run, 'grubby')) {
    const parameters = kernelParameters(ringKb).join(' ')
    await run('grubby', ['--update-kernel=ALL', `--args=${parameters}`], longestGrubMs)
    await run('grub2-mkconfig', ['-o', await grub2Config(files)], longestGrubMs)
  } else {
    say(
      '  This machine has neither update-grub nor grubby. Do this by hand, else disks are compared after a reboot:',
    )
    say(`  add to the kernel's command line: ${kernelParameters(ringKb).join(' ')}`)
    say(`  add to grub.cfg, behind load_env, what ${paths.grubScript} prints`)
    return
  }
  say('  From the next reboot on, a clean reboot needs no comparison of the disks')
}

async function writeProgram(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  // Also where it was there and had been switched off.
  await chmod(path, 0o755)
}

/** Where the configuration of GRUB is that a Red Hat system starts with. */
async function grub2Config(files: SystemFiles): Promise<string> {
  const isUefi = (await files.realPath('/sys/firmware/efi')) !== undefined
  return (await files.realPath(isUefi ? '/etc/grub2-efi.cfg' : '/etc/grub2.cfg')) ?? '/boot/grub2/grub.cfg'
}

/**
 * The shell command that takes all of it away again; does nothing where it was never added. GRUB's script goes last, when GRUB's configuration does
 * not have it any more: while it is there the command does all of it once more.
 */
export function bootTraceRemovalCommand(
  paths: BootPaths = bootPaths,
  environments = ['/boot/grub/grubenv', '/boot/grub2/grubenv'],
): string {
  const { shutdownHook, grubScript: script, grubDefaults: defaults } = paths
  const names = ['trace_event', 'trace_buf_size', `$${bootVariable}`].join(' ')
  return [
    `if [ -e '${script}' ]; then rm -f '${shutdownHook}' '${defaults}'`,
    // Then it is left out of the configuration.
    `chmod a-x '${script}'`,
    `for env in ${environments.join(' ')}`,
    `do if [ -e "$env" ]; then "$(command -v grub-editenv || command -v grub2-editenv)" "$env" unset ${tokenVariable} ${givenVariable}; fi`,
    'done',
    'if [ -d /sys/firmware/efi ]; then config=/etc/grub2-efi.cfg',
    'else config=/etc/grub2.cfg',
    'fi',
    `if command -v update-grub >/dev/null; then update-grub && rm -f '${script}'`,
    `elif command -v grubby >/dev/null; then grubby --update-kernel=ALL '--remove-args=${names}' && grub2-mkconfig -o "$(realpath "$config")" && rm -f '${script}'`,
    `else rm -f '${script}'`,
    'fi',
    'fi',
  ].join('; ')
}
