/**
 * A link between two machines that are network namespaces of this one: a pair of virtual cables, as fast as it is told to be.
 * The benchmark itself lives in the staging area's namespace, the source server in another that ends with the process holding it.
 * @module
 */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { ended, run, until } from './command.ts'

/** The staging area's address on the link. */
export const stagingAddress = '10.99.0.1'
const sourceAddress = '10.99.0.2'
/** The staging area's end. */
const device = 'staging0'

/** What crossed the link, frame headers and retransmissions included. */
export interface LinkBytes {
  toStaging: number
  toSource: number
}

/** A link; made by {@link openLink}. */
export class Link {
  readonly #holder: ChildProcess

  constructor(holder: ChildProcess) {
    this.#holder = holder
  }

  /** What stands before a command so that it runs on the source server's side. */
  get prefix(): string[] {
    return ['nsenter', '--target', String(this.#holder.pid), '--net', '--']
  }

  /** What crossed it since it was opened. */
  async bytes(): Promise<LinkBytes> {
    const text = await readFile('/proc/net/dev', 'utf8')
    const line = text.split('\n').find((candidate) => candidate.trim().startsWith(`${device}:`))
    const numbers = line?.split(':')[1]?.trim().split(/\s+/).map(Number) ?? []
    const [toStaging, , , , , , , , toSource] = numbers
    if (toStaging === undefined || toSource === undefined)
      throw new Error(`Cannot read the counters of ${device} in /proc/net/dev`)
    return { toStaging, toSource }
  }

  /** Takes the link away. */
  async close(): Promise<void> {
    const end = ended(this.#holder)
    this.#holder.kill('SIGKILL')
    await end
    await until('the link is gone', 5000, async () =>
      (await readFile('/proc/net/dev', 'utf8')).includes(`${device}:`) ? undefined : true,
    )
  }
}

/** Opens a link of `mbitPerSecond` both ways; undefined: as fast as this machine can. */
export async function openLink(mbitPerSecond: number | undefined): Promise<Link> {
  const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' })
  const link = new Link(holder)
  try {
    const target = String(holder.pid)
    // Until the holder has left this namespace the far end would be put back here.
    await until('the source side of the link is a namespace of its own', 5000, async () => {
      const theirs = (await run('readlink', [`/proc/${target}/ns/net`])).stdout
      const ours = (await run('readlink', ['/proc/self/ns/net'])).stdout
      return theirs === ours ? undefined : true
    })
    await run('ip', ['link', 'add', device, 'type', 'veth', 'peer', 'name', 'source0', 'netns', target])
    await run('ip', ['address', 'add', `${stagingAddress}/24`, 'dev', device])
    await run('ip', ['link', 'set', device, 'up'])
    const [command = '', ...before] = link.prefix
    const far = (...args: string[]): Promise<unknown> => run(command, [...before, ...args])
    await far('ip', 'address', 'add', `${sourceAddress}/24`, 'dev', 'source0')
    await far('ip', 'link', 'set', 'source0', 'up')
    await far('ip', 'link', 'set', 'lo', 'up')
    if (mbitPerSecond !== undefined) {
      const shape = ['root', 'tbf', 'rate', `${mbitPerSecond}mbit`, 'burst', '256kb', 'latency', '50ms']
      await run('tc', ['qdisc', 'add', 'dev', device, ...shape])
      await far('tc', 'qdisc', 'add', 'dev', 'source0', ...shape)
    }
    return link
  } catch (error) {
    await link.close()
    throw error
  }
}
