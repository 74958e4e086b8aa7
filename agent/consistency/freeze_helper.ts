/**
 * Freezes file systems through helper processes that were started before anything is frozen and that thaw by themselves: when the agent says so, when
 * the agent dies (their input closes), and when their time is up. A second helper, the guard, thaws should the first be killed.
 *
 * The scripts are for any POSIX shell. They ignore the signals that stop a service, write no file, and are not in the agent's process group.
 * @module
 */
import type { Helper } from './helper_process.ts'
import { Lines, startScript } from './helper_process.ts'

const processName = 'rehost-freeze'

/**
 * Arguments: seconds, number of mount points, the mount points in the order of freezing, then the same in the order of thawing. Waits for a line,
 * freezes, says FROZEN, and thaws when its input ends or the time is up. A file system that someone else has frozen is left to them.
 */
const freezeScript = `
limit=$1; count=$2; shift 2
trap '' HUP INT TERM PIPE
thaw() {
  position=0; bad=''
  for mount in "$@"; do
    position=$((position + 1))
    [ "$position" -gt "$count" ] || continue
    [ $((2 * count - position + 1)) -le "$frozen" ] || continue
    fsfreeze -u "$mount" 2>/dev/null || bad="$bad $mount"
  done
}
frozen=0; failure=''
read -r word || exit 0
for mount in "$@"; do
  [ "$frozen" -lt "$count" ] || break
  if message=$(fsfreeze -f "$mount" 2>&1); then
    frozen=$((frozen + 1))
  else
    failure="$mount: $message"
    break
  fi
done
if [ -n "$failure" ]; then
  thaw "$@"
  echo "FAILED $failure"
  exit 0
fi
echo FROZEN
timeout "$limit" cat >/dev/null
status=$?
thaw "$@"
if [ -n "$bad" ]; then echo "STUCK$bad"; elif [ "$status" -ne 0 ]; then echo EXPIRED; else echo THAWED; fi
`

/**
 * Arguments: seconds, the mount points in the order of thawing. Does nothing if it is told that all is well, else thaws everything, at once:
 * a file system whose freeze hangs in the kernel lets its thaw wait too, and must not keep the others frozen.
 */
const guardScript = `
limit=$1; shift
trap '' HUP INT TERM PIPE
read -r word || exit 0
word=$(timeout "$limit" head -n 1)
[ "$word" != done ] || exit 0
for mount in "$@"; do fsfreeze -u "$mount" 2>/dev/null & done
wait
`

/** How much longer than the helper the guard waits, and both longer than the agent means to freeze. */
const helperExtraSeconds = 1
const guardExtraSeconds = 2

/** How much longer than the guard an answer is waited for: what then still hangs in the kernel does so alone. */
const answerExtraSeconds = 1

/** Stands for an answer that does not come. */
const noAnswer = Symbol('no answer')

/** How a freeze ended. */
export type ThawResult =
  | { isGood: true }
  /** It was not frozen all the time, or could not be thawed; what was read meanwhile is no consistent copy. */
  | { isGood: false; reason: string }

/** One freeze of several file systems. */
export class FreezeHelper {
  readonly #main: Helper
  readonly #guard: Helper
  readonly #lines: Lines
  readonly #maxFreezeMs: number

  private constructor(main: Helper, guard: Helper, maxFreezeMs: number) {
    this.#main = main
    this.#guard = guard
    this.#lines = new Lines(main.stdout)
    this.#maxFreezeMs = maxFreezeMs
  }

  /**
   * Starts the helpers; nothing is frozen yet.
   *
   * @param mountPoints in the order of freezing.
   * @param maxFreezeMs how long the agent means to freeze; the helpers thaw by themselves soon after.
   * @throws Error when a helper can't be started.
   */
  static async start(mountPoints: readonly string[], maxFreezeMs: number): Promise<FreezeHelper> {
    const seconds = Math.ceil(maxFreezeMs / 1000)
    const thawOrder = mountPoints.toReversed()
    const own = [
      String(seconds + helperExtraSeconds),
      String(mountPoints.length),
      ...mountPoints,
      ...thawOrder,
    ]
    const guard = await startScript(
      guardScript,
      [String(seconds + guardExtraSeconds), ...thawOrder],
      processName,
    )
    try {
      return new FreezeHelper(await startScript(freezeScript, own, processName), guard, maxFreezeMs)
    } catch (error) {
      guard.stdin.end()
      throw error
    }
  }

  /** Process ids, for a log. */
  get processIds(): number[] {
    return [this.#main.pid, this.#guard.pid].filter((pid) => pid !== undefined)
  }

  /**
   * Freezes everything.
   * @throws Error when a file system cannot be frozen, or not in time; everything is thawed then.
   */
  async freeze(): Promise<void> {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      // A helper still busy with freezing sees the end of its input when it is done, and thaws at once.
      this.#main.stdin.end()
    }, this.#maxFreezeMs)
    this.#guard.stdin.write('go\n')
    this.#main.stdin.write('go\n')
    const answer = await this.#answer()
    clearTimeout(timer)
    if (answer === 'FROZEN' && !isLate) return
    if (answer === 'FROZEN') {
      await this.thaw()
      throw new Error(
        `Cannot freeze the file systems within ${this.#maxFreezeMs} ms: they have too much to write out`,
      )
    }
    this.#endGuard(answer !== undefined && answer !== noAnswer)
    this.#main.stdin.end()
    if (answer === noAnswer)
      throw new Error('Cannot freeze the file systems: one hangs in the kernel, and the others were thawed')
    throw new Error(
      `Cannot freeze ${answer?.replace(/^FAILED /, '') ?? 'file systems: the helper process ended'}`,
    )
  }

  /** Thaws everything, whatever happened; says whether it had stayed frozen until now. */
  async thaw(): Promise<ThawResult> {
    this.#main.stdin.end()
    const answer = await this.#answer()
    this.#endGuard(answer === 'THAWED' || answer === 'EXPIRED')
    if (answer === 'THAWED') return { isGood: true }
    if (answer === 'EXPIRED')
      return { isGood: false, reason: 'it took too long and the file systems were thawed' }
    if (typeof answer === 'string' && answer.startsWith('STUCK')) {
      return { isGood: false, reason: `cannot thaw${answer.slice(5)}; run fsfreeze -u on it` }
    }
    if (answer === noAnswer)
      return { isGood: false, reason: 'one file system hangs in the kernel, and the others were thawed' }
    return { isGood: false, reason: 'the helper process ended early and the file systems were thawed' }
  }

  /** What the helper says next, undefined at its end, {@link noAnswer} when even the guard should have thawed by now. */
  async #answer(): Promise<string | undefined | typeof noAnswer> {
    const waitMs = this.#maxFreezeMs + (1 + guardExtraSeconds + answerExtraSeconds) * 1000
    const late = Promise.withResolvers<typeof noAnswer>()
    const timer = setTimeout(() => late.resolve(noAnswer), waitMs)
    try {
      return await Promise.race([this.#lines.next(), late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends helpers that were never told to freeze. */
  cancel(): void {
    this.#main.stdin.end()
    this.#guard.stdin.end()
  }

  /** The guard goes away quietly if all is well, else it thaws once more. */
  #endGuard(isWell: boolean): void {
    this.#guard.stdin.end(isWell ? 'done\n' : '')
  }
}
