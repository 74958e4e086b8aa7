/**
 * The JSON of a call: an object, not too deep, in which a member that is null is the same as none.
 * @module
 */
import { z } from 'zod'
import { MgnError, cannotParse } from './mgn_error.ts'

/** No shape of the service is deeper. */
const maxDepth = 32

/**
 * The members that the body has; an empty body has none.
 * @throws MgnError when it is no JSON object, too deep, or of another content type.
 */
export function readBody(text: string, contentType: string | undefined): Record<string, unknown> {
  if (text === '') return {}
  if (contentType !== undefined && !/^application\/(?:json|x-amz-json-1\.[01])\s*(?:;|$)/i.test(contentType))
    throw new MgnError(
      'UnsupportedMediaTypeException',
      `Cannot read a body of type ${contentType}; send application/json`,
    )
  if (depthOf(text) > maxDepth) throw cannotParse(`The body is nested deeper than ${maxDepth} levels`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw cannotParse('The body is not JSON', { cause: error })
  }
  if (!isObject(value)) throw cannotParse('The body must be a JSON object')
  return value
}

/** How deep brackets and braces are nested, without a stack of our own being used up. */
function depthOf(text: string): number {
  let depth = 0
  let deepest = 0
  let isText = false
  for (let index = 0; index < text.length; index++) {
    const character = text[index]
    if (isText) {
      if (character === '\\') index += 1
      else if (character === '"') isText = false
    } else if (character === '"') isText = true
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth)
    else if (character === '}' || character === ']') depth -= 1
  }
  return deepest
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * `value` without the members that are null, where `schema` has members: those are members that are not there. In lists and in maps, such as
 * tags, null is a wrong value, and stays for the schema to say so.
 */
export function withoutNulls(value: unknown, schema: unknown): unknown {
  if (schema instanceof z.ZodOptional) return withoutNulls(value, schema.unwrap())
  if (schema instanceof z.ZodArray)
    return Array.isArray(value) ? value.map((item: unknown) => withoutNulls(item, schema.element)) : value
  if (!isObject(value)) return value
  const entries = Object.entries(value)
  if (schema instanceof z.ZodRecord)
    return Object.fromEntries(entries.map(([key, item]) => [key, withoutNulls(item, schema.valueType)]))
  if (!(schema instanceof z.ZodObject)) return value
  const shape = schema.shape as Record<string, unknown>
  const members = entries.filter(([, member]) => member !== null)
  return Object.fromEntries(
    members.map(([name, member]) => [
      name,
      Object.hasOwn(shape, name) ? withoutNulls(member, shape[name]) : member,
    ]),
  )
}
