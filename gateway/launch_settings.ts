/**
 * The launch configuration as callers may set it, by form or by JSON.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { PostLaunchSettings } from '../domain/post_launch_action.ts'
import type { LaunchConfiguration, SourceServer } from '../domain/source_server.ts'
import type { Services } from './services.ts'
import type { VersionCheck } from './versions.ts'
import { z } from 'zod'
import { InvalidInputError } from '../domain/errors.ts'
import { withEvent } from '../domain/source_server.ts'
import { changeServer } from './server_changes.ts'
import { anyVersion, contentVersion } from './versions.ts'

const port = z.int().min(1).max(65_535)

const httpCheckSchema = z.object({
  port,
  path: z
    .string()
    .max(2000)
    .regex(/^\/\S*$/, 'a path begins with / and has no spaces'),
  contains: z.string().min(1).max(500).optional(),
})

/** What may be set; what is left out stays as it is. */
export const launchConfigurationSchema = z.strictObject({
  name: z.string().trim().min(1).max(255).optional(),
  launchDisposition: z.enum(['STARTED', 'STOPPED']).optional(),
  rightSizing: z.enum(['NONE', 'BASIC']).optional(),
  bootMode: z.enum(['USE_SOURCE', 'LEGACY_BIOS', 'UEFI']).optional(),
  bootTimeoutSeconds: z.int().min(30).max(7200).optional(),
  httpChecks: z.array(httpCheckSchema).max(20).optional(),
  reachablePorts: z.array(port).max(50).optional(),
  copyTags: z.boolean().optional(),
  osByol: z.boolean().optional(),
})
export type LaunchConfigurationChange = z.infer<typeof launchConfigurationSchema>

/** What may be set in all: actions are set in MGN's words only. */
export type LaunchSettingsChange = LaunchConfigurationChange & { postLaunchActions?: PostLaunchSettings }

/**
 * Applies a change to the stored configuration; `check` sees the version of the configuration as a whole.
 * @throws NotFoundError; whatever `check` throws.
 */
export async function changeLaunchConfiguration(
  services: Services,
  sourceServerId: SourceServerId,
  change: LaunchSettingsChange,
  actor: string,
  check: VersionCheck = anyVersion,
): Promise<SourceServer> {
  const at = services.clock().toISOString()
  return changeServer(services, sourceServerId, (server) => {
    check(contentVersion(server.launchConfiguration))
    const next = merge(server.launchConfiguration, change)
    if (JSON.stringify(next) === JSON.stringify(server.launchConfiguration)) return server
    return withEvent({ ...server, launchConfiguration: next }, at, {
      type: 'CONFIGURATION',
      actor,
      message: 'Launch settings changed',
    })
  })
}

/** The configuration with `change` over it. A page that must be checked must also be reachable, so its port is opened. */
export function merge(known: LaunchConfiguration, change: LaunchSettingsChange): LaunchConfiguration {
  const { httpChecks, postLaunchActions, ...plain } = change
  const given = Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined))
  const merged: LaunchConfiguration = {
    ...known,
    ...given,
    ...(httpChecks === undefined
      ? {}
      : {
          httpChecks: httpChecks.map(({ port, path, contains }) => ({
            port,
            path,
            ...(contains === undefined ? {} : { contains }),
          })),
        }),
    ...(postLaunchActions === undefined
      ? {}
      : { postLaunchActions: { ...known.postLaunchActions, ...postLaunchActions } }),
  }
  const ports = new Set([...merged.reachablePorts, ...merged.httpChecks.map((check) => check.port)])
  return { ...merged, reachablePorts: [...ports].sort((one, other) => one - other) }
}

/** One line of the form: `80 / words that must be there`. @throws InvalidInputError. */
function readCheckLine(line: string): unknown {
  const match = /^(\d+)\s+(\/\S*)(?:\s+(.+))?$/.exec(line.trim())
  if (match === null) {
    throw new InvalidInputError(
      'httpChecks',
      `Cannot read the check “${line.trim()}”: write port, path and words, like 80 / Welcome`,
    )
  }
  return { port: Number(match[1]), path: match[2], ...(match[3] === undefined ? {} : { contains: match[3] }) }
}

/** What each field of the form must be, in the words of the form. */
const wanted: Readonly<Record<string, string>> = {
  name: 'the machine name: give one, of at most 255 characters',
  bootTimeoutSeconds: 'the seconds a boot may take: give a number from 30 to 7200',
  reachablePorts: 'the ports to reach: give at most 50 numbers from 1 to 65535, separated by commas',
  httpChecks:
    'the web pages: give at most 20, each with a port from 1 to 65535 and a path that begins with /',
}

/** The change that a form asks for. @throws InvalidInputError naming the field and what it must be. */
export function launchConfigurationOfForm(form: Record<string, string>): LaunchConfigurationChange {
  const lines = (form['httpChecks'] ?? '').split('\n').filter((line) => line.trim() !== '')
  const ports = (form['reachablePorts'] ?? '').split(/[\s,]+/).filter(Boolean)
  const read = launchConfigurationSchema.safeParse({
    name: form['name'],
    launchDisposition: form['launchDisposition'],
    rightSizing: form['rightSizing'],
    bootMode: form['bootMode'],
    bootTimeoutSeconds: Number(form['bootTimeoutSeconds']),
    httpChecks: lines.map(readCheckLine),
    reachablePorts: ports.map(Number),
  })
  if (read.success) return read.data
  const field = String(read.error.issues[0]?.path[0])
  throw new InvalidInputError(field, `Cannot read ${wanted[field] ?? field}`, { cause: read.error })
}
