/**
 * Waves: made, changed, listed, put away, and the applications that move with them.
 * @module
 */
import type { Wave } from '../../../domain/application.ts'
import type { MgnContext, Operation } from '../operation.ts'
import { z } from 'zod'
import { stillReplicating } from '../../../domain/application.ts'
import { ConflictError } from '../../../domain/errors.ts'
import { newId } from '../../../domain/ids.ts'
import { listAll } from '../../../store/listing.ts'
import { mutate } from '../../../store/mutate.ts'
import { applicationID, description, ofAccount, paging, plainName, tags, waveID } from '../fields.ts'
import {
  applicationsOf,
  createGroup,
  findWave,
  serversOf,
  showWave,
  showWaves,
  requireFreeName,
} from '../groups.ts'
import { deleteWave, joinWave, leaveWave } from '../memberships.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'
import { requireQuota } from '../quota.ts'

const ofWave = z.object({ waveID, ...ofAccount })

const members = z.object({ waveID, applicationIDs: z.array(applicationID).min(1).max(50), ...ofAccount })

/** Changes a wave, which is modified now. @throws NotFoundError. */
async function change({ services }: MgnContext, id: string, next: (wave: Wave) => Wave): Promise<Wave> {
  await findWave(services, id)
  const lastModifiedAt = services.clock().toISOString()
  const { value } = await mutate(services.store, 'wave', { id }, (wave) => ({
    ...next(wave),
    lastModifiedAt,
  }))
  return value
}

function archiving(name: string, isArchived: boolean): Operation {
  return operation({
    name,
    status: 200,
    input: ofWave,
    async run(context, { waveID: id }) {
      const { services } = context
      const applications = await applicationsOf(services, id)
      const servers = await serversOf(
        services,
        applications.map(({ applicationId }) => applicationId),
      )
      const left = isArchived ? stillReplicating(servers) : 0
      if (left > 0)
        throw new ConflictError(
          `${left} servers of wave ${id} still replicate; cut them over or disconnect them first`,
        )
      return showWave(context, await change(context, id, (known) => ({ ...known, isArchived })))
    },
  })
}

export const waveOperations = [
  operation({
    name: 'CreateWave',
    status: 201,
    input: z.object({
      name: plainName,
      description: description.optional(),
      tags: tags.optional(),
      ...ofAccount,
    }),
    async run(context, input) {
      const { services, account } = context
      const known = await listAll(services.store, 'wave')
      requireFreeName('Wave', known, input.name)
      requireQuota('waves', account, known.length + 1)
      const at = services.clock().toISOString()
      const waveId = newId('wave', services.random)
      const wave: Wave = {
        waveId,
        name: input.name,
        description: input.description ?? '',
        isArchived: false,
        createdAt: at,
        lastModifiedAt: at,
        tags: input.tags ?? {},
      }
      await createGroup(services.store, 'wave', wave)
      return showWave(context, wave)
    },
  }),
  operation({
    name: 'UpdateWave',
    status: 200,
    input: ofWave.extend({ name: plainName.optional(), description: description.optional() }),
    async run(context, { waveID: id, name, description: text }) {
      requireFreeName('Wave', await listAll(context.services.store, 'wave'), name, id)
      const changed = await change(context, id, (known) => ({
        ...known,
        name: name ?? known.name,
        description: text ?? known.description,
      }))
      return showWave(context, changed)
    },
  }),
  operation({
    name: 'DeleteWave',
    status: 204,
    input: ofWave,
    async run({ services }, { waveID: id }) {
      await deleteWave(services, id)
      return undefined
    },
  }),
  operation({
    name: 'ListWaves',
    status: 200,
    input: z.object({
      filters: z
        .object({ waveIDs: z.array(waveID).max(200).optional(), isArchived: z.boolean().optional() })
        .optional(),
      ...paging,
      ...ofAccount,
    }),
    async run(context, { filters: { waveIDs = [], isArchived } = {}, ...wanted }) {
      const waves = (await listAll(context.services.store, 'wave')).filter(
        (one) =>
          (waveIDs.length === 0 || waveIDs.includes(one.waveId)) &&
          (isArchived === undefined || isArchived === one.isArchived),
      )
      const { items, ...next } = pageOf(waves, ({ createdAt, waveId }) => `${createdAt} ${waveId}`, wanted)
      return { items: await showWaves(context, items), ...next }
    },
  }),
  archiving('ArchiveWave', true),
  archiving('UnarchiveWave', false),
  operation({
    name: 'AssociateApplications',
    status: 200,
    input: members,
    async run(context, { waveID: id, applicationIDs }) {
      const wave = await findWave(context.services, id)
      await joinWave(context.services, applicationIDs, wave)
      return {}
    },
  }),
  operation({
    name: 'DisassociateApplications',
    status: 200,
    input: members,
    async run(context, { waveID: id, applicationIDs }) {
      await findWave(context.services, id)
      await leaveWave(context.services, applicationIDs, id)
      return {}
    },
  }),
]
