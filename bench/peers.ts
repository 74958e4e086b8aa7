/**
 * What people use instead: nbdcopy into nbdkit over TLS, and rsync.
 * @module
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { ended, run, until } from './command.ts'

const port = 10809

/** Whether something listens. */
function answers(host: string): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(undefined))
  })
}

/**
 * Seconds that `nbdcopy` with TLS takes from `sourcePath` to `nbdkit file` on `targetPath`, which must exist and have the size.
 * The data are flushed at the end, as a copy that people rely on is.
 */
export async function nbdcopySeconds(options: {
  sourcePath: string
  targetPath: string
  folder: string
  host?: string
  prefix?: readonly string[]
}): Promise<number> {
  const { sourcePath, targetPath, folder, host = '127.0.0.1', prefix = [] } = options
  const keyFile = join(folder, 'peer.psk')
  await writeFile(keyFile, `bench:${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  const server = spawn(
    'nbdkit',
    [
      '--foreground',
      `--ipaddr=${host}`,
      `--port=${port}`,
      '--tls=require',
      `--tls-psk=${keyFile}`,
      'file',
      targetPath,
    ],
    { stdio: 'ignore' },
  )
  const end = ended(server)
  try {
    await until('nbdkit listens', 10_000, () => answers(host))
    const uri = `nbds://bench@${host}:${port}/?tls-psk-file=${keyFile}`
    const [command, ...args] = [...prefix, 'nbdcopy', '--flush', sourcePath, uri]
    return (await run(command, args)).seconds
  } finally {
    server.kill('SIGTERM')
    await end
    await rm(keyFile)
  }
}

/** Seconds in which `rsync` finds two identical files identical, reading both. */
export async function rsyncSeconds(sourcePath: string, targetPath: string): Promise<number> {
  return (await run('rsync', ['--inplace', '--checksum', sourcePath, targetPath])).seconds
}
