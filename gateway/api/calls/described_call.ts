/**
 * How a call of `/api/v1` is described.
 * @module
 */
import type { z } from 'zod'
import type { Role } from '../../people/accounts.ts'

/** One call. */
export interface DescribedCall {
  method: 'get' | 'post' | 'put' | 'delete'
  /** As the router has it, below `/api/v1`. */
  path: string
  summary: string
  role: Role
  query?: z.ZodObject
  body?: z.ZodType
  /** What a good answer is; absent where it has no body, or none that is JSON. */
  answer?: z.ZodType
  /** Media types of a good answer that is text or a picture, or can be, and what is in it. */
  media?: Readonly<Record<string, string>>
  /** Its answer has an `ETag`, and it heeds `If-None-Match` or, where it changes something, `If-Match`. */
  isTagged?: true
  /** It answers with more than what it changes, and so without the tag of that. */
  isAnswerUntagged?: true
  /** Its answer is a stream that goes on behind what `Last-Event-ID` names. */
  isResumed?: true
  /** It is refused while what it takes away is used; any `POST` and `PUT` may be refused by how things are. */
  isRefusedInUse?: true
  /** Status of a good answer: 200 unless told. */
  status?: 200 | 201 | 202 | 204
}
