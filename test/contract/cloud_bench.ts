/**
 * What the cloud contract works with: one cloud, two providers on it, and the few things that only this cloud can do for a test.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { CloudProvider, CloudResource, ConversionDisk, MachineSpec } from '../../cloud/provider.ts'
import { sourceServerTag } from '../../cloud/provider.ts'
import {
  newId,
  type ImageId,
  type MachineId,
  type ReplicationServerId,
  type SnapshotId,
  type VolumeId,
} from '../../domain/ids.ts'

/** One cloud, in an empty folder of its own. */
export interface CloudUnderTest {
  /** A provider object on this cloud; each call makes another one. */
  open(): CloudProvider
  /** Writes a volume as its replication server would, at the path that `attachVolume` gave. */
  writeVolume(devicePath: string, offsetBytes: number, bytes: Uint8Array): Promise<void>
  readDisk(disk: ConversionDisk, offsetBytes: number, lengthBytes: number): Promise<Buffer>
  writeDisk(disk: ConversionDisk, offsetBytes: number, bytes: Buffer): Promise<void>
  /** Ends a replication server's process as a crash would. */
  crashReplicationServer(id: ReplicationServerId): Promise<void>
  /** Takes a replication server away without the provider's knowing. */
  loseReplicationServer(id: ReplicationServerId): Promise<void>
  /** Changes a volume without the provider's knowing: makes it shorter or takes its content away. Missing: nobody can. */
  damageVolume?(devicePath: string, how: 'CUT' | 'REMOVED'): Promise<void>
  /** From now on a guest of this machine runs what it is sent, as this host's shell does. */
  takeCommands(machineId: MachineId): Promise<void>
  /** Files and processes that are still there. */
  leftovers(): Promise<string[]>
  /** Puts a thing into the state of a crash between its effect and the note of it. Missing: effect and note are one. */
  forgetCompletion?(resource: Pick<CloudResource, 'kind' | 'id'>): Promise<void>
  /** Ends what a failed test left running. */
  dispose(): Promise<void>
}

/** How a cloud is made and what it is allowed. */
export interface CloudSubject {
  name: string
  make(folder: string): Promise<CloudUnderTest>
  /** A machine's image can go while the machine still needs it. */
  imagesMayGoFirst: boolean
  /** How long a guest may take to print its first line. */
  bootTimeoutMs: number
}

/** The size of the suite's volumes. */
export const mebibyte = 2 ** 20
/** Whom the suite's resources are made for. */
export const sourceServerId = newId('sourceServer')
export const tags = { [sourceServerTag]: sourceServerId, 'rehost:purpose': 'contract' }
export const enrolment = { gatewayUrl: 'https://127.0.0.1:8443', caPem: 'certificate', token: 'token' }

/** The replication server that {@link CloudBench.volumeWith} attaches to. */
export const firstServerId = newId('replicationServer', () => new Uint8Array(9))

/** One cloud under test, and shorthands. */
export class CloudBench {
  readonly subject: CloudSubject
  readonly cloud: CloudUnderTest
  readonly provider: CloudProvider
  /** Another provider on the same cloud, as another process would have it. */
  readonly other: CloudProvider

  constructor(subject: CloudSubject, cloud: CloudUnderTest) {
    this.subject = subject
    this.cloud = cloud
    this.provider = cloud.open()
    this.other = cloud.open()
  }

  /** An attached volume with `first` at its start. */
  async volumeWith(first: Uint8Array, token = 'volume'): Promise<{ id: VolumeId; device: string }> {
    const replicationServerId = firstServerId
    await this.provider.createReplicationServer({ replicationServerId, enrolment, tags })
    const id = await this.provider.createVolume({ clientToken: token, sizeBytes: mebibyte, tags })
    const device = await this.provider.attachVolume(id, replicationServerId)
    await this.cloud.writeVolume(device, 0, first)
    return { id, device }
  }

  /** Snapshots of volumes, and an image of them. */
  async imageOf(...volumes: VolumeId[]): Promise<{ id: ImageId; snapshots: SnapshotId[] }> {
    const snapshots: SnapshotId[] = []
    for (const volumeId of volumes) {
      snapshots.push(
        await this.provider.createSnapshot({ clientToken: `snapshot-${volumeId}`, volumeId, tags }),
      )
    }
    const disks = snapshots.map((snapshotId, index) => ({ snapshotId, isBootDisk: index === 0 }))
    return { id: await this.provider.createImage({ clientToken: 'image', disks, tags }), snapshots }
  }

  /** A small machine. */
  machineSpec(imageId: ImageId, changes: Partial<MachineSpec> = {}): MachineSpec {
    return {
      clientToken: 'machine',
      name: 'contract',
      imageId,
      cpuCount: 1,
      ramBytes: 128 * mebibyte,
      firmware: 'BIOS',
      reachablePorts: [22, 80],
      started: true,
      tags,
      ...changes,
    }
  }

  /** Waits for `text` on the console. */
  async consoleContains(machineId: MachineId, text: string): Promise<void> {
    const deadline = performance.now() + this.subject.bootTimeoutMs
    for (;;) {
      const printed = await this.provider.consoleText(machineId, 4096)
      if (printed.includes(text) || performance.now() > deadline) {
        expect(printed).toContain(text)
        return
      }
      await sleep(100)
    }
  }
}
