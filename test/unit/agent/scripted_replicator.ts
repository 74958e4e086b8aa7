/**
 * A far end that does what a test says: shakes hands, then reads when it is told to and answers what it is told to.
 * @module
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import { createServer } from 'node:tls'
import type { Frame } from '../../../wire/frame.ts'
import { FrameDecoder, FrameEncoder } from '../../../wire/frame.ts'
import type { Message } from '../../../wire/message.ts'
import { agentUri, replicatorServerName, replicatorUri } from '../../../wire/control_api.ts'
import { tlsVersionOptions } from '../../../wire/tls.ts'
import { protocolVersion } from '../../../wire/version.ts'
import type { ConnectInput } from '../../../agent/sync/connect.ts'
import { fixedConnections } from '../../fixtures/connection_plans.ts'
import { systemClock } from '../../../agent/clock.ts'
import { blockSizeBytes } from '../../../domain/units.ts'
import { makeTestCa } from '../../fixtures/test_ca.ts'

/** One replicator for one connection. */
export class ScriptedReplicator {
  readonly windowBytes: number
  /** Called with everything after HELLO; payloads are valid only during the call. */
  onMessage: (frame: Frame) => void = () => undefined
  #server: Server | undefined
  #socket: TLSSocket | undefined
  readonly #encoder = new FrameEncoder()

  constructor(options: { windowBytes?: number } = {}) {
    this.windowBytes = options.windowBytes ?? 16 * 2 ** 20
  }

  /** Listens; answers what an agent connects with. */
  async start(): Promise<ConnectInput> {
    const ca = await makeTestCa()
    const own = await ca.issue({ uri: replicatorUri('i-1'), dns: [replicatorServerName] })
    const agent = await ca.issue({ uri: agentUri('s-1') })
    const server = createServer({ ...tlsVersionOptions, cert: own.certPem, key: own.keyPem })
    server.on('secureConnection', (socket) => this.#accept(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    this.#server = server
    const { port } = server.address() as AddressInfo
    return {
      target: () => ({
        replicationServerId: 'i-1',
        address: '127.0.0.1',
        port,
        caPem: ca.caPem,
        certificatePem: agent.certPem,
        keyPem: agent.keyPem,
      }),
      hello: {
        protocolVersion,
        sourceServerId: 's-1',
        replicationServerId: 'i-1',
        generation: 1,
        agentVersion: '0.0.0-test',
        blockSizeBytes,
        disks: [{ diskIndex: 0, volumeId: 'vol-0', sizeBytes: 2 ** 40 }],
      },
      plan: fixedConnections(1),
      clock: systemClock,
      signal: new AbortController().signal,
    }
  }

  /** Stops taking bytes off the network. */
  pause(): void {
    this.#socket?.pause()
  }

  /** Takes them again. */
  resume(): void {
    this.#socket?.resume()
  }

  /** Says something to the agent. */
  send(message: Message): void {
    this.#socket?.write(this.#encoder.encode(message).head)
  }

  /** Closes the connection. */
  hangUp(): void {
    this.#socket?.destroy()
  }

  stop(): void {
    this.#socket?.destroy()
    this.#server?.close()
  }

  #accept(socket: TLSSocket): void {
    this.#socket = socket
    const decoder = new FrameDecoder()
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) {
        if (frame.message.type !== 'HELLO') {
          this.onMessage(frame)
          continue
        }
        const disks = [{ diskIndex: 0, contents: 'EMPTY' as const, copyId: 'copy-1' }]
        const body = { protocolVersion, windowBytes: this.windowBytes, disks }
        this.send({ type: 'WELCOME', body })
      }
    })
  }
}
