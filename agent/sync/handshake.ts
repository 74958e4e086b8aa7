/**
 * The first exchange on a fresh connection: HELLO, and WELCOME or why not.
 * @module
 */
import type { Duplex } from 'node:stream'
import type { Hello, Message, Welcome } from '../../wire/message.ts'
import { FrameDecoder, FrameEncoder, WireError } from '../../wire/frame.ts'
import { LinkError } from './link_error.ts'

/** How long the far end may take to answer HELLO. */
const welcomeTimeoutMs = 15_000

/** The first message on a fresh connection. Nothing follows WELCOME unasked, and what follows an ERROR does not matter. */
function firstMessage(socket: Duplex, decoder: FrameDecoder): Promise<Message> {
  return new Promise((resolve, reject) => {
    const finish = (then: () => void) => {
      clearTimeout(timer)
      socket.removeListener('data', onData)
      socket.removeListener('close', onClose)
      then()
    }
    let cause: Error | undefined
    const fail = (reason: string) =>
      finish(() => reject(new LinkError(reason, cause === undefined ? {} : { cause })))
    const timer = setTimeout(
      () => fail(`The replication server did not answer HELLO within ${welcomeTimeoutMs / 1000} s`),
      welcomeTimeoutMs,
    )
    const onClose = () => fail('The replication server closed the connection after HELLO')
    const onData = (chunk: Buffer) => {
      try {
        for (const { message } of decoder.push(chunk)) {
          finish(() => resolve(message))
          return
        }
      } catch (error) {
        finish(() => reject(error instanceof Error ? error : new Error(String(error))))
      }
    }
    // Every error is followed by a close, which tells it.
    socket.on('error', (error) => {
      cause = error
    })
    socket.on('data', onData)
    socket.on('close', onClose)
  })
}

/** What the first exchange leaves: both directions' state, and what the replicator said. */
export interface Greeting {
  encoder: FrameEncoder
  decoder: FrameDecoder
  welcome: Welcome
}

/**
 * Says HELLO and waits for WELCOME. The socket is destroyed when it throws.
 * @throws WireError as the replicator told it, or when its answer is no WELCOME; Error when the connection breaks.
 */
export async function greet(socket: Duplex, hello: Hello): Promise<Greeting> {
  const encoder = new FrameEncoder()
  const decoder = new FrameDecoder()
  try {
    const first = firstMessage(socket, decoder)
    socket.write(encoder.encode({ type: 'HELLO', body: hello }).head)
    const message = await first
    if (message.type === 'ERROR') throw WireError.fromBody(message.body)
    if (message.type === 'WELCOME') return { encoder, decoder, welcome: message.body }
    throw new WireError('BAD_FRAME', `Cannot accept ${message.type} as the answer to HELLO`, {
      expected: 'WELCOME',
    })
  } catch (error) {
    socket.destroy()
    throw error
  }
}
