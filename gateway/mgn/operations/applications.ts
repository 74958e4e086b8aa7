/**
 * Applications: made, changed, listed, put away, and the servers that belong to them.
 * @module
 */
import type { Application } from '../../../domain/application.ts'
import type { MgnContext, Operation } from '../operation.ts'
import { z } from 'zod'
import { stillReplicating } from '../../../domain/application.ts'
import { ConflictError } from '../../../domain/errors.ts'
import { newId } from '../../../domain/ids.ts'
import { listAll } from '../../../store/listing.ts'
import { mutate } from '../../../store/mutate.ts'
import {
  applicationID,
  description,
  ofAccount,
  paging,
  plainName,
  sourceServerID,
  tags,
  waveID,
} from '../fields.ts'
import {
  createGroup,
  findApplication,
  serversOf,
  showApplication,
  showApplications,
  requireFreeName,
} from '../groups.ts'
import { deleteApplication, joinApplication, leaveApplication } from '../memberships.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import { requireQuota } from '../quota.ts'

const ofApplication = z.object({ applicationID, ...ofAccount })

const members = z.object({
  applicationID,
  sourceServerIDs: z.array(sourceServerID).min(1).max(50),
  ...ofAccount,
})

/** Changes an application, which is modified now. @throws NotFoundError. */
async function change(
  { services }: MgnContext,
  id: string,
  next: (application: Application) => Application,
): Promise<Application> {
  await findApplication(services, id)
  const lastModifiedAt = services.clock().toISOString()
  const { value } = await mutate(services.store, 'application', { id }, (application) => ({
    ...next(application),
    lastModifiedAt,
  }))
  return value
}

function archiving(name: string, isArchived: boolean): Operation {
  return operation({
    name,
    status: 200,
    input: ofApplication,
    async run(context, { applicationID: id }) {
      const left = isArchived ? stillReplicating(await serversOf(context.services, [id])) : 0
      if (left > 0)
        throw new ConflictError(
          `${left} servers of application ${id} still replicate; cut them over or disconnect them first`,
        )
      return showApplication(context, await change(context, id, (known) => ({ ...known, isArchived })))
    },
  })
}

export const applicationOperations = [
  operation({
    name: 'CreateApplication',
    status: 201,
    input: z.object({
      name: plainName,
      description: description.optional(),
      tags: tags.optional(),
      ...ofAccount,
    }),
    async run(context, input) {
      const { services, account } = context
      const known = await listAll(services.store, 'application')
      requireFreeName('Application', known, input.name)
      requireQuota('applications', account, known.length + 1)
      const at = services.clock().toISOString()
      const applicationId = newId('application', services.random)
      const application: Application = {
        applicationId,
        name: input.name,
        description: input.description ?? '',
        isArchived: false,
        createdAt: at,
        lastModifiedAt: at,
        tags: input.tags ?? {},
      }
      await createGroup(services.store, 'application', application)
      return showApplication(context, application)
    },
  }),
  operation({
    name: 'UpdateApplication',
    status: 200,
    input: ofApplication.extend({ name: plainName.optional(), description: description.optional() }),
    async run(context, { applicationID: id, name, description: text }) {
      requireFreeName('Application', await listAll(context.services.store, 'application'), name, id)
      const changed = await change(context, id, (known) => ({
        ...known,
        name: name ?? known.name,
        description: text ?? known.description,
      }))
      return showApplication(context, changed)
    },
  }),
  operation({
    name: 'DeleteApplication',
    status: 204,
    input: ofApplication,
    async run({ services }, { applicationID: id }) {
      await deleteApplication(services, id)
      return undefined
    },
  }),
  operation({
    name: 'ListApplications',
    status: 200,
    input: z.object({
      filters: z
        .object({
          applicationIDs: z.array(applicationID).max(200).optional(),
          isArchived: z.boolean().optional(),
          waveIDs: z.array(waveID).max(200).optional(),
        })
        .optional(),
      ...paging,
      ...ofAccount,
    }),
    async run(context, { filters: { applicationIDs = [], waveIDs = [], isArchived } = {}, ...wanted }) {
      const applications = (await listAll(context.services.store, 'application')).filter(
        (one) =>
          (applicationIDs.length === 0 || applicationIDs.includes(one.applicationId)) &&
          (waveIDs.length === 0 || (one.waveId !== undefined && waveIDs.includes(one.waveId))) &&
          (isArchived === undefined || isArchived === one.isArchived),
      )
      const { items, ...next } = pageOf(
        applications,
        ({ createdAt, applicationId }) => `${createdAt} ${applicationId}`,
        wanted,
      )
      return { items: await showApplications(context, items), ...next }
    },
  }),
  archiving('ArchiveApplication', true),
  archiving('UnarchiveApplication', false),
  operation({
    name: 'AssociateSourceServers',
    status: 200,
    input: members,
    async run(context, { applicationID: id, sourceServerIDs }) {
      const { services, caller } = context
      const application = await findApplication(services, id)
      await joinApplication(services, sourceServerIDs, application, caller.actor)
      return {}
    },
  }),
  operation({
    name: 'DisassociateSourceServers',
    status: 200,
    input: members,
    async run(context, { applicationID: id, sourceServerIDs }) {
      await findApplication(context.services, id)
      await leaveApplication(context.services, sourceServerIDs, id, context.caller.actor)
      return {}
    },
  }),
]
