/**
 * Static files under addresses that hold a hash of their content: they may be kept for ever, and a new release is fetched at once.
 * @module
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Assets } from '../views/layout.ts'

/** Sheets in the order of their layers' tokens; they are sent as one file. */
const sheets = [
  'tokens',
  'base',
  'layout',
  'parts',
  'tables',
  'forms',
  'menus',
  'list',
  'server',
  'activity',
  'small',
]

/** The files, with their content types. */
const sources: Record<keyof Assets, { name: string; paths: readonly string[]; type: string }> = {
  css: {
    name: 'app.css',
    paths: sheets.map((sheet) => `views/static/${sheet}.css`),
    type: 'text/css; charset=utf-8',
  },
  js: { name: 'app.js', paths: ['views/static/app.js'], type: 'text/javascript; charset=utf-8' },
  icon: { name: 'icon.svg', paths: ['views/static/icon.svg'], type: 'image/svg+xml' },
  htmx: {
    name: 'htmx.js',
    // One file: htmx looks at the page as soon as it has run, and a script of its own for the extension could come too late.
    paths: ['node_modules/htmx.org/dist/htmx.min.js', 'node_modules/htmx.org/dist/ext/hx-sse.min.js'],
    type: 'text/javascript; charset=utf-8',
  },
}

/** A file ready to be sent. */
export interface StaticFile {
  body: Uint8Array<ArrayBuffer>
  type: string
}

/** All static files. */
export interface StaticFiles {
  urls: Assets
  find(path: string): StaticFile | undefined
}

/** Reads the files below `root`, the folder of this project. @throws Error naming the file that cannot be read. */
export async function loadAssets(root: string): Promise<StaticFiles> {
  const files = new Map<string, StaticFile>()
  const load = async (asset: keyof Assets): Promise<string> => {
    const { name, paths, type } = sources[asset]
    const body = Buffer.concat(await Promise.all(paths.map((path) => readPart(root, path))))
    const digest = createHash('sha256').update(body).digest('hex').slice(0, 12)
    const [stem = '', extension = ''] = name.split('.')
    const url = `/static/${stem}.${digest}.${extension}`
    files.set(url, { body: new Uint8Array(body), type })
    return url
  }
  const urls: Assets = {
    css: await load('css'),
    js: await load('js'),
    icon: await load('icon'),
    htmx: await load('htmx'),
  }
  return { urls, find: (path) => files.get(path) }
}

async function readPart(root: string, path: string): Promise<Buffer> {
  try {
    return Buffer.concat([await readFile(join(root, path)), Buffer.from('\n')])
  } catch (error) {
    throw new Error(`Cannot read ${path}; run npm install in ${root}`, { cause: error })
  }
}
