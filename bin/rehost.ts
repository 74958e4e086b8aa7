/**
 * The command line: `rehost up`, `rehost agent …`, `rehost servers`, `rehost test` …
 * @module
 */
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { errorMessage } from '../domain/errors.ts'
import { addAgentCommand } from './commands/agent.ts'
import { addDemoCommand } from './commands/demo.ts'
import { addKeyCommands } from './commands/keys.ts'
import { addForecastCommand } from './commands/forecast.ts'
import { addParameterCommands } from './commands/parameters.ts'
import { addRecordCommand } from './commands/records.ts'
import { addEventCommand } from './commands/events.ts'
import { addServerCommands } from './commands/servers.ts'
import { addDiskCommands } from './commands/disks.ts'
import { addAuditCommands } from './commands/audit.ts'
import { addCertificateCommands } from './commands/certificate.ts'
import { addTokenCommands } from './commands/tokens.ts'
import { addUpCommand } from './commands/up.ts'
import { addVerifyCommand } from './commands/verify.ts'
import { addDeliveryCommands } from './commands/webhook_deliveries.ts'
import { addWebhookCommands } from './commands/webhooks.ts'
import { remark } from './terminal.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const program = new Command('rehost')
  .description('Moves running servers to a cloud without changing them')
  .version('0.1.0')
  .enablePositionalOptions()
  .passThroughOptions()

addUpCommand(program, root)
addDemoCommand(program, root)
addAgentCommand(program, root)
addServerCommands(program)
addDiskCommands(program)
addVerifyCommand(program)
addAuditCommands(program)
addCertificateCommands(program)
addTokenCommands(program)
addKeyCommands(program)
addParameterCommands(program)
addRecordCommand(program)
addForecastCommand(program)
addEventCommand(program)
addDeliveryCommands(addWebhookCommands(program))

try {
  await program.parseAsync(process.argv)
} catch (error) {
  remark(errorMessage(error))
  process.exitCode = 1
}
