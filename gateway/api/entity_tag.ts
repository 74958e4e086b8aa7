/**
 * `ETag`, `If-None-Match` and `If-Match` (RFC 9110): a program need not read again what it has, and cannot overwrite what it has not seen.
 * @module
 */
import type { Context } from 'hono'
import type { VersionCheck } from '../versions.ts'
import { Refusal } from '../problem.ts'
import { anyVersion, contentVersion } from '../versions.ts'

/** The tags in a header; weak ones keep their mark. */
function tagsIn(header: string): string[] {
  return header.match(/(?:W\/)?"[^"]*"|\*/g) ?? []
}

/** Answers with `value`, whose version is `version`, or with 304 when the caller has it. */
export function sendTagged(c: Context, version: string, value: object): Response {
  const tag = `"${version}"`
  c.header('ETag', tag)
  const known = tagsIn(c.req.header('if-none-match') ?? '')
  const isKnown = known.some((own) => own === '*' || own.replace(/^W\//, '') === tag)
  if (isKnown && c.req.method !== 'PUT') return c.body(null, 304)
  return c.json(value)
}

/** The same for what has no version but what it says. */
export function sendHashed(c: Context, value: object): Response {
  return sendTagged(c, contentVersion(value), value)
}

/** The check that `If-Match` asks for. It throws a Refusal 412 for a version that the caller does not name. */
export function ifMatch(c: Context): VersionCheck {
  const header = c.req.header('if-match')
  if (header === undefined) return anyVersion
  const wanted = tagsIn(header)
  return (version) => {
    const tag = `"${version}"`
    if (wanted.includes(tag) || wanted.includes('*')) return
    throw new Refusal(
      412,
      'precondition-failed',
      `If-Match names ${header}, and what is stored now is ${tag}: somebody has changed it; read it again`,
      { headers: { ETag: tag } },
    )
  }
}
