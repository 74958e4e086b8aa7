/**
 * Sending a launch's files, for pages and API alike.
 * @module
 */
import type { Context } from 'hono'
import type { Job } from '../domain/job.ts'
import type { Services } from './services.ts'
import { NotFoundError } from '../domain/errors.ts'
import { artefactTypes, isArtefactName } from './artefacts.ts'

/** The file. @throws NotFoundError for an unknown name, a server that was not in the job, or a file that is not there. */
export async function sendArtefact(
  c: Context,
  { artefacts }: Pick<Services, 'artefacts'>,
  job: Job,
  sourceServerId: string,
  name: string,
): Promise<Response> {
  const server = job.participatingServers.find((participant) => participant.sourceServerId === sourceServerId)
  const file =
    server === undefined || !isArtefactName(name)
      ? undefined
      : await artefacts.open(job.jobId, server.sourceServerId, name)
  if (file === undefined || !isArtefactName(name)) throw new NotFoundError('launch file', name)
  return c.body(file.body, 200, {
    'Content-Type': artefactTypes[name],
    'Content-Length': String(file.sizeBytes),
    'Cache-Control': 'private, no-cache',
  })
}
