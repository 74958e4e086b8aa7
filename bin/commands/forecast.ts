/**
 * `rehost forecast`: how long the first copy of a server will take, whether it ends, the downtime of its cutover, and how past forecasts held.
 * @module
 */
import type { Command } from 'commander'
import type { ForecastErrors } from '../../domain/forecast_errors.ts'
import type { ServerForecast } from '../../domain/server_forecast.ts'
import {
  convergenceInWords,
  copyInWords,
  downtimeInWords,
  errorsInWords,
} from '../../domain/forecast_words.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say } from '../terminal.ts'
import { columnLines } from './columns.ts'
import { serverArgument, serverIdOf } from './server_argument.ts'

interface Accuracy {
  initialReplications: ForecastErrors
  cutovers: ForecastErrors
}

function accuracyRows({ initialReplications, cutovers }: Accuracy): string[][] {
  return [
    ['Initial replications', errorsInWords(initialReplications)],
    ['Downtimes of cutovers', errorsInWords(cutovers)],
  ]
}

function forecastRows({ initialReplication, convergence, downtime }: ServerForecast): string[][] {
  // A first copy that is done has come to its end.
  const isPast = initialReplication.phase === 'DONE' && convergence.verdict === 'UNKNOWN'
  const rows = [
    ['Initial replication', copyInWords(initialReplication)] as const,
    ...(isPast ? [] : [['Comes to an end', convergenceInWords(convergence)] as const]),
    ['Downtime of the cutover', downtimeInWords(downtime)] as const,
  ]
  return rows.map(([name, { said, from }]) => [name, from === undefined ? said : `${said}: ${from}`])
}

/** Adds the command. */
export function addForecastCommand(program: Command): void {
  program
    .command('forecast')
    .description('how long a first copy will take, whether it ends, and the downtime of the cutover')
    .argument('[server]', serverArgument[1])
    .option('--accuracy', 'how past forecasts held, instead of a server')
    .option('--json', 'print JSON')
    .action(async (given: string | undefined, options: { accuracy?: boolean; json?: boolean }) => {
      if ((given === undefined) !== (options.accuracy === true))
        throw new Error('Name one source server, or ask for --accuracy alone')
      const api = new ApiClient(await findAccess(process.env))
      const [answer, rows] =
        given === undefined
          ? await api
              .get<Accuracy>('/forecasts/accuracy')
              .then((found) => [found, accuracyRows(found)] as const)
          : await api
              .get<ServerForecast & { accuracy: Accuracy }>(
                `/servers/${await serverIdOf(api, given)}/forecast`,
              )
              .then((found) => [found, [...forecastRows(found), ...accuracyRows(found.accuracy)]] as const)
      say(options.json === true ? JSON.stringify(answer, null, 2) : columnLines(rows).join('\n'))
    })
}
