/**
 * `rehost events`: what has happened to all servers, and what happens.
 * @module
 */
import type { Command } from 'commander'
import type { ReadEvent } from '../event_reader.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { remark, say, visibleLine } from '../terminal.ts'
import { comingEvents, pastEvents } from '../event_reader.ts'
import { stopSignal } from './stop_signal.ts'

interface EventOptions {
  follow?: boolean
  after?: string
  pattern?: string
  json?: boolean
}

/** A line for a person; the place in front is what `--after` takes. */
function line({ place, event }: ReadEvent): string {
  const { detail, time } = event
  const server = detail['source-server-id'] ?? event.resources[0]?.split('/').at(-1)
  const what = detail['message'] ?? detail['state']
  return [place, time, server, event['detail-type'], what]
    .filter((word) => typeof word === 'string')
    .map(visibleLine)
    .join('  ')
}

/** Adds the command. */
export function addEventCommand(program: Command): void {
  program
    .command('events')
    .description('what has happened to all servers, oldest first')
    .option('--follow', 'those that come, from now on or from --after on, until it is stopped')
    .option('--after <place>', 'only events after this one: what stands before an event, or 0')
    .option('--pattern <json>', 'only those that this pattern of EventBridge wants')
    .option('--json', 'print each as EventBridge’s envelope on a line')
    .action(async ({ follow, json, ...wanted }: EventOptions) => {
      const api = new ApiClient(await findAccess(process.env))
      const events =
        follow === true
          ? comingEvents(api, wanted, {
              signal: stopSignal(),
              onBreak: (reason) => remark(`${reason}. Trying again`),
            })
          : pastEvents(api, wanted)
      for await (const read of events) say(json === true ? JSON.stringify(read.event) : line(read))
    })
}
