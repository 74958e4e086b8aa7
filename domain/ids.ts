/**
 * Identifiers: one branded string type per kind of thing, with MGN's prefixes and 17 alphanumerics where MGN has the kind.
 * @module
 */

declare const brand: unique symbol
type Id<Name extends string> = string & { readonly [brand]: Name }

export type SourceServerId = Id<'SourceServerId'>
export type JobId = Id<'JobId'>
export type TaskId = Id<'TaskId'>
export type VolumeId = Id<'VolumeId'>
export type SnapshotId = Id<'SnapshotId'>
export type ImageId = Id<'ImageId'>
export type MachineId = Id<'MachineId'>
export type ReplicationServerId = Id<'ReplicationServerId'>
export type ConsistencyPointId = Id<'ConsistencyPointId'>
export type TokenId = Id<'TokenId'>
export type ApplicationId = Id<'ApplicationId'>
export type WaveId = Id<'WaveId'>
export type ReplicationTemplateId = Id<'ReplicationTemplateId'>
export type LaunchTemplateId = Id<'LaunchTemplateId'>
export type ImportId = Id<'ImportId'>
export type ExportId = Id<'ExportId'>
export type CommandId = Id<'CommandId'>
export type WebhookId = Id<'WebhookId'>

const prefixes = {
  sourceServer: 's-',
  job: 'mgnjob-',
  volume: 'vol-',
  snapshot: 'snap-',
  image: 'img-',
  machine: 'm-',
  replicationServer: 'i-',
  consistencyPoint: 'cp-',
  token: 'tok-',
  application: 'app-',
  wave: 'wave-',
  replicationTemplate: 'rct-',
  launchTemplate: 'lct-',
  import: 'import-',
  export: 'export-',
  command: 'cmd-',
  webhook: 'wh-',
} as const

interface IdByKind {
  sourceServer: SourceServerId
  job: JobId
  volume: VolumeId
  snapshot: SnapshotId
  image: ImageId
  machine: MachineId
  replicationServer: ReplicationServerId
  consistencyPoint: ConsistencyPointId
  token: TokenId
  application: ApplicationId
  wave: WaveId
  replicationTemplate: ReplicationTemplateId
  launchTemplate: LaunchTemplateId
  import: ImportId
  export: ExportId
  command: CommandId
  webhook: WebhookId
}

/** The kinds of thing that carry a prefixed identifier. */
export type IdKind = keyof IdByKind

/** Supplies `length` random bytes; `crypto.getRandomValues` outside tests. */
export type RandomBytes = (length: number) => Uint8Array

/** Random bytes from the platform. */
export const platformRandomBytes: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length))

const hexDigits = 17

/** A new identifier of `kind`: its prefix and 17 lower-case hexadecimal digits, as MGN's pattern asks (`s-[0-9a-zA-Z]{17}`). */
export function newId<K extends IdKind>(kind: K, random: RandomBytes = platformRandomBytes): IdByKind[K] {
  let hex = ''
  for (const byte of random(9)) hex += byte.toString(16).padStart(2, '0')
  return (prefixes[kind] + hex.slice(0, hexDigits)) as IdByKind[K]
}

/** Whether `value` is written as an identifier of `kind`. Says nothing of whether the thing exists. */
export function isId<K extends IdKind>(kind: K, value: string): value is IdByKind[K] {
  return value.startsWith(prefixes[kind]) && /^[0-9a-zA-Z]{17}$/.test(value.slice(prefixes[kind].length))
}

/** Names a piece of work: one task of each kind per server and attempt, so that adding it twice is adding it once. */
export function taskId(kind: string, sourceServerId: SourceServerId, attempt: string): TaskId {
  return `${kind.toLowerCase()}-${sourceServerId}-${attempt}` as TaskId
}
