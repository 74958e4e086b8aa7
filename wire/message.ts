/**
 * The messages of the replication port: what agent and replicator say to each other. Their bytes are in `frame.ts`, their order and
 * meaning in `docs/protocol.md`.
 *
 * | from agent | answer of the replicator |
 * | --- | --- |
 * | HELLO | WELCOME, or ERROR and close |
 * | BLOCKS, PIECES, ZEROS | ACK once everything up to a sequence number is durable |
 * | HASHES | DIFFERENCES |
 * | VERIFY | VERIFIED |
 * | PREPARE | TO_READ |
 * | BARRIER | BARRIER_REACHED, or TO_READ |
 * | STATUS | nothing, or DAMAGED |
 * | PING | PONG |
 * | GOODBYE | closes when all is durable |
 * @module
 */
import * as z from 'zod'
import { dataReplicationStates } from '../domain/replication.ts'

/** Bytes of a block hash: BLAKE3, 256 bits. */
export const hashBytes = 32

/** One number per message type: the first byte of a frame. Never reused. */
export const messageTypes = {
  HELLO: 1,
  WELCOME: 2,
  BLOCKS: 3,
  ZEROS: 4,
  ACK: 5,
  HASHES: 6,
  DIFFERENCES: 7,
  BARRIER: 8,
  BARRIER_REACHED: 9,
  STATUS: 10,
  PING: 11,
  PONG: 12,
  ERROR: 13,
  GOODBYE: 14,
  PIECES: 15,
  VERIFY: 16,
  VERIFIED: 17,
  DAMAGED: 18,
  PREPARE: 19,
  TO_READ: 20,
} as const

/** The encodings of a payload. */
export const encodings = { RAW: 0, ZSTD: 1 } as const
export type Encoding = (typeof encodings)[keyof typeof encodings]

const diskIndex = z.int().min(0).max(59)
const identifier = z.string().min(3).max(64)

/** First message on every connection. */
export const helloSchema = z.strictObject({
  protocolVersion: z.int(),
  sourceServerId: identifier,
  replicationServerId: identifier,
  /** Given by the gateway at each start of the agent; a higher one fences the older. */
  generation: z.int().min(1),
  /** Which of the agent's connections this is, from 0. */
  connectionIndex: z.int().min(0).max(4),
  agentVersion: z.string().max(64),
  blockSizeBytes: z.int(),
  disks: z
    .array(z.strictObject({ diskIndex, volumeId: identifier, sizeBytes: z.int().min(512) }))
    .min(1)
    .max(60),
})
export type Hello = z.infer<typeof helloSchema>

/** The replicator's answer: what it has, and how much it takes. */
export const welcomeSchema = z.strictObject({
  protocolVersion: z.int(),
  /** Unacknowledged payload the agent may have on this connection. */
  windowBytes: z.int().min(1),
  disks: z.array(
    z.strictObject({
      diskIndex,
      /** EMPTY: never written, all zero, so nothing need be compared. PARTIAL: compare hashes where certainty is lost. */
      contents: z.enum(['EMPTY', 'PARTIAL']),
      /** Names these contents: another one means that nothing of what was acknowledged before is there. */
      copyId: identifier,
    }),
  ),
})
export type Welcome = z.infer<typeof welcomeSchema>

/** Everything sent before it on all connections of the generation belongs to the point; nothing after it does. */
export const barrierSchema = z.strictObject({
  consistencyPointId: identifier,
  /** Hold later writes back until the control plane says that the snapshots are taken. */
  hold: z.boolean(),
  method: z.enum(['FROZEN', 'QUIET']),
  frozenMs: z.number().min(0),
})
export type Barrier = z.infer<typeof barrierSchema>

/** Blocks whose hashes are not known, and how fast they are read. */
const unreadFields = { unknownBytes: z.number().min(0), bytesPerSecond: z.number().min(1) }

/** The answer to PREPARE, and to a BARRIER that is not reached because too much is still to be read. */
export const toReadSchema = z.strictObject({
  /** Of the barrier. */
  consistencyPointId: identifier.optional(),
  ...unreadFields,
})
export type ToRead = z.infer<typeof toReadSchema>

/** The point is durable; `root` is BLAKE3 over the volume's block hashes in order, in hexadecimal. */
export const barrierReachedSchema = z.strictObject({
  consistencyPointId: identifier,
  roots: z.array(z.strictObject({ diskIndex, root: z.string().regex(/^[0-9a-f]{64}$/) })),
  /** What was still to be read, where that is why a disk has no root. */
  unread: z.strictObject(unreadFields).optional(),
})
export type BarrierReached = z.infer<typeof barrierReachedSchema>

