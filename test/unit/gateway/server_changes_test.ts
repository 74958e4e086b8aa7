import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ChangeNotice } from '../../../queues/changes.ts'
import { changeServer } from '../../../gateway/server_changes.ts'
import { changeServer as changeAsWorker } from '../../../workers/bench.ts'
import { withEvent } from '../../../domain/source_server.ts'
import { enrolServer, putServer } from './callers.ts'
import type { TestGateway } from './support.ts'
import { testGateway } from './support.ts'

let gateway: TestGateway

beforeEach(async () => {
  gateway = await testGateway()
})

afterEach(() => gateway.close())

it.each(['gateway', 'worker'] as const)(
  'a change by the %s is told with whether events wait in the server for the relay',
  async (who) => {
    const { sourceServerId } = await enrolServer(gateway)
    await putServer(gateway, sourceServerId, (server) => ({ ...server, outbox: [] }))
    const notices: ChangeNotice[] = []
    gateway.changes.listen((notice) => notices.push(notice))
    const change =
      who === 'gateway'
        ? changeServer.bind(undefined, gateway.services)
        : changeAsWorker.bind(undefined, gateway)
    const at = '2026-03-01T12:00:00.000Z'
    await change(sourceServerId, (server) => ({ ...server, agent: { ...server.agent, lastSeenAt: at } }))
    await change(sourceServerId, (server) => withEvent(server, at, { type: 'AGENT', message: 'A note' }))
    const told = notices.filter(({ kind, id }) => kind === 'server' && id === sourceServerId)
    expect(told.map(({ hasEvents }) => hasEvents)).toEqual([false, true])
  },
)
