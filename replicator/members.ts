/**
 * The connections of one source server, and which of them gives way to which.
 *
 * | a HELLO comes with | ended are |
 * | --- | --- |
 * | a higher generation | all connections of the older run |
 * | the same generation, connection 0 | all of that run: a session begins with connection 0 |
 * | the same generation, another number | the one with that number |
 *
 * What an ended connection still has in its buffers is never applied, so that it can't land on something newer.
 * @module
 */
import type { Hello } from '../wire/message.ts'
import { WireError } from '../wire/wire_error.ts'

/** A connection, as its server sees it. */
export interface ServerSession {
  /** Serial of the certificate it came with. */
  readonly serial: string
  /** Says why and closes. What is under way ends by itself. */
  end(error: WireError): void
}

interface Member {
  session: ServerSession
  generation: number
  connectionIndex: number
}

/** @throws WireError STALE_GENERATION when a run after that of `hello` was admitted before: `generation` is the highest there was. */
export function requireCurrent(hello: Hello, generation: number): void {
  if (hello.generation >= generation) return
  throw new WireError(
    'STALE_GENERATION',
    'Cannot serve an older run of the agent: a newer one has connected. If only one is running, restart it ' +
      '(systemctl restart rehost-agent)',
    { expected: `at least ${generation}`, actual: hello.generation },
  )
}

/** Why `member` gives way to a connection that says `hello`; undefined when both may stay. */
function reasonToGiveWay(member: Member, hello: Hello): WireError | undefined {
  if (member.generation < hello.generation) {
    return new WireError(
      'STALE_GENERATION',
      'Cannot go on serving this run of the agent: a newer one has connected',
      { expected: hello.generation, actual: member.generation },
    )
  }
  if (hello.connectionIndex === 0) {
    return new WireError(
      'STALE_GENERATION',
      'Cannot keep the connection: the agent has begun a new session',
      {
        retryable: true,
      },
    )
  }
  if (member.connectionIndex !== hello.connectionIndex) return undefined
  return new WireError(
    'STALE_GENERATION',
    `Cannot keep connection ${hello.connectionIndex}: it was opened anew`,
    { retryable: true },
  )
}

/** Those that were admitted and not ended. */
export class Members {
  readonly #members = new Set<Member>()

  get size(): number {
    return this.#members.size
  }

  /** Ends those that a connection with this HELLO takes over from. */
  giveWay(hello: Hello): void {
    for (const member of this.#members) {
      const reason = reasonToGiveWay(member, hello)
      if (reason === undefined) continue
      this.#members.delete(member)
      member.session.end(reason)
    }
  }

  add(session: ServerSession, { generation, connectionIndex }: Hello): void {
    this.#members.add({ session, generation, connectionIndex })
  }

  remove(session: ServerSession): void {
    for (const member of this.#members) if (member.session === session) this.#members.delete(member)
  }

  /** Ends those for which there is a reason. */
  end(reasonFor: (session: ServerSession) => WireError | undefined): void {
    for (const member of this.#members) {
      const reason = reasonFor(member.session)
      if (reason === undefined) continue
      this.#members.delete(member)
      member.session.end(reason)
    }
  }
}
