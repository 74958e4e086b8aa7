/**
 * Processes that outlive whoever started them. Each has a folder with a `pid` file that it writes itself before it becomes the
 * program, so there is never a running program without one; start time and boot are in it, so a reused pid is never mistaken.
 * @module
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isSystemError, readTail, unlessMissing, writeWhole } from './files.ts'
import { layoutOf } from './layout.ts'
import type { Tools } from './tools.ts'

const pollMs = 20
const startDeadlineMs = 10_000
const killDeadlineMs = 10_000
/** How long a program may take to end in order before it is killed. */
const graceMs = 8000
const bootIdFile = '/proc/sys/kernel/random/boot_id'

/** Only words of the shell itself, so that nothing but `sh` is needed; `umask` keeps what the program writes private. */
const becomeProgram = `umask 077
read -r boot < ${bootIdFile} && read -r stat < /proc/$$/stat && printf '%s\\n%s\\n' "$boot" "$stat" > pid && exec "$@"`

/** A program to start in a folder. */
export interface DetachedProgram {
  /** Its working folder, which also gets `pid` and `log`. */
  folder: string
  command: readonly string[]
  environment: Readonly<Record<string, string>>
}

/** What is known of a folder's process. */
export interface ProcessState {
  /** Its pid while it runs. */
  pid?: number
  /** Why it was stopped on purpose; missing when it ended by itself or never ran. */
  stopReason?: string
}

/**
 * Starts a program that lives on without this process. Not to be called while it runs: hold the folder's lock.
 * @throws Error with the end of its log when it ended before it became the program.
 */
export async function startDetached(program: DetachedProgram, tools: Tools): Promise<void> {
  const { folder } = program
  await rm(path.join(folder, 'pid'), { force: true })
  await rm(path.join(folder, 'stopped'), { force: true })
  const shell = await tools.find('sh')
  const log = await open(path.join(folder, 'log'), 'a', 0o600)
  try {
    const child = spawn(shell, ['-c', becomeProgram, 'sh', ...program.command], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...program.environment },
    })
    await once(child, 'spawn')
    child.unref()
    const deadline = performance.now() + startDeadlineMs
    while ((await readRecord(folder)) === undefined) {
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadline) {
        const words = (await readTail(path.join(folder, 'log'), 2000)).trim()
        throw new Error(`Cannot start ${program.command[0]}: ${words || 'it ended without a word'}`)
      }
      await sleep(pollMs)
    }
  } finally {
    await log.close()
  }
}

/** Whether the process of `folder` runs, and why it was stopped if Rehost stopped it. */
export async function processState(folder: string): Promise<ProcessState> {
  const record = await readRecord(folder)
  if (record !== undefined && (await runs(record))) return { pid: record.pid }
  const stopReason = await unlessMissing(readFile(path.join(folder, 'stopped'), 'utf8'))
  return stopReason === undefined ? {} : { stopReason: stopReason.trim() }
}

/**
 * Ends the process of `folder` in order, by force if it takes too long, and notes why. A no-op when it does not run.
 * @throws Error when it is alive after SIGKILL, as a process stuck in the kernel is.
 */
export async function stopProcess(folder: string, reason: string): Promise<void> {
  const record = await readRecord(folder)
  if (record === undefined || !(await runs(record))) return
  await writeWhole(path.join(folder, 'stopped'), `${reason}\n`)
  signal(record.pid, 'SIGTERM')
  if (!(await ended(record, graceMs))) {
    signal(record.pid, 'SIGKILL')
    if (!(await ended(record, killDeadlineMs))) {
      throw new Error(
        `Cannot end process ${record.pid} of ${folder}: it is alive ${killDeadlineMs} ms after SIGKILL`,
      )
    }
  }
  await rm(path.join(folder, 'pid'), { force: true })
}

/** Whether the process of `folder` has ended, or does so in the time given. */
export async function endsWithin(folder: string, withinMs: number): Promise<boolean> {
  const record = await readRecord(folder)
  return record === undefined || (await ended(record, withinMs))
}

/**
 * Ends every replication server and machine of the cloud in `dataDir`, for the supervisor when it ends. Disks stay, machines are
 * STOPPED from then on. Processes that could start new ones must have ended before.
 * @returns the identifiers of what was running.
 */
export async function stopEverything(dataDir: string): Promise<string[]> {
  const layout = layoutOf(path.resolve(dataDir))
  const running: { id: string; folder: string }[] = []
  for (const parent of [layout.replicationServers, layout.machines]) {
    for (const id of (await unlessMissing(readdir(parent))) ?? []) {
      const folder = path.join(parent, id)
      if ((await processState(folder)).pid !== undefined) running.push({ id, folder })
    }
  }
  await Promise.all(running.map(({ folder }) => stopProcess(folder, 'Rehost was stopped')))
  return running.map(({ id }) => id)
}

interface ProcessRecord {
  pid: number
  /** Clock ticks between boot and the start of the process. */
  startTicks: string
  bootId: string
}

async function readRecord(folder: string): Promise<ProcessRecord | undefined> {
  const text = await unlessMissing(readFile(path.join(folder, 'pid'), 'utf8'))
  const [bootId, stat] = text?.split('\n') ?? []
  const parsed = stat === undefined ? undefined : parseStat(stat)
  return bootId === undefined || parsed === undefined ? undefined : { ...parsed, bootId }
}

/** Reads a line of `/proc/PID/stat`. The name in it may hold spaces and parentheses, so fields are counted after the last one. */
export function parseStat(stat: string): { pid: number; startTicks: string; state: string } | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const pid = Number.parseInt(stat, 10)
  const [state] = fields
  const startTicks = fields[19]
  return Number.isNaN(pid) || state === undefined || startTicks === undefined
    ? undefined
    : { pid, startTicks, state }
}

async function runs(record: ProcessRecord): Promise<boolean> {
  if ((await readFile(bootIdFile, 'utf8')).trim() !== record.bootId) return false
  const stat = await readStat(record.pid)
  const now = stat === undefined ? undefined : parseStat(stat)
  // A zombie has ended; nobody has asked for its exit code yet.
  return now !== undefined && now.startTicks === record.startTicks && now.state !== 'Z' && now.state !== 'X'
}

async function readStat(pid: number): Promise<string | undefined> {
  try {
    return await readFile(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    // ESRCH: it ended between the opening and the reading.
    if (isSystemError(error, 'ENOENT') || isSystemError(error, 'ESRCH')) return undefined
    throw error
  }
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!isSystemError(error, 'ESRCH')) throw error
  }
}

async function ended(record: ProcessRecord, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs
  while (await runs(record)) {
    if (performance.now() > deadline) return false
    await sleep(pollMs)
  }
  return true
}