/** The agent's own figures, once a second, for the replicator to report. */
export const statusSchema = z.strictObject({
  state: z.enum(dataReplicationStates),
  /** Changed or not yet copied, and not durable at the other end. */
  backlogBytes: z.number().min(0),
  /** Milliseconds since replica and source were last the same. Null before the first time. */
  lagMs: z.number().min(0).nullable(),
  disks: z.array(
    z.strictObject({
      diskIndex,
      /** Scanned so far in the initial sync or rescan under way. */
      scannedBytes: z.number().min(0),
      backlogBytes: z.number().min(0),
      rescans: z.int().min(0),
    }),
  ),
})
export type Status = z.infer<typeof statusSchema>

/** Why an end stops: data, so that the other end can act on it. */
export const wireErrorCodes = [
  'VERSION_MISMATCH',
  'WRONG_SERVER',
  'NOT_ASSIGNED',
  'STALE_GENERATION',
  'UNKNOWN_VOLUME',
  'VOLUME_TOO_SMALL',
  'BLOCK_SIZE_MISMATCH',
  'BAD_FRAME',
  'SEQUENCE_GAP',
  'HASH_MISMATCH',
  'OUT_OF_RANGE',
  'NO_SPACE',
  'VOLUME_IO_ERROR',
  'WINDOW_EXCEEDED',
  'SHUTTING_DOWN',
  'INTERNAL',
] as const
export type WireErrorCode = (typeof wireErrorCodes)[number]

/** Last message before the sender closes. */
export const wireErrorSchema = z.strictObject({
  code: z.enum(wireErrorCodes),
  message: z.string().max(2000),
  /** Whether connecting again later can help. */
  retryable: z.boolean(),
  diskIndex: diskIndex.optional(),
  expected: z.string().max(200).optional(),
  actual: z.string().max(200).optional(),
})
export type WireErrorBody = z.infer<typeof wireErrorSchema>

/** Every message, decoded. `Uint8Array`s are views into the receive buffer, valid until the handler returns. */
export type Message =
  | { type: 'HELLO'; body: Hello }
  | { type: 'WELCOME'; body: Welcome }
  | {
      type: 'BLOCKS'
      diskIndex: number
      firstBlock: number
      blockCount: number
      /** Length of the blocks' bytes; `payload` is as long unless it is encoded. */
      rawBytes: number
      encoding: Encoding
      /** `blockCount` hashes of {@link hashBytes} each, of the raw bytes of each block. */
      hashes: Uint8Array
      payload: Uint8Array
    }
  | {
      type: 'PIECES'
      diskIndex: number
      /** Their numbers, ascending. A piece is 4,096 bytes at a multiple of 4,096; the last one of a disk may be shorter. */
      pieces: readonly number[]
      /** Length of the pieces' bytes; `payload` is as long unless it is encoded. */
      rawBytes: number
      encoding: Encoding
      /** Of the numbers and the raw bytes, see `piece_list.ts`. */
      hash: Uint8Array
      payload: Uint8Array
    }
  | { type: 'ZEROS'; diskIndex: number; firstBlock: number; blockCount: number }
  | { type: 'ACK'; upToSequence: number }
  /** An all-zero block's hash is 32 zero bytes. */
  | { type: 'HASHES'; diskIndex: number; firstBlock: number; blockCount: number; hashes: Uint8Array }
  /** Bit i (least significant first) set: block firstBlock + i differs or is unknown. */
  | { type: 'DIFFERENCES'; diskIndex: number; firstBlock: number; blockCount: number; bitmap: Uint8Array }
  /** As HASHES, but the replicator reads the data again, whatever its index says. */
  | { type: 'VERIFY'; diskIndex: number; firstBlock: number; blockCount: number; hashes: Uint8Array }
  | {
      type: 'VERIFIED'
      diskIndex: number
      firstBlock: number
      blockCount: number
      /** BLAKE3 over the hashes of the data, block by block; {@link hashBytes} long. */
      root: Uint8Array
      /** Bits as in DIFFERENCES: the data have another hash than was asked about. */
      differing: Uint8Array
      /** Bits as in DIFFERENCES: the data have another hash than the index says, or cannot be read. */
      damaged: Uint8Array
    }
  /** Blocks whose data are not what was written there: they must be sent again. */
  | { type: 'DAMAGED'; diskIndex: number; firstBlock: number; blockCount: number }
  | { type: 'BARRIER'; body: Barrier }
  | { type: 'BARRIER_REACHED'; body: BarrierReached }
  /** A barrier is going to be sent: what its roots need is read from now on, while writes go on. */
  | { type: 'PREPARE' }
  | { type: 'TO_READ'; body: ToRead }
  | { type: 'STATUS'; body: Status }
  | { type: 'PING' }
  | { type: 'PONG' }
  | { type: 'ERROR'; body: WireErrorBody }
  | { type: 'GOODBYE' }

/** The name of a message type. */
export type MessageType = keyof typeof messageTypes
