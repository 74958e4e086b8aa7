/**
 * Paths into a source server, as MGN's shape SourceServer has its members: with them actions take what is known of their server only at the
 * launch, such as its host name.
 * @module
 */
import type { MachineId } from './ids.ts'
import type { SourceServer } from './source_server.ts'

/** Paths that lead to something, with `N` for any position and `KEY` for any tag. */
export const serverPaths = [
  'sourceServerID',
  'userProvidedID',
  'applicationID',
  'tags.KEY',
  'lifeCycle.state',
  'launchedInstance.ec2InstanceID',
  'sourceProperties.identificationHints.hostname',
  'sourceProperties.identificationHints.fqdn',
  'sourceProperties.os.fullString',
  'sourceProperties.ramBytes',
  'sourceProperties.cpus[N].cores',
  'sourceProperties.cpus[N].modelName',
  'sourceProperties.disks[N].deviceName',
  'sourceProperties.disks[N].bytes',
  'sourceProperties.networkInterfaces[N].macAddress',
  'sourceProperties.networkInterfaces[N].ips[N]',
] as const

const patterns = serverPaths.map(
  (path) =>
    new RegExp(
      `^${path
        .replaceAll(/[.[\]]/g, String.raw`\$&`)
        .replaceAll(String.raw`\[N\]`, String.raw`\[\d{1,4}\]`)
        .replace('KEY', String.raw`\w{1,256}`)}$`,
    ),
)

/** Whether `path` is one of {@link serverPaths}. */
export function isServerPath(path: string): boolean {
  return patterns.some((pattern) => pattern.test(path))
}

/** What is at `path`; undefined when this server has nothing there. */
export function valueAt(server: SourceServer, machineId: MachineId, path: string): string | undefined {
  if (!isServerPath(path)) return undefined
  let value: unknown = view(server, machineId)
  for (const name of path.split(/[.[\]]+/).filter(Boolean)) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
}

function view(server: SourceServer, machineId: MachineId): object {
  const { identificationHints, os, ramBytes, cpus, disks, networkInterfaces } = server.sourceProperties
  return {
    sourceServerID: server.sourceServerId,
    userProvidedID: server.userProvidedId,
    applicationID: server.applicationId,
    tags: server.tags,
    lifeCycle: { state: server.lifecycle.state },
    launchedInstance: { ec2InstanceID: machineId },
    sourceProperties: {
      identificationHints,
      os,
      ramBytes,
      cpus,
      disks: disks.map(({ deviceName, sizeBytes }) => ({ deviceName, bytes: sizeBytes })),
      networkInterfaces,
    },
  }
}
