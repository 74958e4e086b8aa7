/**
 * `rehost servers`, `rehost test`, `rehost cutover` …: what the dashboard's buttons do.
 * @module
 */
import type { Command } from 'commander'
import type { SourceServer } from '../../domain/source_server.ts'
import { ApiClient, findAccess } from '../api_client.ts'

/** The actions, each a command with the server's id. */
const actions = [
  { command: 'test', action: 'launch-test', description: 'launch a test machine' },
  {
    command: 'ready-for-cutover',
    action: 'mark-ready-for-cutover',
    description: 'say that the test was good',
  },
  { command: 'cutover', action: 'launch-cutover', description: 'launch the cutover machine' },
  {
    command: 'finalize',
    action: 'finalize',
    description: 'end the migration: agent removed, staging area gone',
  },
  {
    command: 'revert',
    action: 'revert',
    description: 'go back one stage and terminate the launched machine',
  },
  { command: 'pause', action: 'pause', description: 'pause replication' },
  { command: 'resume', action: 'resume', description: 'resume replication' },
  {
    command: 'disconnect',
    action: 'disconnect',
    description: 'stop replicating, uninstall the agent, remove the staging area',
  },
  { command: 'archive', action: 'archive', description: 'put a finished server out of sight' },
  { command: 'delete', action: 'delete', description: 'delete the records of a disconnected server' },
] as const

/** Columns of the listing. */
function row(server: SourceServer): string[] {
  const { hostname } = server.sourceProperties.identificationHints
  return [
    server.sourceServerId,
    hostname,
    server.lifecycle.state,
    server.replication.state,
    server.lifecycle.lastSeenByServiceAt ?? '',
  ]
}

/** Adds the commands. */
export function addServerCommands(program: Command): void {
  program
    .command('servers')
    .description('list the source servers')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => {
      const api = new ApiClient(await findAccess(process.env))
      const { items } = await api.get<{ items: SourceServer[] }>('/servers')
      if (options.json === true) return console.log(JSON.stringify(items, null, 2))
      const rows = [['SERVER', 'HOST', 'LIFECYCLE', 'REPLICATION', 'LAST SEEN'], ...items.map(row)]
      const widths =
        rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0))) ?? []
      for (const cells of rows)
        console.log(
          cells
            .map((cell, column) => cell.padEnd(widths[column] ?? 0))
            .join('  ')
            .trimEnd(),
        )
    })
  for (const { command, action, description } of actions) {
    program
      .command(command)
      .description(description)
      .argument('<server>', 'source server id, s-…')
      .option('--json', 'print JSON')
      .action(async (serverId: string, options: { json?: boolean }) => {
        const api = new ApiClient(await findAccess(process.env))
        const server = await api.post<SourceServer>(
          `/servers/${encodeURIComponent(serverId)}/actions/${action}`,
        )
        console.log(
          options.json === true ? JSON.stringify(server, null, 2) : `${serverId}: ${server.lifecycle.state}`,
        )
      })
  }
}
