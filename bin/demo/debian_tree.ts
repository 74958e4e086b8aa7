/**
 * Installs Debian into a folder with mmdebstrap, in a mount and process namespace of its own: what it mounts in the folder, this machine's
 * /dev/shm among it, is never seen outside, and nothing of it outlives a build that is broken off.
 * @module
 */
import { spawn } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/** How to install. */
export interface DebianTreeOptions {
  /** Options of mmdebstrap; the release and the package sources are added. */
  args: readonly string[]
  /** The folder to install into; the one around it takes files on their way. */
  root: string
  /** Where the words of the tools go. */
  logFile: string
  signal: AbortSignal
}

/**
 * Installs Debian 12 with the package sources that this machine itself uses. When it settles no process and no mount is left.
 * @throws Error with the tool's last words when it fails, the signal's reason when it was broken off.
 */
export async function installDebian(options: DebianTreeOptions): Promise<void> {
  const { args, root, logFile, signal } = options
  signal.throwIfAborted()
  const sources = await packageSources()
  const log = await open(logFile, 'w')
  try {
    const child = spawn(
      'unshare',
      [
        ...['--mount', '--pid', '--mount-proc', '--fork', '--kill-child', '--', 'mmdebstrap', '--mode=root'],
        ...[...args, 'bookworm', root, ...sources],
      ],
      // Its own files on their way go with the folder when it is broken off.
      { stdio: ['ignore', log.fd, log.fd], env: { ...process.env, TMPDIR: dirname(root) } },
    )
    // The first process of a namespace takes all others of it along; mmdebstrap itself waits on when it is asked to end.
    const kill = (): void => void child.kill('SIGKILL')
    signal.addEventListener('abort', kill, { once: true })
    try {
      const code = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
        child.once('error', reject)
        child.once('close', (exitCode, killedBy) => resolve(exitCode ?? killedBy))
      })
      signal.throwIfAborted()
      if (code === 0) return
      const words = (await readFile(logFile, 'utf8')).trimEnd().split('\n').slice(-8).join('\n')
      throw new Error(`mmdebstrap ended with ${String(code)}:\n${words}`)
    } finally {
      signal.removeEventListener('abort', kill)
    }
  } finally {
    await log.close()
  }
}

/** This machine's own Debian sources; Debian's usual ones are mmdebstrap's default when there are none to take over. */
async function packageSources(): Promise<string[]> {
  const candidates = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list']
  for (const path of candidates) {
    const text = await readFile(path, 'utf8').catch(() => '')
    if (text.includes('bookworm')) return [path]
  }
  return []
}
