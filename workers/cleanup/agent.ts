/**
 * Step: the agent is told to uninstall and has some time to say that it did.
 * @module
 */
import type { Step, StepContext, StepResult } from '../step.ts'
import { hasNoAgentYet } from '../../domain/awaited_server.ts'
import { withEvent } from '../../domain/source_server.ts'
import { changeServer, now } from '../bench.ts'

/** MGN tells agents to uninstall within ten minutes; after that the staging area goes all the same. */
const uninstallTimeoutMs = 600_000
/** An agent that was not seen for this long before does not come back to uninstall. */
const agentLostMs = 60_000
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
  const time = bench.clock().getTime()
  const waitedMs = time - Date.parse(step.startedAt ?? now(bench))
  const unseenMs = time - Date.parse(current.agent.lastSeenAt ?? current.createdAt)
  const isLost = unseenMs > agentLostMs && waitedMs > agentLostMs
  if (!isLost && waitedMs < uninstallTimeoutMs) return { waitMs: lookAgainMs }
  await changeServer(bench, server.sourceServerId, (found) =>
    withEvent(found, now(bench), {
      type: 'AGENT',
      level: 'WARNING',
      message: `The agent did not say that it uninstalled itself; run "rehost-agent uninstall" on ${server.sourceProperties.identificationHints.hostname}`,
    }),
  )
  return { done: { uninstalled: false } }
}

/** `uninstall-agent`. */
export const uninstallAgent: Step = { name: 'uninstall-agent', run }
