/**
 * A state machine is a table from state and event to the next state; what the table lacks is refused.
 * @module
 */

/** For every state, the events it accepts and where each leads. */
export type TransitionTable<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, State>>>>
>

/** The answer of a state machine: the next state, or why there is none. */
export type Transition<State extends string, Event extends string> =
  { ok: true; to: State } | { ok: false; from: State; event: Event; reason: string }

/** Looks `event` up in `table`. Pure; `reason` is a sentence for the operator naming state and event. */
export function advance<State extends string, Event extends string>(
  table: TransitionTable<State, Event>,
  from: State,
  event: Event,
): Transition<State, Event> {
  const to = table[from][event]
  if (to !== undefined) return { ok: true, to }
  const accepted = Object.keys(table[from])
  const possible =
    accepted.length === 0 ? 'nothing is possible from here' : `possible now: ${accepted.join(', ')}`
  return { ok: false, from, event, reason: `Cannot ${event} while ${from}; ${possible}` }
}
