import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startJob } from '../../../gateway/server_jobs.ts'
import { serverOf } from './callers.ts'
import type { MgnService } from './mgn/mgn_service.ts'
import { mgnService, readyServer } from './mgn/mgn_service.ts'

let service: MgnService

beforeEach(async () => {
  service = await mgnService()
})

afterEach(() => service.close())

describe('startJob()', () => {
  it('does not call a part failed whose server has its work, where only the task could not be written', async () => {
    const { services, store } = service.gateway
    const ids = [await readyServer(service, 'one'), await readyServer(service, 'two')].map(
      ({ sourceServerId }) => sourceServerId,
    )
    const create = store.create.bind(store)
    let failures = 1
    store.create = async (kind, key, value) => {
      if (kind === 'task' && failures-- > 0) throw new Error('The store is away')
      return create(kind, key, value)
    }
    const { jobId, participatingServers } = await startJob(services, ids, 'START_TEST', { actor: 'anna' })
    expect(participatingServers.map(({ launchStatus }) => launchStatus)).toEqual(['PENDING', 'PENDING'])
    for (const id of ids) {
      const { activeTask, outbox } = await serverOf(service.gateway, id)
      expect(activeTask?.jobId).toBe(jobId)
      const ended = outbox.filter(({ detail }) => detail['status'] === 'COMPLETED')
      expect(ended).toEqual([])
    }
  })
})
