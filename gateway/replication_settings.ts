/**
 * The replication configuration of a server as callers may set it, by form or by JSON.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { ReplicationConfiguration, SourceServer } from '../domain/source_server.ts'
import type { Site } from '../domain/bandwidth.ts'
import type { Services } from './services.ts'
import type { VersionCheck } from './versions.ts'
import { z } from 'zod'
import { InvalidInputError } from '../domain/errors.ts'
import { withEvent } from '../domain/source_server.ts'
import { calendarOfForm, calendarSchema, readBandwidthSettings, siteName } from './bandwidth_settings.ts'
import { changeServer } from './server_changes.ts'
import { anyVersion, contentVersion } from './versions.ts'

const stagingChoicesSchema = z.strictObject({
  name: z.string().max(128).optional(),
  stagingAreaSubnetId: z.string().max(255).optional(),
  associateDefaultSecurityGroup: z.boolean().optional(),
  replicationServersSecurityGroupsIDs: z.array(z.string().max(255)).max(32).optional(),
  replicationServerInstanceType: z.string().max(255).optional(),
  defaultLargeStagingDiskType: z.enum(['GP2', 'ST1', 'GP3']).optional(),
  dataPlaneRouting: z.enum(['PRIVATE_IP', 'PUBLIC_IP']).optional(),
})

/** What may be set; what is left out stays as it is, and null takes it away. */
export const replicationConfigurationSchema = z.strictObject({
  bandwidthThrottlingMbps: z.number().min(0).max(1_000_000).optional(),
  bandwidthCalendar: calendarSchema.nullable().optional(),
  site: siteName.nullable().optional(),
  priority: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(4), z.literal(5)]).optional(),
  yieldsToSource: z.boolean().optional(),
  useDedicatedReplicationServer: z.boolean().optional(),
  stagingAreaTags: z.record(z.string().min(1).max(256), z.string().max(256)).optional(),
  stagingChoices: stagingChoicesSchema.optional(),
})
export type ReplicationConfigurationChange = z.infer<typeof replicationConfigurationSchema>

/** The configuration with `change` over it. Pure. */
export function mergeReplication(
  known: ReplicationConfiguration,
  change: ReplicationConfigurationChange,
): ReplicationConfiguration {
  const choices = { ...known.stagingChoices, ...change.stagingChoices }
  const whole = { ...change, ...(change.stagingChoices === undefined ? {} : { stagingChoices: choices }) }
  const given = Object.entries(whole).filter(([, value]) => value !== undefined)
  const merged = Object.entries({ ...known, ...Object.fromEntries(given) }).filter(
    ([, value]) => value !== null,
  )
  return Object.fromEntries(merged) as unknown as ReplicationConfiguration
}

/** @throws InvalidInputError for a site that there is not: its servers would be bound by no limit, and nobody would notice. */
function requireSite(name: string | null | undefined, sites: readonly Site[]): void {
  if (typeof name !== 'string' || sites.some((site) => site.name === name)) return
  const there =
    sites.length === 0 ? 'there are none yet' : `there are ${sites.map((site) => site.name).join(', ')}`
  throw new InvalidInputError(
    'site',
    `There is no site ${name}: ${there}. Add it under Settings, Bandwidth, first`,
  )
}

/**
 * Applies a change to the stored configuration; `check` sees the version of the configuration as a whole.
 * @throws NotFoundError; InvalidInputError for an unknown site; whatever `check` throws.
 */
export async function changeReplicationConfiguration(
  services: Services,
  sourceServerId: SourceServerId,
  change: ReplicationConfigurationChange,
  actor: string,
  check: VersionCheck = anyVersion,
): Promise<SourceServer> {
  const at = services.clock().toISOString()
  const { sites } = await readBandwidthSettings(services.store)
  return changeServer(services, sourceServerId, (server) => {
    const known = server.replicationConfiguration
    check(contentVersion(known))
    // A server may stay in a site that was taken away since.
    if (change.site !== known.site) requireSite(change.site, sites)
    const next = mergeReplication(known, change)
    if (JSON.stringify(next) === JSON.stringify(known)) return server
    return withEvent({ ...server, replicationConfiguration: next }, at, {
      type: 'CONFIGURATION',
      actor,
      message: 'Replication settings changed',
    })
  })
}

/** What each field of the form must be, in the words of the form. */
const wanted: Readonly<Record<string, string>> = {
  bandwidthThrottlingMbps: 'the limit: give a number of Mbit/s, 0 for none',
  site: 'the site: give a name of at most 64 characters without spaces, or none',
  priority: 'the priority: give a number from 1 to 5',
}

/** The change that a form asks for. @throws InvalidInputError naming the field and what it must be. */
export function replicationConfigurationOfForm(form: Record<string, string>): ReplicationConfigurationChange {
  const site = (form['site'] ?? '').trim()
  const read = replicationConfigurationSchema.safeParse({
    bandwidthThrottlingMbps: Number(form['bandwidthThrottlingMbps']),
    bandwidthCalendar: calendarOfForm(form['timeZone'] ?? '', form['calendar'] ?? '') ?? null,
    site: site === '' ? null : site,
    priority: Number(form['priority']),
    yieldsToSource: form['yieldsToSource'] === 'yes',
  })
  if (read.success) return read.data
  const field = String(read.error.issues[0]?.path[0])
  throw new InvalidInputError(field, `Cannot read ${wanted[field] ?? field}`, { cause: read.error })
}
