/**
 * Builds the agent as one file that needs nothing on the source server: a bundle inside a copy of Node (single executable application),
 * the native BLAKE3 with it as an asset. Needs glibc 2.28 there, as that Node does.
 *
 * Leaves `dist/agent/rehost-agent-linux-x64`, the same gzipped, and the gzipped file's SHA-256. Does nothing when all inputs are the same.
 * @module
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { constants, gzip } from 'node:zlib'
import { build } from 'esbuild'

const run = promisify(execFile)
const compress = promisify(gzip)
const root = join(import.meta.dirname, '..')
const out = join(root, 'dist/agent')
const name = 'rehost-agent-linux-x64'
const nativeAsset = 'blake3.node'
/** Node looks for a bundle behind this mark; the value is Node's own. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** Loads the native part from the executable: written to a private file, since the system loads code from files only. */
const nativeLoader = `
const sea = require('node:sea')
const fs = require('node:fs')
const path = require('node:path')
const os = require('node:os')
const folder = fs.mkdtempSync(path.join(fs.existsSync('/opt/rehost') && process.getuid() === 0 ? '/opt/rehost' : os.tmpdir(), '.native-'))
const file = path.join(folder, '${nativeAsset}')
fs.writeFileSync(file, new Uint8Array(sea.getRawAsset('${nativeAsset}')), { mode: 0o700 })
const loaded = { exports: {} }
process.dlopen(loaded, file)
fs.rmSync(folder, { recursive: true })
module.exports = loaded.exports
`

/** The agent and all it imports, as one CommonJS text. */
async function bundle(): Promise<string> {
  const result = await build({
    entryPoints: [join(root, 'agent/main.ts')],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    write: false,
    logLevel: 'warning',
    define: { 'import.meta.dirname': '__dirname', 'import.meta.url': '""' },
    plugins: [
      {
        name: 'native-blake3',
        setup(own) {
          own.onResolve({ filter: /^@napi-rs\/blake-hash$/ }, ({ path }) => ({ path, namespace: 'native' }))
          own.onLoad({ filter: /.*/, namespace: 'native' }, () => ({ contents: nativeLoader, loader: 'js' }))
        },
      },
    ],
  })
  const text = result.outputFiles[0]?.text
  if (text === undefined) throw new Error('esbuild made no bundle')
  return text
}

/** The native BLAKE3 for glibc that npm installed. */
function nativeModule(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('@napi-rs/blake-hash'))
  return require.resolve('@napi-rs/blake-hash-linux-x64-gnu')
}

/** Whether `strip` is there and took the symbols away; the agent works with them, only larger. */
async function strip(file: string): Promise<void> {
  try {
    await run('strip', [file])
  } catch (error) {
    console.log(`Not stripped: ${error instanceof Error ? error.message : String(error)}`)
  }
}

async function buildExecutable(script: string, native: string): Promise<void> {
  const work = join(out, 'work')
  await rm(work, { recursive: true, force: true })
  await mkdir(work, { recursive: true })
  await writeFile(join(work, 'agent.cjs'), script)
  const settings = {
    main: join(work, 'agent.cjs'),
    output: join(work, 'agent.blob'),
    disableExperimentalSEAWarning: true,
    assets: { [nativeAsset]: native },
  }
  await writeFile(join(work, 'sea.json'), JSON.stringify(settings))
  await run(process.execPath, ['--experimental-sea-config', join(work, 'sea.json')])
  const program = join(work, name)
  await copyFile(process.execPath, program)
  await chmod(program, 0o755)
  await strip(program)
  const postject = join(root, 'node_modules/postject/dist/cli.js')
  await run(process.execPath, [postject, program, 'NODE_SEA_BLOB', join(work, 'agent.blob'), '--sentinel-fuse', fuse])
  const packed = await compress(await readFile(program), { level: constants.Z_BEST_SPEED })
  await writeFile(join(work, `${name}.gz`), packed)
  const digest = createHash('sha256').update(packed).digest('hex')
  await writeFile(join(work, `${name}.gz.sha256`), `${digest}  ${name}.gz\n`)
  for (const file of [name, `${name}.gz`, `${name}.gz.sha256`]) await rename(join(work, file), join(out, file))
  await rm(work, { recursive: true })
}

const script = await bundle()
const native = nativeModule()
const inputs = createHash('sha256').update(script).update(await readFile(native)).update(process.version).digest('hex')
const stamp = join(out, 'inputs.sha256')
const known = await readFile(stamp, 'utf8').catch(() => '')
if (known === inputs && (await stat(join(out, name)).catch(() => undefined)) !== undefined) {
  console.log('The agent is up to date')
} else {
  await mkdir(out, { recursive: true })
  await rm(stamp, { force: true })
  await buildExecutable(script, native)
  await writeFile(stamp, inputs)
  const { size } = await stat(join(out, name))
  const packed = await stat(join(out, `${name}.gz`))
  console.log(`Built ${name}: ${(size / 1e6).toFixed(0)} MB, ${(packed.size / 1e6).toFixed(0)} MB gzipped`)
}
