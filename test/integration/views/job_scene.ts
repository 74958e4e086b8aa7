/**
 * A finished launch with everything that it leaves: steps, log, serial console, screen and conversion report.
 * @module
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { JobId } from '../../../domain/ids.ts'
import type { JobLogEvent } from '../../../domain/job.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import type { Task } from '../../../domain/task.ts'
import type { TestGateway } from '../../unit/gateway/support.ts'
import { newId, taskId } from '../../../domain/ids.ts'
import { newTask } from '../../../queues/task_steps.ts'

const serialLog = `[    0.000000] Linux version 6.1.0-31-cloud-amd64
[    1.204113] virtio_blk virtio1: [vda] 167772160 512-byte logical blocks
[    2.881034] EXT4-fs (vda1): mounted filesystem with ordered data mode
[  OK  ] Started ssh.service - OpenBSD Secure Shell server.
[  OK  ] Started nginx.service - A high performance web server.
[  OK  ] Reached target multi-user.target - Multi-User System.

Ubuntu 22.04.5 LTS shop-01 ttyS0

shop-01 login: `

const log: readonly [JobLogEvent, number, string][] = [
  ['JOB_START', 4, 'Job started'],
  ['SNAPSHOT_START', 3.9, 'A consistency point is asked of the agent'],
  ['SNAPSHOT_END', 3.7, 'Snapshots of 2 disks taken at one moment'],
  ['CONVERSION_START', 3.6, 'The copy is made to boot on the target'],
  ['CONVERSION_END', 1.4, '4 changes made'],
  ['LAUNCH_START', 1.3, 'The machine is launched'],
  ['JOB_END', 0.1, 'Job ended'],
]

/** Writes a finished test launch of `server`; the id of its job. `failure` makes it one that failed in its last step. */
export async function finishedLaunch(
  gateway: TestGateway,
  server: SourceServer,
  screen: Buffer,
  failure?: string,
): Promise<JobId> {
  const { sourceServerId } = server
  const jobId = server.launchedInstance?.jobId ?? newId('job')
  const at = (minutes: number) => new Date(gateway.now().getTime() - minutes * 60_000).toISOString()
  const id = taskId('LAUNCH', sourceServerId, jobId)
  const planned = newTask(server, { taskId: id, kind: 'LAUNCH', jobId, startedAt: at(4) })
  const ends = [3.95, 3.8, 3.7, 3.6, 1.4, 1.2, 0.1]
  const task: Task = {
    ...planned,
    status: failure === undefined ? 'SUCCEEDED' : 'FAILED',
    ...(failure === undefined ? {} : { failure }),
    steps: planned.steps.map((step, index) => {
      const isFailed = failure !== undefined && index === planned.steps.length - 1
      return {
        ...step,
        status: isFailed ? 'FAILED' : failure === undefined ? 'DONE' : 'UNDONE',
        startedAt: at(ends[index - 1] ?? 4),
        endedAt: at(ends[index] ?? 0),
        attempts: index === 4 ? 2 : 0,
        ...(isFailed ? { error: failure } : {}),
      }
    }),
  }
  await gateway.store.create('task', { id }, task)
  await gateway.store.create(
    'job',
    { id: jobId },
    {
      jobId,
      type: 'LAUNCH',
      initiatedBy: 'START_TEST',
      actor: 'admin',
      status: 'COMPLETED',
      createdAt: at(4),
      endedAt: at(0.1),
      participatingServers: [
        failure === undefined
          ? { sourceServerId, launchStatus: 'LAUNCHED', machineId: newId('machine') }
          : { sourceServerId, launchStatus: 'FAILED', failure },
      ],
    },
  )
  const givenUp = ['LAUNCH_FAILED', 0.1, 'Given up; what was made is taken back'] as const
  const lines = failure === undefined ? log : [...log.slice(0, -1), givenUp, ...log.slice(-1)]
  for (const [number, [event, minutes, message]] of lines.entries()) {
    const logId = String(number).padStart(3, '0')
    await gateway.store.create(
      'jobLog',
      { parent: jobId, id: logId },
      {
        jobId,
        logId,
        at: at(minutes),
        event,
        message,
        ...(event === 'LAUNCH_FAILED' && failure !== undefined ? { rawError: failure } : {}),
      },
    )
  }
  const folder = join(gateway.folder, 'artefacts', jobId, sourceServerId)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'serial.log'), serialLog)
  await writeFile(join(folder, 'screenshot.png'), screen)
  await writeFile(
    join(folder, 'conversion.json'),
    JSON.stringify({
      changes: [
        { name: 'initramfs', detail: 'Rebuilt with virtio and NVMe drivers for kernel 6.1.0-31-cloud-amd64' },
        { name: 'fstab', detail: '/dev/sdb1 is named by its UUID' },
        { name: 'network', detail: 'DHCP on every interface, whatever it is called' },
        { name: 'agent', detail: 'Removed' },
      ],
    }),
  )
  return jobId
}
