import { expect, it } from 'vitest'
import { Hono } from 'hono'
import { listenHttp } from '../../../gateway/listen.ts'

it('a host that this machine does not have is told with the variable that says it', async () => {
  const where = {
    host: '192.0.2.1',
    port: 0,
    hostVariable: 'REHOST_HTTP_HOST',
    portVariable: 'REHOST_HTTP_PORT',
  }
  await expect(listenHttp(new Hono(), where)).rejects.toThrow(
    'Cannot listen: 192.0.2.1 is no address of this machine: set REHOST_HTTP_HOST to one, or to 0.0.0.0 for all of them',
  )
})
