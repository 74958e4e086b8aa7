/**
 * What an operator says of disks that have appeared on a source server, whoever asks: a page, the API or the command line.
 * @module
 */
import type { SourceServerId } from '../domain/ids.ts'
import type { SourceServer } from '../domain/source_server.ts'
import type { Services } from './services.ts'
import { z } from 'zod'
import { refuseDisk, takeDisk } from '../domain/disk_changes.ts'
import { changeServer } from './server_changes.ts'
import { setWorkGoing } from './work.ts'

/** Which disk, and what becomes of it. */
export const diskChoiceSchema = z.strictObject({
  deviceName: z.string().min(1).max(256),
  choice: z.enum(['TAKE', 'REFUSE']),
})
export type DiskChoice = z.infer<typeof diskChoiceSchema>

/**
 * Takes or refuses an offered disk; a taken one gets its volume at once.
 * @throws NotFoundError when no such disk is offered; ConflictError when it can't be taken now, with the reason.
 */
export async function chooseDisk(
  services: Services,
  sourceServerId: SourceServerId,
  { deviceName, choice }: DiskChoice,
  actor: string,
): Promise<SourceServer> {
  const at = services.clock().toISOString()
  const server = await changeServer(services, sourceServerId, (current) =>
    choice === 'TAKE' ? takeDisk(current, deviceName, at, actor) : refuseDisk(current, deviceName, at, actor),
  )
  await setWorkGoing(services, server, actor)
  return server
}
