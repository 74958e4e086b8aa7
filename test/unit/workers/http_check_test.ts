import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { httpProblem } from '../../../workers/launch/http_check.ts'

/** A real server stands for the machine's port 80. */
let server: Server | undefined
afterEach(async () => {
  server?.closeAllConnections()
  server?.close()
})

const { signal } = new AbortController()

async function machineThat(answers: RequestListener) {
  server = createServer(answers).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { endpoints: [{ guestPort: 80, host: '127.0.0.1', port: (server.address() as AddressInfo).port }] }
}

const check = { port: 80, path: '/shop', contains: 'open' }

describe('httpProblem()', () => {
  it('is none when the page has what it should have', async () => {
    const machine = await machineThat((request, response) => response.end(`${request.url} is open`))
    expect(await httpProblem(fetch, machine, check, signal)).toBeUndefined()
  })

  it('names a page that has it not, and an answer that is none', async () => {
    const machine = await machineThat((_request, response) => response.end('closed'))
    expect(await httpProblem(fetch, machine, check, signal)).toBe('port 80/shop answered without "open"')
    server?.close()
    const failing = await machineThat((_request, response) => response.writeHead(503).end())
    expect(await httpProblem(fetch, failing, check, signal)).toBe('port 80/shop answered 503')
  })

  it('says at once that nothing answers', async () => {
    const machine = await machineThat((request) => request.socket.destroy())
    expect(await httpProblem(fetch, machine, check, signal)).toMatch(/^port 80\/shop does not answer \(/)
    expect(await httpProblem(fetch, { endpoints: [] }, check, signal)).toBe(
      'port 80 of the machine cannot be reached from here',
    )
  })

  it('does not wait for a connection that hangs when another is answered', async () => {
    let requests = 0
    const machine = await machineThat((_request, response) => {
      if (++requests > 1) response.end('open')
    })
    expect(await httpProblem(fetch, machine, check, signal)).toBeUndefined()
    expect(requests).toBe(2)
  })

  it('stops with the step', async () => {
    const machine = await machineThat(() => undefined)
    const stop = new AbortController()
    const asked = httpProblem(fetch, machine, check, stop.signal)
    stop.abort(new Error('The worker is stopping'))
    await expect(asked).rejects.toThrow('The worker is stopping')
  })
})
