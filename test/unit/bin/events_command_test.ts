import { createServer } from 'node:http'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ApiClient } from '../../../bin/api_client.ts'
import { comingEvents } from '../../../bin/event_reader.ts'
import type { EventEnvelope } from '../../../domain/event_envelope.ts'
import type { SourceServerId } from '../../../domain/ids.ts'
import { relayById } from '../../../workers/relay.ts'
import { until } from '../../fixtures/waiting.ts'
import { happen, putQuietServer, webhookBench } from '../../fixtures/webhook_world.ts'
import type { CliGateway } from './cli_gateway.ts'
import { cliGateway } from './cli_gateway.ts'

describe('rehost events', () => {
  let cli: CliGateway
  let server: SourceServerId

  beforeEach(async () => {
    cli = await cliGateway('viewer')
    server = await putQuietServer(cli.gateway.store, cli.gateway.now().toISOString())
  })

  afterEach(() => cli.close())

  async function tell(count: number): Promise<void> {
    const { store, now } = cli.gateway
    for (let made = 0; made < count; made++) await happen(store, server, now().toISOString())
    await relayById(webhookBench(store, now), server)
  }

  it('shows what has happened, in order, from where it is told', { timeout: 60_000 }, async () => {
    await tell(3)
    const all = (await cli.rehost('events')).stdout.trimEnd().split('\n')
    expect(all.length).toBeGreaterThanOrEqual(3)
    for (const shown of all) expect(shown).toMatch(new RegExp(`^\\d+\\.[01]  2026-03-01T.*${server}  `))
    const [place = ''] = all[1]?.split('  ') ?? []
    const rest = await cli.rehost('events', '--after', place, '--json')
    const envelopes = rest.stdout
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as EventEnvelope)
    expect(envelopes).toHaveLength(all.length - 2)
    expect(envelopes.at(-1)?.detail['source-server-id']).toBe(server)
    const none = await cli.rehost('events', '--pattern', '{"source":["nobody"]}')
    expect(none).toMatchObject({ stdout: '', stderr: '' })
    expect(await cli.rehost('events', '--pattern', '{')).toMatchObject({
      code: 1,
      stderr: 'Cannot read the pattern: it is not JSON\n',
    })
  })

  it('--follow shows what comes, and ends in order when it is stopped', { timeout: 60_000 }, async () => {
    await tell(1)
    const child = cli.start('events', '--follow', '--json')
    const ended = new Promise((resolve) => child.once('close', resolve))
    let shown = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      shown += chunk.toString()
    })
    try {
      await until('it reads', () => Promise.resolve(cli.gateway.services.eventStreams.count === 1))
      await tell(2)
      await until('both are shown', () => Promise.resolve(shown.split('\n').length >= 3))
      const sequences = shown
        .trimEnd()
        .split('\n')
        .map((text) => (JSON.parse(text) as EventEnvelope).detail['sequence'])
      expect(sequences).not.toContain(1)
    } finally {
      child.kill('SIGINT')
    }
    expect(await ended).toBe(0)
  })
})

describe('comingEvents()', () => {
  it('goes on after a break where it was, also when nothing had come by then', async () => {
    const asked: (string | undefined)[] = []
    const envelope = (id: string) => `data: ${JSON.stringify({ id })}\n\n`
    const answers: ((response: ServerResponse) => void)[] = [
      (response) => response.write(': events follow\nid: 7.9\n\n', () => response.destroy()),
      (response) => response.end(`id: 8.0\n${envelope('a')}id: 8.1\n${envelope('b').slice(0, 9)}`),
      (response) => response.writeHead(503, { 'Retry-After': '0' }).end('{"detail":"Not now"}'),
      (response) => response.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad Gateway</h1>'),
      (response) => response.writeHead(503).end(),
      (response) => response.writeHead(504).end('upstream timed out'),
      (response) => response.writeHead(429, { 'Retry-After': '0' }).end('{"detail":"Too many"}'),
      (response) => response.end(`id: 8.1\n${envelope('b')}`),
      (response) => response.writeHead(403).end('{"detail":"The token is gone"}'),
    ]
    const service = createServer((request, response) => {
      asked.push(request.headers['last-event-id'] as string | undefined)
      answers.shift()?.(response)
    })
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
    const { port } = service.address() as AddressInfo
    const api = new ApiClient({ baseUrl: `http://127.0.0.1:${port}`, token: 't' })
    const breaks: string[] = []
    const options = {
      signal: new AbortController().signal,
      onBreak: (reason: string) => breaks.push(reason),
      pauseMs: 5,
    }
    const read: string[] = []
    const all = async () => {
      for await (const { event } of comingEvents(api, {}, options)) read.push(event.id)
    }
    try {
      await expect(all()).rejects.toThrow('The token is gone')
    } finally {
      service.closeAllConnections()
      await new Promise((resolve) => service.close(resolve))
    }
    expect(read).toEqual(['a', 'b'])
    expect(asked).toEqual([undefined, '7.9', ...Array.from({ length: 6 }, () => '8.0'), '8.1'])
    expect(breaks).toEqual(
      expect.arrayContaining([
        'Not now',
        ...[502, 503, 504].map((status) => `GET /events/stream answered ${status}`),
        'Too many',
      ]),
    )
  })
})
