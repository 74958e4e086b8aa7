/**
 * Appends kernel modules to an initial RAM disk: the kernel unpacks archives that lie behind each other, later files over earlier ones.
 * @module
 */
import { basename, dirname } from 'node:path'
import type { Appliance } from '../appliance.ts'
import type { ArchiveEntry } from '../cpio.ts'
import { appendix } from '../cpio.ts'
import { ApplianceError } from '../guestfish.ts'

/**
 * Indexes by which modules are found: those of the whole system, since the initial RAM disk's own do not know the added ones. Of each line
 * the first that is there; programs that read the later ones prefer it.
 */
const indexFiles = [
  ['modules.dep'],
  ['modules.dep.bin'],
  ['modules.alias.bin', 'modules.alias'],
  ['modules.symbols.bin', 'modules.symbols'],
  ['modules.softdep'],
  ['modules.builtin.bin'],
]

/** A driver's name as modules.dep and file names may write it. */
function sameName(path: string, driver: string): boolean {
  const name = basename(path).replace(/\.ko(?:\.\w+)?$/, '')
  return name.replaceAll('-', '_') === driver.replaceAll('-', '_')
}

/** Paths, relative to the kernel's folder of modules, of `drivers` and all they need, by the text of modules.dep. */
export function withDependencies(modulesDep: string, drivers: readonly string[]): string[] {
  const lines = modulesDep.split('\n').map((line) => {
    const separator = line.indexOf(':')
    return {
      module: line.slice(0, separator),
      needs: line
        .slice(separator + 1)
        .split(/\s+/)
        .filter((path) => path !== ''),
    }
  })
  const found = lines.filter(({ module }) => drivers.some((driver) => sameName(module, driver)))
  return [...new Set(found.flatMap(({ module, needs }) => [module, ...needs]))]
}

/** Whether modules.dep knows a driver. */
export function isInModulesDep(modulesDep: string, driver: string): boolean {
  return modulesDep.split('\n').some((line) => sameName(line.slice(0, line.indexOf(':')), driver))
}

/** The folders above `path` up to and with `top`, outermost first. */
function foldersOf(path: string, top: string): string[] {
  const folders: string[] = []
  for (let folder = dirname(path); folder.length >= top.length; folder = dirname(folder))
    folders.unshift(folder)
  return folders
}

/** Does the operation. @throws ApplianceError when the guest lacks what is to be added. */
export async function extendInitramfs(
  appliance: Appliance,
  operation: { path: string; kernelVersion: string; drivers: readonly string[] },
): Promise<void> {
  const source = `/lib/modules/${operation.kernelVersion}`
  const modulesDep = await appliance.text(`${source}/modules.dep`)
  if (modulesDep === undefined) throw new ApplianceError(`Cannot find ${source}/modules.dep`)
  // Where `lib` is a link to `usr/lib`, the kernel follows it when it unpacks.
  const target = `lib/modules/${operation.kernelVersion}`
  const files: ArchiveEntry[] = []
  const modules = withDependencies(modulesDep, operation.drivers).map((path) => [path])
  for (const names of [...modules, ...indexFiles]) {
    for (const path of names) {
      if (!(await appliance.isFile(`${source}/${path}`))) continue
      files.push({ path: `${target}/${path}`, content: await appliance.download(`${source}/${path}`) })
      break
    }
  }
  const folders = [...new Set([dirname(target), ...files.flatMap(({ path }) => foldersOf(path, target))])]
  const entries = [...folders.map((path) => ({ path })), ...files]
  const lengthBytes = Number(await appliance.run('filesize', operation.path))
  await appliance.writeAt(operation.path, lengthBytes, appendix(lengthBytes, entries))
}
