/**
 * "This changed" notices over Redis pub/sub: pages refresh and the relay wakes on them. Losing one costs a second, nothing more.
 * @module
 */
import { z } from 'zod'

/** The channel. */
export const changesChannel = 'rehost:changes'

/** Says what changed; readers look it up. */
export const changeNoticeSchema = z.object({
  kind: z.enum(['server', 'job', 'task']),
  id: z.string(),
})
export type ChangeNotice = z.infer<typeof changeNoticeSchema>

/** Publishes notices; given to whoever writes to the store. */
export interface ChangePublisher {
  publish(notice: ChangeNotice): Promise<void>
}
