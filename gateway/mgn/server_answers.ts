/**
 * Answers that show source servers: with their live figures, as of now.
 * @module
 */
import type { SourceServer } from '../../domain/source_server.ts'
import type { MgnContext } from './operation.ts'
import { findFigures } from '../queries.ts'
import { mgnSourceServer } from './shapes/source_server.ts'

/** The shape SourceServer of each. */
export async function showServers(
  { services, account }: MgnContext,
  servers: readonly SourceServer[],
): Promise<object[]> {
  const figures = await findFigures(
    services,
    servers.map(({ sourceServerId }) => sourceServerId),
  )
  const now = services.clock()
  return servers.map((server) =>
    mgnSourceServer(server, { account, now, figures: figures.byServer.get(server.sourceServerId) }),
  )
}

/** The shape SourceServer of one. */
export async function showServer(context: MgnContext, server: SourceServer): Promise<object> {
  const [shown = {}] = await showServers(context, [server])
  return shown
}
