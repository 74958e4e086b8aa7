/**
 * Tags of whatever has an ARN.
 * @module
 */
import type { Services } from '../../services.ts'
import type { MgnContext } from '../operation.ts'
import { z } from 'zod'
import { maxTags } from '../../../domain/tags.ts'
import { NotFoundError } from '../../../domain/errors.ts'
import { withEvent } from '../../../domain/source_server.ts'
import { mutate } from '../../../store/mutate.ts'
import { findJob, findServer } from '../../queries.ts'
import { changeServer } from '../../server_changes.ts'
import { tags } from '../fields.ts'
import { wrongFields } from '../mgn_error.ts'
import { operation } from '../operation.ts'

type Tags = Record<string, string>

const resourceArn = z.string().min(20).max(2048)
const path = '/tags/:resourceArn'

/** Reading and changing the tags of one thing. */
interface Tagged {
  read(): Promise<Tags>
  change(next: (tags: Tags) => Tags): Promise<void>
}

function taggedServer(services: Services, id: string, actor: string): Tagged {
  return {
    read: async () => (await findServer(services.store, id)).tags,
    change: async (next) => {
      const { sourceServerId } = await findServer(services.store, id)
      await changeServer(services, sourceServerId, (server) => {
        const changed = { ...server, tags: next(server.tags) }
        return withEvent(changed, services.clock().toISOString(), {
          type: 'CONFIGURATION',
          actor,
          message: 'Tags changed',
        })
      })
    },
  }
}

/** Of what has tags and no events. */
function taggedItem(
  { store }: Services,
  kind: 'application' | 'wave' | 'replicationTemplate' | 'launchTemplate' | 'transfer',
  id: string,
): Tagged {
  const find = async () => {
    const found = await store.get(kind, { id })
    if (found === undefined) throw new NotFoundError('resource', id)
    return found.value
  }
  return {
    read: async () => (await find()).tags,
    change: async (next) => {
      await find()
      await mutate(store, kind, { id }, (item) => ({ ...item, tags: next(item.tags) }))
    },
  }
}

const itemKinds = {
  application: 'application',
  wave: 'wave',
  'replication-configuration-template': 'replicationTemplate',
  'launch-configuration-template': 'launchTemplate',
  import: 'transfer',
  export: 'transfer',
} as const

function taggedJob({ store }: Services, id: string): Tagged {
  return {
    read: async () => (await findJob(store, id)).tags ?? {},
    change: async (next) => {
      const { jobId } = await findJob(store, id)
      await mutate(store, 'job', { id: jobId }, (job) => ({ ...job, tags: next(job.tags ?? {}) }))
    },
  }
}

/** @throws NotFoundError for what is no ARN of this account, or of nothing that has tags. */
function taggedOf({ services, account, caller }: MgnContext, arn: string): Tagged {
  const match = /^arn:[\w-]+:mgn:[\w-]*:(\d{12})?:([a-z-]+)\/([\w-]+)$/.exec(arn)
  const [, owner = account.accountId, kind = '', id = ''] = match ?? []
  if (match !== null && owner === account.accountId) {
    if (kind === 'source-server') return taggedServer(services, id, caller.actor)
    if (kind === 'job') return taggedJob(services, id)
    if (Object.hasOwn(itemKinds, kind))
      return taggedItem(services, itemKinds[kind as keyof typeof itemKinds], id)
  }
  throw new NotFoundError('resource', arn)
}

/** @throws MgnError when there would be more than {@link maxTags}. */
function merged(known: Tags, given: Tags): Tags {
  const all = { ...known, ...given }
  if (Object.keys(all).length > maxTags)
    throw wrongFields([{ name: 'tags', message: `a resource has at most ${maxTags} tags` }])
  return all
}

export const tagOperations = [
  operation({
    name: 'ListTagsForResource',
    status: 200,
    worksUninitialised: true,
    route: { method: 'GET', path },
    input: z.object({ resourceArn }),
    run: async (context, input) => ({ tags: await taggedOf(context, input.resourceArn).read() }),
  }),
  operation({
    name: 'TagResource',
    status: 200,
    worksUninitialised: true,
    route: { method: 'POST', path },
    input: z.object({ resourceArn, tags }),
    async run(context, input) {
      await taggedOf(context, input.resourceArn).change((known) => merged(known, input.tags))
      return {}
    },
  }),
  operation({
    name: 'UntagResource',
    status: 200,
    worksUninitialised: true,
    route: { method: 'DELETE', path },
    input: z.object({ resourceArn, tagKeys: z.array(z.string().max(256)) }),
    async run(context, input) {
      const { tagKeys } = input
      await taggedOf(context, input.resourceArn).change((known) =>
        Object.fromEntries(Object.entries(known).filter(([key]) => !tagKeys.includes(key))),
      )
      return {}
    },
  }),
]
