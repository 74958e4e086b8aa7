/**
 * `rehost disks`, `rehost take-disk` and `rehost refuse-disk`: the disks of a server, and what becomes of new ones.
 * @module
 */
import type { Command } from 'commander'
import type { ServerView } from '../demo/service_view.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say, visibleLine } from '../terminal.ts'
import { getServer } from '../demo/service_view.ts'
import { serverArgument, serverIdOf } from './server_argument.ts'

/** A line for each disk: replicated, about to be, offered or left out. */
function lines({ disks, offeredDisks = [] }: ServerView): string[] {
  const own = disks.map(({ deviceName, sizeBytes, isJoining, wantedSizeBytes, extension }) => {
    const joining = isJoining === true ? 'waits for its volume' : 'replicated'
    const state = wantedSizeBytes === undefined ? joining : `grows to ${wantedSizeBytes} bytes`
    return `${deviceName}  ${sizeBytes} bytes  ${state}${extension === undefined ? '' : `: ${extension.failure}`}`
  })
  const others = offeredDisks.map(
    ({ deviceName, sizeBytes, refusedBy }) =>
      `${deviceName}  ${sizeBytes} bytes  ${refusedBy === undefined ? 'offered, has no copy' : `left out by ${refusedBy}`}`,
  )
  return [...own, ...others]
}

function show(server: ServerView, isJson: boolean): void {
  const { disks, offeredDisks = [] } = server
  say(isJson ? JSON.stringify({ disks, offeredDisks }, null, 2) : lines(server).map(visibleLine).join('\n'))
}

/** Adds the commands. */
export function addDiskCommands(program: Command): void {
  program
    .command('disks')
    .description('list the disks of a server, and those of it that have no copy')
    .argument(...serverArgument)
    .option('--json', 'print JSON')
    .action(async (given: string, options: { json?: boolean }) => {
      const api = new ApiClient(await findAccess(process.env))
      show(await getServer(api, await serverIdOf(api, given)), options.json === true)
    })
  const choices = [
    { command: 'take-disk', choice: 'TAKE', description: 'replicate a disk that has appeared on a server' },
    { command: 'refuse-disk', choice: 'REFUSE', description: 'leave out a disk that has appeared' },
  ]
  for (const { command, choice, description } of choices) {
    program
      .command(command)
      .description(description)
      .argument(...serverArgument)
      .argument('<device>', 'as rehost disks shows it, /dev/…')
      .option('--json', 'print JSON')
      .action(async (given: string, deviceName: string, options: { json?: boolean }) => {
        const api = new ApiClient(await findAccess(process.env))
        const path = `/servers/${await serverIdOf(api, given)}/disks`
        show(await api.post<ServerView>(path, { deviceName, choice }), options.json === true)
      })
  }
}
