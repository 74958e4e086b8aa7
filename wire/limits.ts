/**
 * The named limits of the replication protocol: checked before any memory is taken, and the same at both ends.
 * @module
 */
import { blockSizeBytes, maxExtentBlocks, pieceSizeBytes } from '../domain/units.ts'
import { hashBytes, messageTypes } from './message.ts'
import type { MessageType } from './message.ts'

/** Bytes before every frame's meta. */
export const frameHeaderBytes = 16

/** The largest meta part of any frame: 256 KiB. */
export const maxMetaBytes = 256 * 1024

/** The largest payload: 1 MiB of blocks, and room for what an encoding may add to bytes that do not compress. */
export const maxPayloadBytes = maxExtentBlocks * blockSizeBytes + 64 * 1024

/** Blocks whose hashes fit one HASHES frame: 256 MiB of disk. */
export const maxHashesPerFrame = 4096

/** Blocks that one VERIFY frame asks about: 16 MiB of disk, which the replicator reads before it answers. */
export const maxBlocksPerVerify = 256

/** How long a replicator may read behind a barrier, while it applies nothing: what takes longer is left unread. */
export const maxBarrierReadMs = 10_000

/** Blocks a disk may have: beyond it a position in bytes would not be exact. */
export const maxBlocksPerDisk = Math.floor(Number.MAX_SAFE_INTEGER / blockSizeBytes)

/** Pieces that fit one PIECES frame: as many bytes as the largest BLOCKS frame carries. */
export const maxPiecesPerFrame = (maxExtentBlocks * blockSizeBytes) / pieceSizeBytes

/** Pieces a disk may have, for the same reason. */
export const maxPiecesPerDisk = Math.floor(Number.MAX_SAFE_INTEGER / pieceSizeBytes)

/** Bytes of a piece's number on the wire. */
export const pieceNumberBytes = 8

/** `diskIndex` in the header of a frame that is about no disk. */
export const noDiskIndex = 0xffff

/** The highest index of a disk. */
export const maxDiskIndex = 59

/** Fixed part of each binary meta, before hashes, numbers or bitmap. */
export const metaBytes = {
  BLOCKS: 16,
  PIECES: 40,
  ZEROS: 12,
  ACK: 4,
  HASHES: 12,
  DIFFERENCES: 12,
  VERIFY: 12,
  VERIFIED: 12 + hashBytes,
  DAMAGED: 12,
} as const

/** What a frame of each type may carry. */
export interface FrameLimit {
  minMetaBytes: number
  maxMetaBytes: number
  maxPayloadBytes: number
  /** Whether the header names a disk. */
  hasDisk: boolean
}

const json = (max: number): FrameLimit => ({
  minMetaBytes: 2,
  maxMetaBytes: max,
  maxPayloadBytes: 0,
  hasDisk: false,
})
const binary = (fixed: number, most: number, payload: number, hasDisk: boolean): FrameLimit => ({
  minMetaBytes: fixed,
  maxMetaBytes: most,
  maxPayloadBytes: payload,
  hasDisk,
})

/** The limits by message type, each no wider than its message needs. */
export const frameLimits: Readonly<Record<MessageType, FrameLimit>> = {
  HELLO: json(32 * 1024),
  WELCOME: json(16 * 1024),
  BLOCKS: binary(
    metaBytes.BLOCKS + hashBytes,
    metaBytes.BLOCKS + maxExtentBlocks * hashBytes,
    maxPayloadBytes,
    true,
  ),
  ZEROS: binary(metaBytes.ZEROS, metaBytes.ZEROS, 0, true),
  ACK: binary(metaBytes.ACK, metaBytes.ACK, 0, false),
  HASHES: binary(metaBytes.HASHES + hashBytes, metaBytes.HASHES + maxHashesPerFrame * hashBytes, 0, true),
  DIFFERENCES: binary(metaBytes.DIFFERENCES + 1, metaBytes.DIFFERENCES + maxHashesPerFrame / 8, 0, true),
  BARRIER: json(4 * 1024),
  BARRIER_REACHED: json(16 * 1024),
  STATUS: json(32 * 1024),
  PING: binary(0, 0, 0, false),
  PONG: binary(0, 0, 0, false),
  ERROR: json(16 * 1024),
  GOODBYE: binary(0, 0, 0, false),
  PIECES: binary(
    metaBytes.PIECES + pieceNumberBytes,
    metaBytes.PIECES + maxPiecesPerFrame * pieceNumberBytes,
    maxPayloadBytes,
    true,
  ),
  VERIFY: binary(metaBytes.VERIFY + hashBytes, metaBytes.VERIFY + maxBlocksPerVerify * hashBytes, 0, true),
  VERIFIED: binary(metaBytes.VERIFIED + 2, metaBytes.VERIFIED + maxBlocksPerVerify / 4, 0, true),
  DAMAGED: binary(metaBytes.DAMAGED, metaBytes.DAMAGED, 0, true),
  PREPARE: binary(0, 0, 0, false),
  TO_READ: json(4 * 1024),
}

/** Message types by their number on the wire; undefined for a number nobody has. */
export const typeByNumber: readonly (MessageType | undefined)[] = Object.entries(messageTypes).reduce<
  (MessageType | undefined)[]
>((names, [name, number]) => {
  names[number] = name as MessageType
  return names
}, [])
