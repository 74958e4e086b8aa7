import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { readSupervisorConfig } from '../../../bin/supervisor/config.ts'
import { checkBeforeStart, placeProblem } from '../../../bin/supervisor/preflight.ts'

/** Lines about ports and hosts; which tools this machine has is no matter. */
async function problemsOf(environment: Record<string, string>): Promise<string[]> {
  const config = readSupervisorConfig({ REHOST_STORE: 'dynamodb', ...environment })
  const told = await checkBeforeStart(config, '').catch((error: Error) => error.message)
  return (told ?? '').split('\n').filter((line) => !line.startsWith('Cannot find'))
}

describe('checkBeforeStart()', () => {
  // The range is for documentation: no machine has it.
  const nobodys = '192.0.2.1'

  it('names the variable of a host that this machine does not have, once for all its ports', async () => {
    const advice = 'to an address of this machine, or to 0.0.0.0 for all of them'
    const words = (variable: string) =>
      `Cannot listen on ${nobodys} (EADDRNOTAVAIL): this machine does not have that address; set ${variable} ${advice}`
    const both = { REHOST_LISTEN_HOST: nobodys, REHOST_HTTP_HOST: nobodys }
    expect(await problemsOf(both)).toEqual([words('REHOST_HTTP_HOST'), words('REHOST_LISTEN_HOST')])
  })

  it('names the variable of a port that is taken', async () => {
    const holder = createServer()
    holder.listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as AddressInfo
    const problems = await problemsOf({ REHOST_HTTP_PORT: String(port), REHOST_LISTEN_HOST: nobodys })
    expect(problems[0]).toBe(
      `Port ${port} on 127.0.0.1 is taken: stop what uses it (ss -ltnp 'sport = :${port}' shows it) or set REHOST_HTTP_PORT`,
    )
    holder.close()
    await once(holder, 'close')
  })
})

describe('placeProblem()', () => {
  const place = {
    host: 'nonsense',
    port: 8443,
    hostVariable: 'REHOST_LISTEN_HOST',
    portVariable: 'REHOST_AGENT_PORT',
  }

  it.each([
    [
      'ENOTFOUND',
      'Cannot listen on nonsense (ENOTFOUND): there is no host of that name; set REHOST_LISTEN_HOST to',
    ],
    [
      'EAI_AGAIN',
      'Cannot listen on nonsense (EAI_AGAIN): the name cannot be looked up now; set REHOST_LISTEN_HOST to',
    ],
    [
      'EAFNOSUPPORT',
      'Cannot listen on nonsense (EAFNOSUPPORT): this machine has no addresses of that kind; set REHOST_LISTEN_HOST to',
    ],
    ['EINVAL', 'as fe80::1%eth0; set REHOST_LISTEN_HOST to'],
    ['EACCES', 'Cannot listen on nonsense:8443 (EACCES): set REHOST_AGENT_PORT to a port'],
  ])('tells a host that is wrong from a port: %s', (reason, words) => {
    expect(placeProblem(place, reason)).toContain(words)
  })
})
