/**
 * The tags of a machine that stands alone.
 * @module
 */
import { keptOfTag, sourceServerTag } from './provider.ts'

/** `tags` of a machine once it stands alone: what is done for its source server from then on does not find it. */
export function keptTags(tags: Record<string, string>): Record<string, string> {
  const { [sourceServerTag]: sourceServerId, ...others } = tags
  return sourceServerId === undefined ? tags : { ...others, [keptOfTag]: sourceServerId }
}
