/**
 * Jobs and the lines of their logs as MGN shows them.
 * @module
 */
import type { Job, JobLogEvent, JobLogItem } from '../../../domain/job.ts'
import type { LaunchRuns } from '../../../domain/post_launch_action.ts'
import type { Account } from '../account.ts'
import { arnOf } from '../account.ts'
import { mgnTime, mgnTimeOf } from './times.ts'

/** The shape Job. */
export function mgnJob(job: Job, account: Account, launches: readonly LaunchRuns[] = []): object {
  return {
    jobID: job.jobId,
    arn: arnOf(account, 'job', job.jobId),
    type: job.type,
    initiatedBy: job.initiatedBy,
    creationDateTime: mgnTime(job.createdAt),
    ...mgnTimeOf('endDateTime', job.endedAt),
    status: job.status,
    participatingServers: job.participatingServers.map(({ sourceServerId, launchStatus, machineId }) => {
      const launch = launches.find((own) => own.sourceServerId === sourceServerId)
      return {
        sourceServerID: sourceServerId,
        launchStatus,
        ...(machineId === undefined ? {} : { launchedEc2InstanceID: machineId }),
        ...(launch === undefined ? {} : { postLaunchActionsStatus: actionsStatus(launch) }),
      }
    }),
    tags: job.tags ?? {},
  }
}

/** The shape PostLaunchActionsStatus; what has not begun has no status there. */
function actionsStatus({ discoveredAt, runs }: LaunchRuns): object {
  return {
    ...mgnTimeOf('ssmAgentDiscoveryDatetime', discoveredAt),
    postLaunchActionsLaunchStatusList: runs
      .filter(({ status }) => status !== 'WAITING')
      .map(({ actionName, documentIdentifier, status, executionId, failureReason, ...run }) => ({
        ssmDocument: {
          actionName,
          ssmDocumentName: documentIdentifier,
          timeoutSeconds: run.timeoutSeconds,
          mustSucceedForCutover: run.mustSucceedForCutover,
          parameters: run.parameters ?? {},
          externalParameters: run.externalParameters ?? {},
        },
        ssmDocumentType: 'COMMAND',
        ...(executionId === undefined ? {} : { executionID: executionId }),
        executionStatus: status,
        ...(failureReason === undefined ? {} : { failureReason }),
      })),
  }
}

/** Lines of Rehost's own, which MGN's clients do not know; the job's status tells them of actions. */
const ownEvents: readonly JobLogEvent[] = ['ACTION_START', 'ACTION_END', 'ACTION_FAIL']

/** Whether MGN has such a line. */
export function isMgnJobLog({ event }: JobLogItem): boolean {
  return !ownEvents.includes(event)
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
