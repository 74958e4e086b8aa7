/**
 * An operator's action on a server, whoever asks: a page, the API or the command line.
 * @module
 */
import type { ServerAction } from '../domain/actions.ts'
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Services } from './services.ts'
import { applyAction } from '../domain/actions.ts'
import { newId } from '../domain/ids.ts'
import { changeServer } from './server_changes.ts'
import { setWorkGoing } from './work.ts'

/** Each action's name in URLs. */
export const actionSlugs = {
  START_TEST: 'launch-test',
  MARK_READY_FOR_CUTOVER: 'mark-ready-for-cutover',
  REVERT_TO_READY_FOR_TEST: 'revert-to-ready-for-test',
  START_CUTOVER: 'launch-cutover',
  REVERT_TO_READY_FOR_CUTOVER: 'revert-to-ready-for-cutover',
  FINALIZE: 'finalize',
  TERMINATE: 'terminate',
  PAUSE: 'pause',
  RESUME: 'resume',
  STOP_REPLICATION: 'stop-replication',
  START_REPLICATION: 'start-replication',
  RESCAN: 'rescan',
  VERIFY: 'verify',
  RETRY: 'retry',
  DISCONNECT: 'disconnect',
  ARCHIVE: 'archive',
  DELETE: 'delete',
} as const satisfies Record<ServerAction, string>

/** The action that `slug` names for `server`; `revert` is one stage back from wherever it is. Undefined for an unknown one. */
export function actionOfSlug(slug: string, server: SourceServer): ServerAction | undefined {
  if (slug === 'revert') {
    return server.lifecycle.state === 'CUTTING_OVER'
      ? 'REVERT_TO_READY_FOR_CUTOVER'
      : 'REVERT_TO_READY_FOR_TEST'
  }
  const found = Object.entries(actionSlugs).find(([, name]) => name === slug)
  return found?.[0] as ServerAction | undefined
}

/**
 * Does `action`: one conditional write, then the work it names is set going.
 * @throws ConflictError when it is not possible, with the reason; NotFoundError.
 */
export async function performAction(
  services: Services,
  sourceServerId: SourceServerId,
  action: ServerAction,
  actor: string,
): Promise<SourceServer> {
  const at = services.clock().toISOString()
  const jobId = newId('job', services.random)
  const pastLaunches = action === 'START_CUTOVER' ? await services.forecasts.pastLaunches() : []
  const server = await changeServer(services, sourceServerId, (current) =>
    applyAction(current, action, { at, actor, jobId, pastLaunches }),
  )
  await setWorkGoing(services, server, actor)
  return server
}
