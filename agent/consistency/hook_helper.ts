/**
 * Runs the operator's hooks through a helper process that was started before the first of them and that runs the post-thaw hooks by itself: when the
 * agent says so, when the agent dies (its input closes), and when the time is up. Should the helper be killed, the agent starts another for them.
 * @module
 */
import type { HookSet } from './hooks.ts'
import type { Helper } from './helper_process.ts'
import { errorMessage } from '../../domain/errors.ts'
import { Lines, startScript } from './helper_process.ts'

/**
 * Arguments: seconds that all may take until the post-thaw hooks begin, seconds for each hook, the number of pre-freeze hooks, those, then the
 * post-thaw hooks. Waits for a line; `pre` runs the former and says READY or FAILED, and then waits. The latter run at the end, whatever was before.
 */
const hookScript = `
limit=$1; each=$2; count=$3; shift 3
trap '' HUP INT TERM PIPE
begin=$(date +%s)
left() { echo $((begin + limit - $(date +%s))); }
read -r word || exit 0
if [ "$word" = pre ]; then
  position=0; failure=''
  for hook in "$@"; do
    position=$((position + 1))
    [ "$position" -le "$count" ] || break
    seconds=$(left)
    if [ "$seconds" -le 0 ]; then failure="$hook: no time was left for it"; break; fi
    [ "$seconds" -le "$each" ] || seconds=$each
    REHOST_PHASE=pre-freeze timeout -k 1 "$seconds" "$hook" </dev/null >/dev/null 2>&1
    status=$?
    [ "$status" -eq 0 ] && continue
    case $status in
      124|137) failure="$hook: it did not end within $seconds s" ;;
      *) failure="$hook: it ended with status $status" ;;
    esac
    break
  done
  if [ -n "$failure" ]; then echo "FAILED $failure"; else echo READY; fi
  seconds=$(left)
  if [ "$seconds" -gt 0 ]; then timeout "$seconds" cat >/dev/null; else false; fi
  late=$?
else
  late=0
fi
position=0; bad=''
for hook in "$@"; do
  position=$((position + 1))
  [ "$position" -gt "$count" ] || continue
  REHOST_PHASE=post-thaw timeout -k 1 "$each" "$hook" </dev/null >/dev/null 2>&1 || bad="$bad $hook"
done
if [ "$late" -eq 0 ]; then echo "DONE$bad"; else echo "LATE$bad"; fi
`

/** How long beyond its own bounds the helper is waited for. */
const answerExtraMs = 5000

/** Stands for an answer that does not come. */
const noAnswer = Symbol('no answer')

/** Bounds of the hooks around one freeze. */
export interface HookBounds {
  /** Each hook. */
  timeoutSeconds: number
  /** From the first pre-freeze hook until the post-thaw hooks begin. */
  holdSeconds: number
}

/** How the hooks of a freeze ended. */
export interface HookEnd {
  /** The post-thaw hooks began because the time was up: applications went on before the freeze was over. */
  isLate: boolean
  /** Post-thaw hooks that failed, in a sentence. */
  failure?: string
}

/** The hooks around one freeze. Call {@link HookHelper.quiesce}, then {@link HookHelper.release} whatever happened. */
export class HookHelper {
  readonly #hooks: HookSet
  readonly #bounds: HookBounds
  readonly #environment: Record<string, string>
  #helper: Helper
  #lines: Lines

  private constructor(
    helper: Helper,
    hooks: HookSet,
    bounds: HookBounds,
    environment: Record<string, string>,
  ) {
    this.#helper = helper
    this.#lines = new Lines(helper.stdout)
    this.#hooks = hooks
    this.#bounds = bounds
    this.#environment = environment
  }

  /**
   * Starts the helper; no hook runs yet.
   * @param consistencyPointId told to the hooks as `REHOST_CONSISTENCY_POINT`.
   * @throws Error when it can't be started.
   */
  static async start(hooks: HookSet, bounds: HookBounds, consistencyPointId: string): Promise<HookHelper> {
    const environment = { REHOST_CONSISTENCY_POINT: consistencyPointId }
    const helper = await startHelper(hooks, bounds, environment)
    return new HookHelper(helper, hooks, bounds, environment)
  }

  /** Process id, for tests and logs. */
  get processId(): number | undefined {
    return this.#helper.pid
  }

  /** Runs the pre-freeze hooks; answers what failed, in a sentence, or undefined when applications are quiet. */
  async quiesce(): Promise<string | undefined> {
    this.#helper.stdin.write('pre\n')
    const answer = await this.#answer(this.#bounds.holdSeconds)
    if (answer === 'READY') return undefined
    if (typeof answer === 'string' && answer.startsWith('FAILED '))
      return `Hook ${answer.slice('FAILED '.length)}`
    return 'What runs the hooks ended or did not answer'
  }

  /** Runs the post-thaw hooks, and waits for their end; also when the helper was killed. Never rejects: what was read under the freeze hangs on it. */
  async release(): Promise<HookEnd> {
    this.#helper.stdin.end()
    const seconds = this.#hooks.postThaw.length * (this.#bounds.timeoutSeconds + 1)
    let answer = await this.#answer(seconds)
    if (answer === noAnswer) return { isLate: true, failure: 'The post-thaw hooks have not ended' }
    if (answer === undefined) answer = await this.#releaseAnew(seconds)
    const bad = answer?.slice('DONE'.length).trim() ?? 'of which nothing was heard'
    return {
      isLate: answer?.startsWith('DONE') !== true,
      ...(bad === '' ? {} : { failure: `Post-thaw hooks failed: ${bad}` }),
    }
  }

  /** The helper was killed: another one runs the post-thaw hooks. */
  async #releaseAnew(seconds: number): Promise<string | undefined> {
    try {
      this.#helper = await startHelper(this.#hooks, this.#bounds, this.#environment)
    } catch (error) {
      return `LATE ${this.#hooks.postThaw.join(' ')} (${errorMessage(error)})`
    }
    this.#lines = new Lines(this.#helper.stdout)
    this.#helper.stdin.end('post\n')
    const answer = await this.#answer(seconds)
    return typeof answer === 'string' ? answer.replace('DONE', 'LATE') : undefined
  }

  /** The next line, undefined at the helper's end, {@link noAnswer} when it takes longer than `seconds` and a little. */
  async #answer(seconds: number): Promise<string | undefined | typeof noAnswer> {
    const late = Promise.withResolvers<typeof noAnswer>()
    const timer = setTimeout(() => late.resolve(noAnswer), seconds * 1000 + answerExtraMs)
    try {
      return await Promise.race([this.#lines.next(), late.promise])
    } finally {
      clearTimeout(timer)
    }
  }
}

function startHelper(
  hooks: HookSet,
  { holdSeconds, timeoutSeconds }: HookBounds,
  environment: Record<string, string>,
): Promise<Helper> {
  const args = [holdSeconds, timeoutSeconds, hooks.preFreeze.length].map(String)
  return startScript(
    hookScript,
    [...args, ...hooks.preFreeze, ...hooks.postThaw],
    'rehost-hooks',
    environment,
  )
}
