/**
 * How a server is replicated and launched, as answers have it.
 * @module
 */
import type { BandwidthSettings } from '../../../domain/bandwidth.ts'
import type { BandwidthCalendar } from '../../../domain/bandwidth_calendar.ts'
import type { ConsistencyPolicy } from '../../../domain/consistency_policy.ts'
import type { LaunchConfiguration, ReplicationConfiguration } from '../../../domain/launch.ts'
import { z } from 'zod'
import { weekdays } from '../../../domain/bandwidth_calendar.ts'
import { amount, answerOf, count } from './answer_schema.ts'
import { postLaunchSettings } from './action_parts.ts'

const port = z.int().min(1).max(65_535)

const bandwidthCalendar = answerOf<BandwidthCalendar>()(
  z
    .object({
      timeZone: z.string(),
      entries: z
        .array(
          z.object({
            weekdays: z.array(z.enum(weekdays)).readonly(),
            from: z.string(),
            to: z.string(),
            limit: z.union([amount, z.literal('UNLIMITED'), z.literal('OFF')]),
          }),
        )
        .readonly(),
    })
    .meta({ id: 'BandwidthCalendar', description: 'A week of limits in Mbit/s, on the clocks of one place' }),
)

/** What holds for all servers. */
export const bandwidthSettings = answerOf<BandwidthSettings>()(
  z
    .object({
      calendar: bandwidthCalendar.exactOptional(),
      sites: z.array(z.object({ name: z.string(), limitMbps: amount })).readonly(),
    })
    .meta({
      id: 'BandwidthSettings',
      description: 'The calendar of servers without their own, and servers that share a link',
    }),
)

const policy = {
  intervalMinutes: count,
  maxFreezeMs: count,
  hookTimeoutSeconds: count,
  maxHoldSeconds: count,
  onHookFailure: z.enum(['FAIL', 'CRASH_CONSISTENT']),
}
const newDisks = z.enum(['OFFER', 'TAKE'])

/** The settings as they hold for a server. */
export const protection = z
  .object({ ...policy, newDisks })
  .meta({ id: 'Protection', description: 'Policy of consistency points and of new disks, as it holds' })
export type ProtectionSettings = z.infer<typeof protection>

/** How a server is replicated. */
export const replicationConfiguration = answerOf<ReplicationConfiguration>()(
  z
    .object({
      bandwidthThrottlingMbps: amount,
      bandwidthCalendar: bandwidthCalendar.exactOptional(),
      site: z.string().exactOptional(),
      priority: z
        .union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)])
        .exactOptional(),
      yieldsToSource: z.boolean().exactOptional(),
      useDedicatedReplicationServer: z.boolean(),
      stagingAreaTags: z.record(z.string(), z.string()),
      stagingChoices: z
        .object({
          name: z.string().exactOptional(),
          stagingAreaSubnetId: z.string().exactOptional(),
          associateDefaultSecurityGroup: z.boolean().exactOptional(),
          replicationServersSecurityGroupsIDs: z.array(z.string()).exactOptional(),
          replicationServerInstanceType: z.string().exactOptional(),
          defaultLargeStagingDiskType: z.enum(['GP2', 'ST1', 'GP3']).exactOptional(),
          dataPlaneRouting: z.enum(['PRIVATE_IP', 'PUBLIC_IP']).exactOptional(),
        })
        .exactOptional(),
      consistency: answerOf<ConsistencyPolicy>()(z.object(policy)).exactOptional(),
      newDisks: newDisks.exactOptional(),
    })
    .meta({
      id: 'ReplicationConfiguration',
      description: 'How a server is replicated; 0 Mbit/s is no limit',
    }),
)

/** How a server is launched. */
export const launchConfiguration = answerOf<LaunchConfiguration>()(
  z
    .object({
      name: z.string(),
      launchDisposition: z.enum(['STARTED', 'STOPPED']),
      rightSizing: z.enum(['NONE', 'BASIC']),
      bootMode: z.enum(['USE_SOURCE', 'LEGACY_BIOS', 'UEFI']),
      bootTimeoutSeconds: count,
      httpChecks: z.array(z.object({ port, path: z.string(), contains: z.string().exactOptional() })),
      copyTags: z.boolean().exactOptional(),
      osByol: z.boolean().exactOptional(),
      postLaunchActions: postLaunchSettings.exactOptional(),
      reachablePorts: z.array(port),
    })
    .meta({ id: 'LaunchConfiguration', description: 'How a server is launched, and what must answer then' }),
)
