/**
 * What every page handler has at hand.
 * @module
 */
import type { Context } from 'hono'
import type { Html } from '../../views/html.ts'
import type { Frame, Viewer } from '../../views/layout.ts'
import type { StaticFiles } from '../assets.ts'
import type { LiveStreams } from '../live_stream.ts'
import type { Services } from '../services.ts'
import type { PageEnv } from '../session_guard.ts'
import { ConflictError, InvalidInputError } from '../../domain/errors.ts'
import { RevisionConflictError } from '../../store/store.ts'

/** Services, static files and streams. */
export interface PageContext {
  services: Services
  assets: StaticFiles
  streams: LiveStreams
}

/** The person who looks. */
export function viewerOf(c: Context<PageEnv>): Viewer {
  const { user } = c.get('signedIn')
  return { userName: user.userName, role: user.role }
}

/** The frame of a page for `viewer`. */
export function frameFor({ services, assets }: PageContext, viewer: Viewer | undefined): Frame {
  return { viewer, assets: assets.urls, version: services.installation.version, now: services.clock() }
}

/** Sends a page. */
export function sendPage(
  c: Context,
  page: Html,
  status: 200 | 401 | 403 | 404 | 409 | 422 | 429 | 500 | 503 = 200,
): Response {
  return c.body(page.toString(), status, { 'Content-Type': 'text/html; charset=utf-8' })
}

/** The fields of a form, texts only; a repeated field keeps its last value. */
export async function readForm(c: Context): Promise<Record<string, string>> {
  const body = await c.req.parseBody()
  return Object.fromEntries(
    Object.entries(body).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  )
}

/** What a form is refused with that the operator can mend on the page; undefined for trouble of another kind. */
export function statusOfRefusedForm(error: unknown): 409 | 422 | undefined {
  if (error instanceof ConflictError || error instanceof RevisionConflictError) return 409
  return error instanceof InvalidInputError ? 422 : undefined
}
