/**
 * Processes that outlive whoever started them. Each has a folder with a `pid` file that it writes itself before it becomes the
 * program, so there is never a running program without one; start time and boot are in it, so a reused pid is never mistaken.
 * @module
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isSystemError, readTail, unlessMissing, writeWhole } from './files.ts'
import type { Tools } from './tools.ts'

const pollMs = 20
const startDeadlineMs = 10_000
const killDeadlineMs = 10_000
/** How long a program may take to end in order before it is killed. */
const graceMs = 8000
const bootIdFile = '/proc/sys/kernel/random/boot_id'

/**
 * Only words of the shell itself, so that nothing but `sh` is needed; `umask` keeps what the program writes private. It becomes the program
 * when its caller, who has seen the pid, says so: one that was too slow, and whose caller has died, must not become a second program, nor
 * one whose pid a later caller has removed. With `-C` it ends where there is a pid already.
 */
const becomeProgram = `umask 077
set -C
read -r boot < ${bootIdFile} && read -r stat < /proc/$$/stat && printf '%s\\n%s\\n' "$boot" "$stat" > pid && read -r go && exec "$@" < /dev/null`

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
 * @throws Error with the end of its log when it ended before it became the program, or did not become it in time: nothing runs then.
 */
export async function startDetached(
  program: DetachedProgram,
  tools: Tools,
  withinMs = startDeadlineMs,
): Promise<void> {
  const { folder } = program
  await rm(path.join(folder, 'pid'), { force: true })
  await rm(path.join(folder, 'stopped'), { force: true })
  const shell = await tools.find('sh')
  const log = await open(path.join(folder, 'log'), 'a', 0o600)
  try {
    const child = spawn(shell, ['-c', becomeProgram, 'sh', ...program.command], {
      cwd: folder,
      detached: true,
      stdio: ['pipe', log.fd, log.fd],
      env: { ...program.environment },
    })
    await once(child, 'spawn')
    child.unref()
    const trouble = (await startTrouble(child, folder, withinMs)) ?? (await sayGo(child))
    if (trouble === undefined) return
    await endStarter(child)
    const words = (await readTail(path.join(folder, 'log'), 2000)).trim()
    throw new Error(`Cannot start ${program.command[0]}: ${trouble}${words === '' ? '' : `: ${words}`}`)
  } finally {
    await log.close()
  }
}

/** Lets a starter whose pid is known become the program. Returns undefined then, or what came in between. */
function sayGo({ stdin }: ChildProcess): Promise<string | undefined> {
  if (stdin === null) return Promise.resolve('it has no standard input')
  return new Promise((resolve) => {
    const told = (error?: Error | null) =>
      resolve(error == null ? undefined : `it ended too early (${error.message})`)
    // Which of the two hears of a starter that is gone depends on when it went.
    stdin.once('error', told)
    stdin.end('go\n', told)
  })
}

/** Waits until the pid of `child` is known. Returns undefined then, or what came in between. */
async function startTrouble(
  child: ChildProcess,
  folder: string,
  withinMs: number,
): Promise<string | undefined> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const record = await readRecord(folder)
    if (record?.pid === child.pid) return undefined
    if (record !== undefined) {
      // It has settings of its own, such as ports, which are not those that are known by now.
      await end(record, folder)
      return 'one of an earlier start came first and was ended'
    }
    if (child.exitCode !== null || child.signalCode !== null) return 'it ended too early'
    if (performance.now() > deadline) return `it was not under way in ${withinMs / 1000} s`
    await sleep(pollMs)
  }
}

/** Ends a starter for good, which otherwise may become a program that nobody knows of. */
async function endStarter(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.ref()
  const exit = once(child, 'exit', { signal: AbortSignal.timeout(killDeadlineMs) })
  signal(-child.pid, 'SIGKILL')
  await exit
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
  await end(record, folder)
  await rm(path.join(folder, 'pid'), { force: true })
}

async function end(record: ProcessRecord, folder: string): Promise<void> {
  signal(record.pid, 'SIGTERM')
  if (await ended(record, graceMs)) return
  signal(record.pid, 'SIGKILL')
  if (await ended(record, killDeadlineMs)) return
  throw new Error(
    `Cannot end process ${record.pid} of ${folder}: it is alive ${killDeadlineMs} ms after SIGKILL`,
  )
}

/** Whether the process of `folder` has ended, or does so in the time given. */
export async function endsWithin(folder: string, withinMs: number): Promise<boolean> {
  const record = await readRecord(folder)
  return record === undefined || (await ended(record, withinMs))
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
export function parseStat(
  stat: string,
): { pid: number; startTicks: string; state: string; threadCount: number } | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const pid = Number.parseInt(stat, 10)
  const [state] = fields
  const threadCount = Number(fields[17])
  const startTicks = fields[19]
  return Number.isNaN(pid) || state === undefined || startTicks === undefined
    ? undefined
    : { pid, startTicks, state, threadCount }
}

async function runs(record: ProcessRecord): Promise<boolean> {
  if ((await readFile(bootIdFile, 'utf8')).trim() !== record.bootId) return false
  const stat = await readStat(record.pid)
  const now = stat === undefined ? undefined : parseStat(stat)
  if (now === undefined || now.startTicks !== record.startTicks) return false
  // A zombie has ended; nobody has asked for its exit code yet. While other threads of it are ending its files are still open.
  const isZombie = now.state === 'Z' || now.state === 'X'
  return !isZombie || now.threadCount > 1
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
