/**
 * `rehost token …`: installation tokens.
 * @module
 */
import type { Command } from 'commander'
import { ApiClient, findAccess } from '../api_client.ts'
import { say } from '../terminal.ts'

/** What the service answers when it makes a token. The secret is in no later answer. */
export interface NewToken {
  tokenId: string
  token: string
  expiresAt: string
  installCommand: string
}

/** Adds the commands. */
export function addTokenCommands(program: Command): void {
  program
    .command('token')
    .description(
      'make an installation token and print the command that installs the agent on a source server',
    )
    .option('--uses <count>', 'how many servers may use it', '1')
    .option('--json', 'print JSON')
    .action(async (options: { uses: string; json?: boolean }) => {
      const api = new ApiClient(await findAccess(process.env))
      const token = await api.post<NewToken>('/tokens', { uses: Number(options.uses) })
      if (options.json === true) return say(JSON.stringify(token, null, 2))
      say(`On the source server, as root (valid until ${token.expiresAt}):\n\n  ${token.installCommand}\n`)
    })
}
