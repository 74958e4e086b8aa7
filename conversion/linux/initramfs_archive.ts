/**
 * Appends kernel modules to an initial RAM disk: the kernel unpacks archives that lie behind each other, later files over earlier ones.
 * @module
 */
import { basename, dirname } from 'node:path'
import type { Appliance } from '../appliance.ts'
import type { ArchiveEntry } from '../cpio.ts'
import { initramfsPaths, withAppended } from '../cpio.ts'
import { ApplianceError } from '../guestfish.ts'

/** Indexes by which modules are found: those of the whole system, since the initial RAM disk's own do not know the added ones. */
const indexFiles = [
  'modules.dep',
  'modules.dep.bin',
  'modules.alias',
  'modules.alias.bin',
  'modules.softdep',
  'modules.symbols',
  'modules.symbols.bin',
  'modules.builtin.bin',
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

/** Where an initial RAM disk keeps the modules of a kernel: below `/lib`, which may be a link to `/usr/lib`. */
function moduleFolderIn(paths: readonly string[], kernelVersion: string): string {
  const known = paths
    .map((path) => path.replace(/^\.?\//, ''))
    .find((path) => path.includes(`lib/modules/${kernelVersion}/`))
  const usual = paths.some((path) => /^\.?\/?usr\/lib$/.test(path)) ? 'usr/lib/modules' : 'lib/modules'
  return known === undefined
    ? `${usual}/${kernelVersion}`
    : known.slice(0, known.indexOf(kernelVersion) + kernelVersion.length)
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
  const initramfs = await appliance.download(operation.path)
  const target = moduleFolderIn(initramfsPaths(initramfs), operation.kernelVersion)
  const files: ArchiveEntry[] = []
  for (const path of [...withDependencies(modulesDep, operation.drivers), ...indexFiles]) {
    if (await appliance.isFile(`${source}/${path}`)) {
      files.push({ path: `${target}/${path}`, content: await appliance.download(`${source}/${path}`) })
    }
  }
  const folders = [...new Set([dirname(target), ...files.flatMap(({ path }) => foldersOf(path, target))])]
  const entries = [...folders.map((path) => ({ path })), ...files]
  await appliance.write(operation.path, withAppended(initramfs, entries))
}
