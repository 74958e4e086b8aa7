/**
 * What people use instead: nbdcopy and qemu-img into nbdkit over TLS, and rsync.
 * @module
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { ended, run, until } from './command.ts'
import { makeSparseFile } from './disk_files.ts'

const port = 10809
const userName = 'bench'

/** Programs that copy a disk over NBD. */
export const nbdPeers = ['nbdcopy', 'qemu-img'] as const
/** One of them. */
export type NbdPeer = (typeof nbdPeers)[number]

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

/** The command that copies `sourcePath` to the server at `host`, with the key in `keyFolder`. What is written is flushed at the end. */
const commands: Record<NbdPeer, (copy: { sourcePath: string; host: string; keyFolder: string }) => string[]> =
  {
    nbdcopy: ({ sourcePath, host, keyFolder }) => [
      'nbdcopy',
      '--flush',
      sourcePath,
      `nbds://${userName}@${host}:${port}/?tls-psk-file=${join(keyFolder, 'keys.psk')}`,
    ],
    // As fast as it can: sixteen requests at once, written in any order. Its own way of caching would leave flushes out.
    'qemu-img': ({ sourcePath, host, keyFolder }) => [
      ...['qemu-img', 'convert', '-n', '-W', '-m', '16', '-t', 'writeback', '-f', 'raw'],
      ...['--object', `tls-creds-psk,id=tls0,dir=${keyFolder},endpoint=client,username=${userName}`],
      ...['--target-image-opts', sourcePath],
      `driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=${host},file.server.port=${port},file.tls-creds=tls0`,
    ],
  }

/**
 * Seconds that a peer with TLS takes from `sourcePath` to `nbdkit file`, onto an empty file in `folder` that is as large. The data are flushed at the
 * end, as a copy that people rely on is, and compared with the source after that.
 */
export async function nbdPeerSeconds(
  peer: NbdPeer,
  copy: {
    sourcePath: string
    sizeBytes: number
    folder: string
    host?: string
    prefix?: readonly string[]
  },
): Promise<number> {
  const { sourcePath, sizeBytes, folder, host = '127.0.0.1', prefix = [] } = copy
  const place = await mkdtemp(join(folder, 'peer-'))
  const targetPath = join(place, 'target.img')
  const keyFile = join(place, 'keys.psk')
  await makeSparseFile(targetPath, sizeBytes)
  await writeFile(keyFile, `${userName}:${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  const listen = [`--ipaddr=${host}`, `--port=${port}`, '--tls=require', `--tls-psk=${keyFile}`]
  const server = spawn('nbdkit', ['--foreground', ...listen, 'file', targetPath], { stdio: 'ignore' })
  const end = ended(server)
  try {
    await until('nbdkit listens', 10_000, () => answers(host))
    const [command = '', ...args] = [...prefix, ...commands[peer]({ sourcePath, host, keyFolder: place })]
    const { seconds } = await run(command, args)
    await run('cmp', [sourcePath, targetPath])
    return seconds
  } finally {
    server.kill('SIGTERM')
    await end
    await rm(place, { recursive: true })
  }
}

/** Seconds in which `rsync` finds two identical files identical, reading both. */
export async function rsyncSeconds(sourcePath: string, targetPath: string): Promise<number> {
  return (await run('rsync', ['--inplace', '--checksum', sourcePath, targetPath])).seconds
}
