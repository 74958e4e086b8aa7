/**
 * How the bytes of a block device are laid on the disks under it, as shares: two mirrored disks have all of them each.
 * @module
 */
import type { SystemFiles } from './system_files.ts'
import { isMultipath, maxStacked } from './block_topology.ts'

/**
 * What share of the bytes of block device `name` is on each disk under it, by kernel name; undefined where the kernel does not tell. A volume over several
 * disks is taken to be on each by the disk's size.
 */
export async function sharesUnder(
  files: SystemFiles,
  name: string,
  depth = 0,
): Promise<Map<string, number> | undefined> {
  if (depth > maxStacked) return undefined
  const folder = await files.realPath(`/sys/class/block/${name}`)
  if (folder === undefined) return undefined
  if ((await files.readText(`${folder}/partition`)) !== undefined)
    return sharesUnder(files, folder.split('/').at(-2) ?? '', depth + 1)
  const slaves = await files.list(`${folder}/slaves`)
  if (slaves.length === 0 || (await isMultipath(files, name))) return new Map([[name, 1]])
  const parts = await partsOf(files, name, folder, slaves)
  if (parts === undefined) return undefined
  const shares = new Map<string, number>()
  for (const [slave, part] of parts) {
    const under = await sharesUnder(files, slave, depth + 1)
    if (under === undefined) return undefined
    for (const [disk, share] of under) shares.set(disk, (shares.get(disk) ?? 0) + part * share)
  }
  return shares
}

/** What share of `name` is on each of its slaves. */
async function partsOf(
  files: SystemFiles,
  name: string,
  folder: string,
  slaves: readonly string[],
): Promise<Map<string, number> | undefined> {
  const each = (part: number) => new Map(slaves.map((slave) => [slave, part]))
  const level = await files.readText(`${folder}/md/level`)
  if (level !== undefined && level !== 'raid0' && level !== 'linear') {
    const members = Number(await files.readText(`${folder}/md/raid_disks`))
    const part = { raid1: 1, raid10: 2 / members, raid5: 1 / (members - 1), raid6: 1 / (members - 2) }[level]
    return part !== undefined && part > 0 && part <= 1 ? each(part) : undefined
  }
  if (slaves.length === 1) return each(1)
  // A cache and what it caches, or something newer than this.
  if (level === undefined && !name.startsWith('dm-')) return undefined
  const sizes = new Map<string, number>()
  for (const slave of slaves) {
    const place = `/sys/class/block/${slave}`
    // Images of a mirror or a RAID of LVM: how many there are of each byte is not told here.
    if (/_r?m?image_\d+$/.test((await files.readText(`${place}/dm/name`)) ?? '')) return undefined
    sizes.set(slave, Number((await files.readText(`${place}/size`)) ?? 0))
  }
  const all = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  return all > 0 ? new Map([...sizes].map(([slave, size]) => [slave, size / all])) : undefined
}
