/**
 * What is found before the first slow step: programs, accelerator, firmware, space, the replication port.
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import { errorMessage } from '../../domain/errors.ts'
import type { PreflightFinding } from '../provider.ts'
import { chooseAccelerator, describeAccelerator } from './accelerator.ts'
import type { QemuContext } from './context.ts'
import { makeFolder } from './files.ts'
import { findUefiFirmware, howToInstallUefi } from './firmware.ts'
import { replicationPortFinding } from './replication_servers.ts'
import { freeBytes, humanBytes } from './space.ts'
import { howToInstall, toolNames } from './tools.ts'

const versionTimeoutMs = 20_000
/** Less than this is refused at the first volume; a real server needs far more. */
const comfortableBytes = 10 * 2 ** 30

/** Everything that can be known before work begins. Only the accelerator's verdict stays behind. */
export async function preflight(context: QemuContext): Promise<PreflightFinding[]> {
  const tools = await Promise.all(toolNames.map((tool) => toolFinding(context, tool)))
  const folder = await folderFinding(context)
  const findings = [...tools, folder, uefiFinding()]
  if (folder.ok) findings.push(await spaceFinding(context))
  if (folder.ok && tools.every(({ ok }) => ok)) findings.push(await acceleratorFinding(context))
  findings.push(await replicationPortFinding(context))
  return findings
}

async function toolFinding(
  context: QemuContext,
  tool: (typeof toolNames)[number],
): Promise<PreflightFinding> {
  try {
    const place = await context.tools.find(tool)
    // dash has no --version; being there is all that is asked of a shell.
    if (tool === 'sh') return { ok: true, what: `${tool}: ${place}` }
    const version = await context.tools.run(tool, ['--version'], versionTimeoutMs)
    return { ok: true, what: `${tool}: ${version.split('\n')[0]}` }
  } catch (error) {
    return { ok: false, what: errorMessage(error), whatToDo: howToInstall(tool) }
  }
}

async function folderFinding({ layout }: QemuContext): Promise<PreflightFinding> {
  try {
    await makeFolder(layout.root)
    await rm(await mkdtemp(path.join(layout.root, 'preflight-')), { recursive: true })
    return { ok: true, what: `${layout.root} can be written` }
  } catch (error) {
    const whatToDo = 'give this user the folder, or set REHOST_DATA_DIR to another one'
    return { ok: false, what: `Cannot write into ${layout.root}: ${errorMessage(error)}`, whatToDo }
  }
}

async function spaceFinding({ layout, config }: QemuContext): Promise<PreflightFinding> {
  const free = await freeBytes(layout.root)
  const what = `${humanBytes(free)} are free in ${layout.root}`
  if (free >= comfortableBytes) return { ok: true, what }
  const whatToDo =
    'make room for the disks to migrate and a second copy of the parts in use, or set REHOST_DATA_DIR to a larger disk'
  return { ok: free >= config.minFreeBytes, what, whatToDo }
}

async function acceleratorFinding(context: QemuContext): Promise<PreflightFinding> {
  const accelerator = await chooseAccelerator(context)
  const what = `Machines run with ${describeAccelerator(accelerator)}`
  if (accelerator.kind === 'kvm') return { ok: true, what }
  return {
    ok: true,
    what,
    whatToDo: 'Nothing needs to be done; with KVM machines would boot several times faster',
  }
}

function uefiFinding(): PreflightFinding {
  const found = findUefiFirmware()
  if (found !== undefined) return { ok: true, what: `UEFI firmware: ${found.code}` }
  return {
    ok: false,
    what: 'There is no UEFI firmware: only BIOS machines can run',
    whatToDo: howToInstallUefi,
  }
}
