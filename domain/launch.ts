/**
 * How a server is replicated and launched, and what was launched last.
 * @module
 */
import type { ConsistencyPolicy } from './consistency_policy.ts'
import type { BandwidthCalendar } from './bandwidth_calendar.ts'
import type { ImageId, JobId, MachineId, SnapshotId } from './ids.ts'
import type { PostLaunchSettings } from './post_launch_action.ts'
import type { Priority } from './site_budget.ts'

/** Names of things of a cloud, as its clients chose them for the staging area. */
export interface StagingChoices {
  name?: string
  stagingAreaSubnetId?: string
  associateDefaultSecurityGroup?: boolean
  replicationServersSecurityGroupsIDs?: string[]
  replicationServerInstanceType?: string
  defaultLargeStagingDiskType?: 'GP2' | 'ST1' | 'GP3'
  dataPlaneRouting?: 'PRIVATE_IP' | 'PUBLIC_IP'
}

/** The type of replication servers where nobody has chosen one: the local cloud has one kind. */
export const standardInstanceType = 'local'

/** MGN's replication configuration, the part that Rehost acts on, and what Rehost adds to it. */
export interface ReplicationConfiguration {
  /** Megabits a second, 0 for no limit. Holds whenever the calendar names no other. */
  bandwidthThrottlingMbps: number
  /** The server's own week; without one that of the settings holds. */
  bandwidthCalendar?: BandwidthCalendar
  /** The site whose bandwidth the server shares with others. */
  site?: string
  /** Among the servers of the site; 3 when left out. */
  priority?: Priority
  /** Reading for copies and comparisons slows down while the source's disks are busy; true when left out. */
  yieldsToSource?: boolean
  useDedicatedReplicationServer: boolean
  stagingAreaTags: Record<string, string>
  /** Where MGN's clients want the staging area. Kept and shown, for the clouds that have such. */
  stagingChoices?: StagingChoices
  /** How consistency points are reached; left out, the default policy holds. */
  consistency?: ConsistencyPolicy
  /** What becomes of a disk that appears on the source later: offered to the operator (the default), or replicated at once. */
  newDisks?: 'OFFER' | 'TAKE'
}

/** How the server is launched and what must answer before the launch counts as good. */
export interface LaunchConfiguration {
  name: string
  launchDisposition: 'STARTED' | 'STOPPED'
  rightSizing: 'NONE' | 'BASIC'
  bootMode: 'USE_SOURCE' | 'LEGACY_BIOS' | 'UEFI'
  bootTimeoutSeconds: number
  /** Checked after the login prompt; `contains` must be in the answer's body. */
  httpChecks: { port: number; path: string; contains?: string }[]
  /** Tags of the server are given to the launched machine. */
  copyTags?: boolean
  /** The licence of the operating system is the user's own. */
  osByol?: boolean
  /** Which launches run actions, and documents to run before all others. */
  postLaunchActions?: PostLaunchSettings
  /** Ports of the launched machine that its isolated network lets the operator reach. */
  reachablePorts: number[]
}

/** The machine last launched for this server. */
export interface LaunchedInstance {
  machineId: MachineId
  imageId: ImageId
  snapshotIds: SnapshotId[]
  jobId: JobId
  purpose: 'TEST' | 'CUTOVER'
  launchedAt: string
  firstBoot: 'WAITING' | 'SUCCEEDED' | 'UNKNOWN' | 'STOPPED'
  /** Where the machine's reachable ports answer, as the cloud told at launch. */
  endpoints?: { guestPort: number; host: string; port: number }[]
  /** For the operator: how it runs, e.g. `qemu, TCG (KVM: no /dev/kvm)`. */
  description?: string
}
