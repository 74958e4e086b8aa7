/**
 * Builds the agent as one file that needs nothing on the source server: bundle, Node's own executable, the native hash as an asset.
 * Leaves `dist/agent/rehost-agent-linux-x64`, the same gzipped, and its checksum. Does nothing when the inputs are those of the last build.
 * @module
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = resolve(import.meta.dirname, '..')
const target = join(root, 'dist/agent')
const name = 'rehost-agent-linux-x64'
const node = join(root, 'node_modules/node/bin/node')
const native = join(root, 'node_modules/@napi-rs/blake-hash-linux-x64-gnu/blake.linux-x64-gnu.node')
/** Says that the lock is held. */
const lockedVariable = 'REHOST_AGENT_BUILD_LOCKED'
/** Where Node looks for the application in its own file. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** Source files whose change means a new build. */
function sourceFiles(): string[] {
  return ['agent', 'wire', 'domain', 'host']
    .flatMap((room) =>
      readdirSync(join(root, room), { withFileTypes: true, recursive: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
        .map((entry) => join(entry.parentPath, entry.name)),
    )
    .sort()
}

/** One hash over everything that decides what is built. */
function hashInputs(): string {
  const hash = createHash('sha256')
  for (const file of [...sourceFiles(), join(root, 'package-lock.json'), import.meta.filename]) {
    hash.update(file.slice(root.length)).update(readFileSync(file))
  }
  const { size } = statSync(node)
  return hash.update(`node ${size}`).digest('hex')
}

/** Whether the last build is of these inputs and whole. */
function isBuilt(inputs: string): boolean {
  const stamp = join(target, 'inputs.sha256')
  const results = [name, `${name}.gz`, `${name}.gz.sha256`].map((file) => join(target, file))
  return (
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8').trim() === inputs &&
    results.every((file) => existsSync(file))
  )
}

/** A program of the agent with all of its parts in one script; the native hash is replaced by its stand-in, which loads the asset. */
async function bundle(entryPoint: string, outfile: string): Promise<void> {
  await build({
    entryPoints: [join(root, entryPoint)],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    // Only where the program is not one file are its parts looked for beside it.
    define: { 'import.meta.url': '"file:///"' },
    logLevel: 'warning',
    alias: { '@napi-rs/blake-hash': join(root, 'agent/install/native_blake3.ts') },
  })
}

/** Puts script and assets into a copy of Node. */
function makeExecutable(work: string, script: string, hashThread: string): string {
  const config = join(work, 'sea.json')
  const blob = join(work, 'sea.blob')
  const program = join(work, name)
  writeFileSync(
    config,
    JSON.stringify({
      main: script,
      output: blob,
      disableExperimentalSEAWarning: true,
      useCodeCache: true,
      // A small young generation: buffers come and go by the hundred, and memory counts on somebody else's server.
      execArgv: ['--max-semi-space-size=2'],
      assets: { 'blake.node': native, 'hash_thread.cjs': hashThread },
    }),
  )
  execFileSync(node, ['--experimental-sea-config', config], { stdio: 'pipe' })
  copyFileSync(node, program)
  chmodSync(program, 0o755)
  stripSymbols(program)
  execFileSync(
    node,
    [
      join(root, 'node_modules/postject/dist/cli.js'),
      program,
      'NODE_SEA_BLOB',
      blob,
      '--sentinel-fuse',
      fuse,
    ],
    { stdio: 'pipe' },
  )
  return program
}

/** Symbols are a tenth of the file and of no use to the agent; without the tool they stay. */
function stripSymbols(program: string): void {
  try {
    execFileSync('strip', ['--strip-unneeded', program], { stdio: 'ignore' })
  } catch (error) {
    process.stdout.write(`  not stripped: ${error instanceof Error ? error.message : String(error)}\n`)
  }
}

/** Moves a finished file into place: whoever downloads meanwhile gets the old or the new one, whole. */
function place(file: string, bytes: Uint8Array | string, mode = 0o644): void {
  const path = join(target, file)
  writeFileSync(`${path}.new`, bytes, { mode })
  renameSync(`${path}.new`, path)
}

/** Runs this program once more while nobody else builds here: two builds that mix give files that don't fit each other. */
function buildAlone(): void {
  mkdirSync(target, { recursive: true })
  const own = [process.execPath, ...process.execArgv, import.meta.filename]
  // The lock ends with the process that holds it, whatever becomes of it.
  execFileSync('flock', [join(target, '.lock'), ...own], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, [lockedVariable]: 'yes' },
  })
}

async function main(): Promise<void> {
  const inputs = hashInputs()
  if (isBuilt(inputs)) {
    process.stdout.write(`The agent is up to date: ${join(target, name)}\n`)
    return
  }
  if (process.env[lockedVariable] === undefined) {
    buildAlone()
    return
  }
  process.stdout.write('Building the agent as one file (about 20 s)\n')
  const work = join(target, '.work')
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  try {
    const script = join(work, 'agent.cjs')
    const hashThread = join(work, 'hash_thread.cjs')
    await bundle('agent/main.ts', script)
    await bundle('agent/disk/hash_thread.ts', hashThread)
    const program = makeExecutable(work, script, hashThread)
    execFileSync(program, ['version'], { stdio: 'ignore' })
    const bytes = readFileSync(program)
    const gzipped = gzipSync(bytes, { level: 6 })
    rmSync(join(target, 'inputs.sha256'), { force: true })
    place(name, bytes, 0o755)
    place(`${name}.gz`, gzipped)
    place(`${name}.gz.sha256`, `${createHash('sha256').update(gzipped).digest('hex')}  ${name}.gz\n`)
    place('inputs.sha256', `${inputs}\n`)
    const mib = (length: number) => (length / 2 ** 20).toFixed(1)
    process.stdout.write(
      `Built ${join(target, name)}: ${mib(bytes.length)} MiB, gzipped ${mib(gzipped.length)} MiB, script ${mib(statSync(script).size)} MiB\n`,
    )
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

if (process.arch !== 'x64' || process.platform !== 'linux') {
  process.stderr.write(
    `Cannot build the agent on ${process.platform} ${process.arch}: it is built on Linux x64\n`,
  )
  process.exitCode = 1
} else {
  mkdirSync(dirname(target), { recursive: true })
  await main()
}
