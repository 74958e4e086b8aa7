/**
 * The table of all operations.
 * @module
 */
import type { Operation } from './operation.ts'
import { applicationOperations } from './operations/applications.ts'
import { actionDocumentOperations } from './operations/action_documents.ts'
import { connectorOperations } from './operations/connectors.ts'
import { jobOperations } from './operations/jobs.ts'
import { launchConfigurationOperations } from './operations/launch_configuration.ts'
import { launchTemplateOperations } from './operations/launch_templates.ts'
import { lifecycleOperations } from './operations/lifecycle.ts'
import { replicationConfigurationOperations } from './operations/replication_configuration.ts'
import { replicationControlOperations } from './operations/replication_control.ts'
import { replicationTemplateOperations } from './operations/replication_templates.ts'
import { serviceOperations } from './operations/service.ts'
import { sourceServerOperations } from './operations/source_servers.ts'
import { tagOperations } from './operations/tags.ts'
import { transferOperations } from './operations/transfers.ts'
import { waveOperations } from './operations/waves.ts'

/** Every operation that is answered. */
export const operations: readonly Operation[] = [
  ...serviceOperations,
  ...sourceServerOperations,
  ...lifecycleOperations,
  ...replicationControlOperations,
  ...replicationConfigurationOperations,
  ...launchConfigurationOperations,
  ...replicationTemplateOperations,
  ...launchTemplateOperations,
  ...jobOperations,
  ...applicationOperations,
  ...waveOperations,
  ...connectorOperations,
  ...actionDocumentOperations,
  ...transferOperations,
  ...tagOperations,
]
