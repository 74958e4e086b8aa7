/**
 * Jobs and the lines of their logs as MGN shows them.
 * @module
 */
import type { Job, JobLogItem } from '../../../domain/job.ts'
import type { Account } from '../account.ts'
import { arnOf } from '../account.ts'
import { mgnTime, mgnTimeOf } from './times.ts'

/** The shape Job. */
export function mgnJob(job: Job, account: Account): object {
  return {
    jobID: job.jobId,
    arn: arnOf(account, 'job', job.jobId),
    type: job.type,
    initiatedBy: job.initiatedBy,
    creationDateTime: mgnTime(job.createdAt),
    ...mgnTimeOf('endDateTime', job.endedAt),
    status: job.status,
    participatingServers: job.participatingServers.map(({ sourceServerId, launchStatus, machineId }) => ({
      sourceServerID: sourceServerId,
      launchStatus,
      ...(machineId === undefined ? {} : { launchedEc2InstanceID: machineId }),
    })),
    tags: job.tags ?? {},
  }
}

/** The shape JobLog. */
export function mgnJobLog(item: JobLogItem): object {
  return {
    logDateTime: mgnTime(item.at),
    event: item.event,
    eventData: {
      ...(item.sourceServerId === undefined ? {} : { sourceServerID: item.sourceServerId }),
      ...(item.targetInstanceId === undefined ? {} : { targetInstanceID: item.targetInstanceId }),
      ...(item.rawError === undefined ? {} : { rawError: item.rawError }),
    },
  }
}
