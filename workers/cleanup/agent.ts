/**
 * Step: the agent is told to uninstall and has some time to say that it did.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { Step, StepContext, StepResult } from '../step.ts'
import { lostAgentTimeoutMs, uninstallTimeoutMs } from '../../domain/agent_leaving.ts'
import { lastHeardAt } from '../../domain/agent_silence.ts'
import { hasNoAgentYet, withEvent } from '../../domain/source_server.ts'
import { changeServer, now } from '../bench.ts'

const lookAgainMs = 500

async function run(context: StepContext): Promise<StepResult> {
  const { bench, server, step } = context
  // An import made the server, and nobody has ever installed its agent.
  if (hasNoAgentYet(server)) return { done: { uninstalled: true } }
  const current = await changeServer(bench, server.sourceServerId, (found) =>
    found.agent.desired === 'UNINSTALL'
      ? undefined
      : { ...found, agent: { ...found.agent, desired: 'UNINSTALL' } },
  )
  if (current.agent.uninstalledAt !== undefined) return { done: { uninstalled: true } }
  // What comes after failed, and all is done again.
  if (current.agent.givenUpAt !== undefined) return { done: { uninstalled: false } }
  const time = bench.clock().getTime()
  const waitedMs = time - Date.parse(step.startedAt ?? now(bench))
  const unseenMs = time - Date.parse(lastHeardAt(current))
  const isLost = unseenMs > lostAgentTimeoutMs && waitedMs > lostAgentTimeoutMs
  if (!isLost && waitedMs < uninstallTimeoutMs) return { waitMs: lookAgainMs }
  const given = await changeServer(bench, server.sourceServerId, (found) =>
    found.agent.uninstalledAt === undefined ? withAgentGivenUp(found, now(bench)) : undefined,
  )
  return { done: { uninstalled: given.agent.uninstalledAt !== undefined } }
}

function withAgentGivenUp(server: SourceServer, at: string): SourceServer {
  const { hostname } = server.sourceProperties.identificationHints
  return withEvent({ ...server, agent: { ...server.agent, givenUpAt: at } }, at, {
    type: 'AGENT',
    level: 'WARNING',
    message: `The agent did not say that it uninstalled itself; run "rehost-agent uninstall" on ${hostname}`,
  })
}

/** `uninstall-agent`. */
export const uninstallAgent: Step = { name: 'uninstall-agent', run }
