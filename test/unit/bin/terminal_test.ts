import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { columnLines } from '../../../bin/commands/columns.ts'
import { visible, visibleLine } from '../../../bin/terminal.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { withEvent } from '../../../domain/source_server.ts'
import { relayById } from '../../../workers/relay.ts'
import { webhookBench } from '../../fixtures/webhook_world.ts'
import { enrolServer, putServer } from '../gateway/callers.ts'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

/** Puts text into the clipboard, clears the screen, does so by one byte, and turns the writing round. */
const hostile = 'x\u001b]52;c;cm0gLXJm\u0007\u001b[2J\u009b2J\r\u202ey'
const shown = 'x\\u001b]52;c;cm0gLXJm\\u0007\\u001b[2J\\u009b2J\\u000d\\u202ey'

describe('visible()', () => {
  it('writes out what terminals obey, and nothing else', () => {
    expect(visible(hostile)).toBe(shown)
    const plain = 'a\tb\nZürich 東京 “q” 🙂'
    expect(visible(plain)).toBe(plain)
    expect(visibleLine('a\nb\u2028c')).toBe('a\\u000ab\\u2028c')
  })

  it('leaves JSON that says the same', () => {
    expect(JSON.parse(visible(JSON.stringify({ own: hostile }, null, 2)))).toEqual({ own: hostile })
  })
})

describe('columnLines()', () => {
  it('keeps each row on a line of its own, below the others', () => {
    expect(
      columnLines([
        ['A', 'B'],
        ['one\ntwo', hostile],
      ]),
    ).toEqual([`A             B`, `one\\u000atwo  ${shown}`])
  })
})

describe('commands', () => {
  let cli: CliGateway
  beforeEach(async () => {
    cli = await cliGateway('operator')
  })
  afterEach(() => cli.close())

  it('obey nothing that the machine or its agent has said', { timeout: 120_000 }, async () => {
    const { sourceServerId } = await enrolServer(cli.gateway)
    const error = { error: 'UNSTABLE_NETWORK', rawError: hostile, whatToDo: 'wait' } as const
    await putServer(cli.gateway, sourceServerId, (own: SourceServer): SourceServer => {
      const stalled = { ...own.replication, state: 'STALLED', error } as const
      const ready = { ...own.lifecycle, state: 'READY_FOR_TEST' } as const
      const { activeTask: _none, ...rest } = own
      const said = { type: 'AGENT', actor: 'agent', message: hostile } as const
      return withEvent({ ...rest, lifecycle: ready, replication: stalled }, own.createdAt, said)
    })
    const { store, now } = cli.gateway
    await relayById(webhookBench(store, now), sourceServerId)
    expect((await cli.rehost('servers')).stdout).toContain(`UNSTABLE_NETWORK: ${shown}. wait`)
    expect((await cli.rehost('test', sourceServerId)).stderr).toContain(`replication is stalled: ${shown}`)
    expect((await cli.rehost('events')).stdout).toContain(shown)
    const [listed] = JSON.parse((await cli.rehost('servers', '--json')).stdout) as SourceServer[]
    expect(listed?.replication.error).toEqual(error)
  })
})
