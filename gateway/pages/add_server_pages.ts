/**
 * Adding a server: making the install command, and watching who comes with it or is refused.
 * @module
 */
import type { ContactModel, PortsModel } from '../../views/servers/add_page.ts'
import type { RefusedCall } from '../refusals.ts'
import type { PageEnv } from '../session_guard.ts'
import type { PageContext } from './page_context.ts'
import { Hono } from 'hono'
import { NotFoundError } from '../../domain/errors.ts'
import { isId } from '../../domain/ids.ts'
import { addServerPage, contactCard } from '../../views/servers/add_page.ts'
import { installCommand } from '../install_command.ts'
import { findHostnames } from '../job_reports.ts'
import { createInstallationToken, tokenLimits } from '../people/installation_tokens.ts'
import { requireRole } from '../session_guard.ts'
import { frameFor, readForm, sendPage, viewerOf } from './page_context.ts'

/** The routes. */
export function addServerPages(context: PageContext): Hono<PageEnv> {
  const { services, streams } = context
  const app = new Hono<PageEnv>()

  app.get('/servers/add', (c) => {
    requireRole(c, 'operator')
    return sendPage(c, addServerPage(frameFor(context, viewerOf(c)), { ports: portsOf(context) }))
  })

  app.post('/servers/add', async (c) => {
    requireRole(c, 'operator')
    const form = await readForm(c)
    const uses = Number(form['uses'] ?? '1')
    const lifetimeMs = Number(form['lifetimeMinutes'] ?? '60') * 60_000
    const problem = tokenProblem(uses, lifetimeMs)
    const frame = frameFor(context, viewerOf(c))
    if (problem !== undefined)
      return sendPage(c, addServerPage(frame, { ports: portsOf(context), problem }), 422)
    const at = services.clock().toISOString()
    const createdBy = viewerOf(c).userName
    const { token, record } = await createInstallationToken(
      services.store,
      { purpose: 'AGENT', createdBy, at, uses, lifetimeMs },
      services.random,
    )
    const contact = await contactOf(context, record.tokenId)
    const command = installCommand(services.installation, token)
    const model = { ports: portsOf(context), command, contact }
    return sendPage(c, addServerPage(frame, model, `/servers/add/${record.tokenId}/live`))
  })

  app.get('/servers/add/:token', async (c) => {
    requireRole(c, 'operator')
    const contact = await contactOf(context, c.req.param('token'))
    const model = { ports: portsOf(context), contact }
    const stream = `/servers/add/${contact.tokenId}/live`
    return sendPage(c, addServerPage(frameFor(context, viewerOf(c)), model, stream))
  })

  app.get('/servers/add/:token/live', async (c) => {
    requireRole(c, 'operator')
    const { tokenId } = await contactOf(context, c.req.param('token'))
    return streams.open(c, c.get('signedIn'), JSON.stringify(['add', tokenId]), async () => {
      const parts = new Map([['contact', contactCard(await contactOf(context, tokenId))]])
      return { frame: '', parts, whole: parts }
    })
  })
  return app
}

function tokenProblem(uses: number, lifetimeMs: number): string | undefined {
  if (!Number.isInteger(uses) || uses < 1 || uses > tokenLimits.maxUses) {
    return `The command can be for 1 to ${tokenLimits.maxUses} servers`
  }
  const isLifetimeGood = lifetimeMs >= tokenLimits.minLifetimeMs && lifetimeMs <= tokenLimits.maxLifetimeMs
  return isLifetimeGood ? undefined : 'The command can be valid for a minute to 7 days'
}

async function contactOf({ services }: PageContext, id: string): Promise<ContactModel> {
  const token = isId('token', id) ? await services.store.get('token', { id }) : undefined
  if (token?.value.purpose !== 'AGENT') throw new NotFoundError('installation token', id)
  const { tokenId, createdAt, expiresAt, usesLeft, usedBy } = token.value
  const refused = services.refusals.list(createdAt)
  const hostnames =
    usedBy.length + refused.length === 0 ? new Map<string, string>() : await findHostnames(services)
  const arrived = usedBy.flatMap((used) =>
    isId('sourceServer', used) ? [{ sourceServerId: used, hostname: hostnames.get(used) ?? used }] : [],
  )
  return {
    tokenId,
    expiresAt,
    usesLeft,
    arrived,
    refused: refused.filter((call) => isNobodys(call, hostnames)),
    now: services.clock(),
  }
}

/** Whether a refused call has no server's page to be shown on: first contact, or the agent of a server that is no longer known. */
function isNobodys({ kind, subject = '' }: RefusedCall, hostnames: ReadonlyMap<string, string>): boolean {
  return kind === 'ENROLMENT' || !hostnames.has(subject)
}

function portsOf({ services }: PageContext): PortsModel {
  const { agentUrl, agentPort, replicationPort } = services.installation
  return { publicHost: new URL(agentUrl).hostname, agentPort, replicationPort }
}
