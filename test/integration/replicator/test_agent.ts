/**
 * A small agent for tests: one connection, told frame by frame what to send.
 * @module
 */
import type { TLSSocket } from 'node:tls'
import { connect } from 'node:tls'
import { blockCountOf, blockSizeBytes, extentBytes, pieceSizeBytes } from '../../../domain/units.ts'
import { replicatorServerName } from '../../../wire/control_api.ts'
import { FrameDecoder, FrameEncoder, isUpTo } from '../../../wire/frame.ts'
import { blockHashes, RootHash } from '../../../wire/hash.ts'
import { encodings } from '../../../wire/message.ts'
import type { Hello, Message, MessageType, Welcome, WireErrorBody } from '../../../wire/message.ts'
import { tlsVersionOptions } from '../../../wire/tls.ts'
import { piecesHash } from '../../../wire/piece_list.ts'
import { protocolVersion } from '../../../wire/version.ts'
import type { TestCertificate } from '../../fixtures/test_ca.ts'

/** Where and as whom to connect. */
export interface TestAgentOptions {
  port: number
  caPem: string
  certificate?: TestCertificate
  tls?: object
}

/** One connection. */
export class TestAgent {
  readonly socket: TLSSocket
  readonly #decoder = new FrameDecoder()
  readonly #encoder = new FrameEncoder()
  readonly #received: Message[] = []
  #acked: number | undefined
  #isClosed = false
  #wake = Promise.withResolvers<void>()
  /** Why the socket failed, if it did. */
  failure: Error | undefined

  private constructor(socket: TLSSocket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      for (const { message } of this.#decoder.push(chunk)) {
        if (message.type === 'ACK') this.#acked = message.upToSequence
        else this.#received.push(structuredClone(message))
      }
      this.#changed()
    })
    socket.on('error', (error) => {
      this.failure = error
    })
    socket.on('close', () => {
      this.#isClosed = true
      this.#changed()
    })
  }

  /** Connects; the handshake may still be refused afterwards, as TLS 1.3 tells the client last. */
  static async connect(options: TestAgentOptions): Promise<TestAgent> {
    const socket = connect({
      host: '127.0.0.1',
      port: options.port,
      servername: replicatorServerName,
      ca: options.caPem,
      ...tlsVersionOptions,
      ...(options.certificate && { cert: options.certificate.certPem, key: options.certificate.keyPem }),
      ...options.tls,
    })
    const agent = new TestAgent(socket)
    await new Promise<void>((resolve) => {
      socket.once('secureConnect', resolve)
      socket.once('close', resolve)
    })
    return agent
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Everything received that is not an ACK and was not taken by {@link next}. */
  get received(): readonly Message[] {
    return this.#received
  }

  /** The last acknowledged sequence number. */
  get acked(): number | undefined {
    return this.#acked
  }

  send(message: Message): number {
    const frame = this.#encoder.encode(message)
    this.socket.write(frame.head)
    if (frame.payload.length > 0) this.socket.write(frame.payload)
    return frame.sequence
  }

  /** Waits for the next message of `type`. @throws Error when the connection closes first or an ERROR comes instead. */
  async next<T extends MessageType>(type: T): Promise<Extract<Message, { type: T }>> {
    return await this.#until(`${type} comes`, () => {
      const index = this.#received.findIndex((message) => message.type === type)
      if (index < 0) return undefined
      return this.#received.splice(index, 1)[0] as Extract<Message, { type: T }>
    })
  }

  /** Waits until `sequence` is acknowledged. */
  async ack(sequence: number): Promise<void> {
    await this.#until(`frame ${sequence} is acknowledged`, () => {
      return this.#acked !== undefined && isUpTo(sequence, this.#acked) ? true : undefined
    })
  }

  /** Waits for the end of the connection; the ERROR that told of it, if there was one. */
  async closed(): Promise<WireErrorBody | undefined> {
    while (!this.#isClosed) await this.#wake.promise
    const error = this.#received.find((message) => message.type === 'ERROR')
    return error?.type === 'ERROR' ? error.body : undefined
  }

  async hello(hello: Hello): Promise<Welcome> {
    this.send({ type: 'HELLO', body: hello })
    return (await this.next('WELCOME')).body
  }

  /** Blocks of `image` from `firstBlock`. */
  sendBlocks(diskIndex: number, image: Buffer, firstBlock: number, blockCount: number): number {
    return this.send(blocksOf(diskIndex, image, firstBlock, blockCount))
  }

  /** All blocks of `image`; answers the sequence of the last frame. */
  sendImage(diskIndex: number, image: Buffer): number {
    let last = 0
    for (const { firstBlock, blockCount } of extentsOf(image, 16))
      last = this.sendBlocks(diskIndex, image, firstBlock, blockCount)
    return last
  }

  destroy(): void {
    this.socket.destroy()
  }

  #changed(): void {
    const { resolve } = this.#wake
    this.#wake = Promise.withResolvers()
    resolve()
  }

  async #until<T>(what: string, look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      const error = this.#received.find((message) => message.type === 'ERROR')
      if (error?.type === 'ERROR') throw new Error(`${error.body.code} before ${what}: ${error.body.message}`)
      if (this.#isClosed) throw new Error(`Closed before ${what}`, { cause: this.failure })
      await this.#wake.promise
    }
  }
}

/** A BLOCKS message of an extent of `image`, its payload a view. */
export function blocksOf(
  diskIndex: number,
  image: Buffer,
  firstBlock: number,
  blockCount: number,
): Extract<Message, { type: 'BLOCKS' }> {
  const { offsetBytes, lengthBytes } = extentBytes({ firstBlock, blockCount }, image.length)
  const payload = image.subarray(offsetBytes, offsetBytes + lengthBytes)
  return {
    type: 'BLOCKS',
    diskIndex,
    firstBlock,
    blockCount: Math.ceil(lengthBytes / blockSizeBytes),
    rawBytes: lengthBytes,
    encoding: encodings.RAW,
    hashes: blockHashes(payload),
    payload,
  }
}

/** A PIECES message of ascending pieces of `image`. */
export function piecesOf(
  diskIndex: number,
  image: Buffer,
  pieces: readonly number[],
): Extract<Message, { type: 'PIECES' }> {
  const payload = Buffer.concat(
    pieces.map((piece) => image.subarray(piece * pieceSizeBytes, (piece + 1) * pieceSizeBytes)),
  )
  const hash = piecesHash(pieces, payload)
  return {
    type: 'PIECES',
    diskIndex,
    pieces,
    rawBytes: payload.length,
    encoding: encodings.RAW,
    hash,
    payload,
  }
}

/** The root that the agent's own end computes. */
export function rootOf(image: Buffer): string {
  const root = new RootHash()
  root.update(blockHashes(image))
  return root.digest()
}

/** Extents of up to `blocks` blocks that cover an image. */
export function extentsOf(image: Buffer, blocks: number): { firstBlock: number; blockCount: number }[] {
  const count = blockCountOf(image.length)
  return Array.from({ length: Math.ceil(count / blocks) }, (_, index) => ({
    firstBlock: index * blocks,
    blockCount: Math.min(blocks, count - index * blocks),
  }))
}

/** A HELLO of one disk, and whatever is to be different. */
export function helloOf(sizeBytes: number, changes: Partial<Hello> = {}): Hello {
  return {
    protocolVersion,
    sourceServerId: 's-1',
    replicationServerId: 'i-1',
    generation: 1,
    connectionIndex: 0,
    agentVersion: 'test',
    blockSizeBytes,
    disks: [{ diskIndex: 0, volumeId: 'vol-0', sizeBytes }],
    ...changes,
  }
}
