/**
 * Every step by name. The order in which a task takes them is in `queues/task_steps.ts`.
 * @module
 */
import type { StepName } from '../queues/task_steps.ts'
import type { Step } from './step.ts'
import { uninstallAgent } from './cleanup/agent.ts'
import { completeCutoverStep } from './cleanup/cutover.ts'
import { detachMachine, terminateMachine } from './cleanup/machine.ts'
import { deleteRecords } from './cleanup/records.ts'
import { releaseStaging, removeStaging } from './cleanup/staging.ts'
import { convertImage, createImage } from './conversion/convert_step.ts'
import { checkBoot } from './launch/check_boot.ts'
import { runActions } from './launch/actions.ts'
import { launchMachine, terminatePrevious } from './launch/machine.ts'
import { requestConsistencyPoint } from './snapshot/consistency_point.ts'
import { createSnapshots } from './snapshot/snapshots.ts'
import { extendStaging } from './staging/extend.ts'
import { launchReplicationServer, waitForReplicationServer } from './staging/replication_server.ts'
import { attachVolumes, createVolumes, pairWithAgent } from './staging/volumes.ts'

/** The steps; the type makes sure that none is missing. */
export const steps: Readonly<Record<StepName, Step>> = {
  'launch-replication-server': launchReplicationServer,
  'wait-for-replication-server': waitForReplicationServer,
  'create-volumes': createVolumes,
  'attach-volumes': attachVolumes,
  'pair-with-agent': pairWithAgent,
  'extend-staging': extendStaging,
  'terminate-previous': terminatePrevious,
  'request-consistency-point': requestConsistencyPoint,
  'create-snapshots': createSnapshots,
  'create-image': createImage,
  convert: convertImage,
  'launch-machine': launchMachine,
  'check-boot': checkBoot,
  'run-actions': runActions,
  'terminate-machine': terminateMachine,
  'detach-machine': detachMachine,
  'complete-cutover': completeCutoverStep,
  'uninstall-agent': uninstallAgent,
  'release-staging': releaseStaging,
  'remove-staging': removeStaging,
  'delete-records': deleteRecords,
}
