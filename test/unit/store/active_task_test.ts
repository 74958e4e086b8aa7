import { describe, expect, it } from 'vitest'
import { applyAction } from '../../../domain/actions.ts'
import type { Task } from '../../../domain/task.ts'
import { newTask } from '../../../queues/task_steps.ts'
import { ensureActiveTask } from '../../../store/active_task.ts'
import { MemoryStore } from '../../../store/memory/store.ts'
import { addedAt, testJobId, testServer } from '../../fixtures/source_server.ts'

describe('ensureActiveTask()', () => {
  const launching = applyAction(testServer('READY_FOR_TEST', 'CONTINUOUS'), 'START_TEST', {
    at: addedAt,
    actor: 'anna',
    jobId: testJobId,
  })

  it('makes job, task and wake-up once, and leaves what has gone on since', async () => {
    const store = new MemoryStore()
    const woken: Task[] = []
    const wake = async (task: Task): Promise<void> => void woken.push(task)
    await ensureActiveTask(store, launching, { newTask, wake }, 'anna')
    const task = await store.get('task', { id: String(launching.activeTask?.taskId) })
    expect(task?.value).toMatchObject({
      kind: 'LAUNCH',
      status: 'PENDING',
      jobId: testJobId,
      initiatedBy: 'START_TEST',
    })
    expect((await store.get('job', { id: testJobId }))?.value).toEqual({
      jobId: testJobId,
      type: 'LAUNCH',
      initiatedBy: 'START_TEST',
      actor: 'anna',
      status: 'PENDING',
      createdAt: addedAt,
      participatingServers: [{ sourceServerId: launching.sourceServerId, launchStatus: 'PENDING' }],
    })
    if (task === undefined) throw new Error('No task')
    await store.replace('task', { id: task.value.taskId }, task.revision, {
      ...task.value,
      status: 'RUNNING',
    })
    await ensureActiveTask(store, launching, { newTask, wake })
    expect(woken.map(({ status }) => status)).toEqual(['PENDING', 'RUNNING'])
    expect((await store.get('job', { id: testJobId }))?.value.actor).toBe('anna')
  })

  it('does nothing for a server without work', async () => {
    const store = new MemoryStore()
    const wake = (): Promise<void> => Promise.reject(new Error('Nobody is to be woken'))
    await ensureActiveTask(store, testServer(), { newTask, wake })
    expect((await store.list('task')).items).toEqual([])
  })
})
