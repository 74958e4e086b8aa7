/**
 * Two callers of one store, in every order in which their reads and writes can fall.
 * @module
 */
import type { Store } from '../../../../store/store.ts'

/** What became of a caller: its answer, or what was thrown. */
export interface Ended {
  value?: unknown
  error?: unknown
}

interface Caller {
  /** Lets the read or write go that it waits with; undefined while it has none. */
  go: (() => void) | undefined
  ended: Ended | undefined
  /** Called when it waits again or has ended. */
  arrived: () => void
}

/** A store whose every call waits until `caller` is let go. */
function stepped(store: Store, caller: Caller): Store {
  return new Proxy(store, {
    get(target, name) {
      const own: unknown = Reflect.get(target, name)
      if (typeof own !== 'function') return own
      return async (...parameters: unknown[]): Promise<unknown> => {
        await new Promise<void>((resolve) => {
          caller.go = resolve
          caller.arrived()
        })
        return Reflect.apply(own, target, parameters)
      }
    },
  })
}

/**
 * Runs `one` and `other` in every order of their calls of the store; `begin` makes what each run begins with and `check` looks at what it came to. Answers
 * the number of orders.
 */
export async function everyOrder<T>(
  store: Store,
  run: {
    begin: () => Promise<T>
    one: (store: Store, scene: T) => Promise<unknown>
    other: (store: Store, scene: T) => Promise<unknown>
    check: (scene: T, one: Ended, other: Ended, order: string) => Promise<void>
  },
): Promise<number> {
  // Each order is a row of choices; those of the last run are changed from their end on, until none is left.
  let choices: number[] = []
  for (let orders = 1; ; orders++) {
    const scene = await run.begin()
    const made: number[] = []
    const open: boolean[] = []
    const callers = [run.one, run.other].map((work) => {
      const caller: Caller = { go: undefined, ended: undefined, arrived: () => undefined }
      return { caller, work }
    })
    for (const { caller, work } of callers)
      await arrival(caller, () => {
        work(stepped(store, caller), scene).then(
          (value) => endOf(caller, { value }),
          (error: unknown) => endOf(caller, { error }),
        )
      })
    for (;;) {
      const waiting = [0, 1].filter((index) => callers[index]?.caller.ended === undefined)
      if (waiting.length === 0) break
      const isFree = waiting.length === 2
      const next = isFree ? (choices[made.length] ?? 0) : (waiting[0] ?? 0)
      made.push(next)
      open.push(isFree && next === 0)
      const caller = callers[next]?.caller
      if (caller !== undefined)
        await arrival(caller, () => {
          const { go } = caller
          caller.go = undefined
          go?.()
        })
    }
    const [one = {}, other = {}] = callers.map(({ caller }) => caller.ended)
    await run.check(scene, one, other, made.join(''))
    const last = open.lastIndexOf(true)
    if (last === -1) return orders
    choices = [...made.slice(0, last), 1]
  }
}

function endOf(caller: Caller, ended: Ended): void {
  caller.ended = ended
  caller.arrived()
}

/** Does `begin`, and waits until the caller waits with its next call or has ended. */
function arrival(caller: Caller, begin: () => void): Promise<void> {
  return new Promise((resolve) => {
    caller.arrived = resolve
    begin()
  })
}
