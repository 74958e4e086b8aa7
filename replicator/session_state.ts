/**
 * The states of a connection and what may come in each.
 * @module
 */
import type { MessageType } from '../wire/message.ts'
import { WireError } from '../wire/wire_error.ts'

/** See the drawing in `session.ts`. */
export type SessionState = 'WAITING' | 'OPEN' | 'LEAVING' | 'CLOSED'

/** Frames that are expected in a state; what the table lacks is refused. */
const expected: Readonly<Record<SessionState, readonly MessageType[]>> = {
  WAITING: ['HELLO', 'ERROR'],
  OPEN: [
    'BLOCKS',
    'PIECES',
    'ZEROS',
    'HASHES',
    'VERIFY',
    'PREPARE',
    'BARRIER',
    'STATUS',
    'PING',
    'GOODBYE',
    'ERROR',
  ],
  LEAVING: [],
  CLOSED: [],
}

/** @throws WireError BAD_FRAME when no frame of this type is expected. */
export function requireExpected(state: SessionState, type: MessageType): void {
  if (expected[state].includes(type)) return
  throw new WireError('BAD_FRAME', `Cannot handle ${type} now`, {
    expected: expected[state].join(', ') || 'nothing',
    actual: type,
  })
}
