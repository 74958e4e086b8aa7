/**
 * The end of a connection, however the other end behaves.
 * @module
 */
import type { Duplex } from 'node:stream'

/** How long the other end has to take in the last frame. */
const farewellMs = 2000

/** Ends `socket` after what was written; an other end that does not read, or goes on sending, keeps it no longer than {@link farewellMs}. */
export function bidFarewell(socket: Duplex): void {
  socket.end()
  // What still comes in is not looked at, but must be taken in for the stream to end.
  socket.resume()
  if (socket.closed) return
  const timer = setTimeout(() => socket.destroy(), farewellMs)
  socket.once('close', () => clearTimeout(timer))
}
