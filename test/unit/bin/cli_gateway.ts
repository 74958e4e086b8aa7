/**
 * The command line beside a gateway of its own, over a real port.
 * @module
 */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createAdaptorServer } from '@hono/node-server'
import type { Role } from '../../../gateway/people/accounts.ts'
import type { TestGateway } from '../gateway/support.ts'
import { testGateway } from '../gateway/support.ts'

const program = join(import.meta.dirname, '../../../bin/rehost')

/** What a command came to. */
export interface CommandEnd {
  /** Absent when it went well. */
  code?: number
  stdout: string
  stderr: string
}

/** A gateway and whoever calls it by `rehost`. */
export interface CliGateway {
  gateway: TestGateway
  /** Runs `rehost` with these words. */
  rehost(...words: string[]): Promise<CommandEnd>
  /** Begins a `rehost` that goes on and on. */
  start(...words: string[]): ChildProcess
  /** From now on there is no service where the command line looks for one. */
  loseService(): void
  close(): Promise<void>
}

/** Starts it; commands show an API token of `role`. */
export async function cliGateway(role: Role = 'admin'): Promise<CliGateway> {
  const gateway = await testGateway()
  const server = createAdaptorServer({ fetch: (request, env) => gateway.app.fetch(request, env) })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    REHOST_URL: `http://127.0.0.1:${port}`,
    REHOST_API_TOKEN: await gateway.apiToken(role),
  }
  return {
    gateway,
    rehost: async (...words) =>
      (await promisify(execFile)(program, words, { env: environment, timeout: 30_000 }).catch(
        (error: unknown) => error,
      )) as CommandEnd,
    start: (...words) => spawn(program, words, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] }),
    loseService: () => {
      environment['REHOST_URL'] = 'http://127.0.0.1:9'
    },
    close: async () => {
      await new Promise((resolve) => server.close(resolve))
      await gateway.close()
    },
  }
}
