/**
 * Which operation may answer with which error. A client that knows the model of MGN has no type for one that its operation does not declare, and code that
 * catches what is declared misses it: it is answered as a ValidationException then, as a field that is wrong is by any operation.
 * @module
 */
import { MgnError, wrongFields } from './mgn_error.ts'

/** The shapes that only some operations declare. The others may come from any: signatures, rights, rates, fields that are wrong. */
const letters = {
  ResourceNotFoundException: 'R',
  ConflictException: 'C',
  ServiceQuotaExceededException: 'Q',
} as const

/** Of each operation those that it declares: the model of `@aws-sdk/client-mgn`, to which a test holds this table. */
const declared: Readonly<Record<string, string>> = {
  ArchiveApplication: 'RCQ',
  ArchiveWave: 'RCQ',
  AssociateApplications: 'RCQ',
  AssociateSourceServers: 'RCQ',
  ChangeServerLifeCycleState: 'RC',
  CreateApplication: 'CQ',
  CreateConnector: '',
  CreateLaunchConfigurationTemplate: '',
  CreateReplicationConfigurationTemplate: '',
  CreateWave: 'CQ',
  DeleteApplication: 'RC',
  DeleteConnector: 'R',
  DeleteJob: 'RC',
  DeleteLaunchConfigurationTemplate: 'RC',
  DeleteReplicationConfigurationTemplate: 'RC',
  DeleteSourceServer: 'RC',
  DeleteVcenterClient: 'R',
  DeleteWave: 'RC',
  DescribeJobLogItems: '',
  DescribeJobs: '',
  DescribeLaunchConfigurationTemplates: 'R',
  DescribeReplicationConfigurationTemplates: 'R',
  DescribeSourceServers: '',
  DescribeVcenterClients: 'R',
  DisassociateApplications: 'RC',
  DisassociateSourceServers: 'RC',
  DisconnectFromService: 'RC',
  FinalizeCutover: 'RC',
  GetLaunchConfiguration: 'R',
  GetReplicationConfiguration: 'R',
  InitializeService: '',
  ListApplications: '',
  ListConnectors: '',
  ListExportErrors: '',
  ListExports: '',
  ListImportErrors: '',
  ListImports: '',
  ListManagedAccounts: '',
  ListSourceServerActions: 'R',
  ListTagsForResource: 'R',
  ListTemplateActions: 'R',
  ListWaves: '',
  MarkAsArchived: 'RC',
  PauseReplication: 'RCQ',
  PutSourceServerAction: 'RC',
  PutTemplateAction: 'RC',
  RemoveSourceServerAction: 'R',
  RemoveTemplateAction: 'R',
  ResumeReplication: 'RCQ',
  RetryDataReplication: 'R',
  StartCutover: 'C',
  StartExport: 'Q',
  StartImport: 'RCQ',
  StartReplication: 'RCQ',
  StartTest: 'C',
  StopReplication: 'RCQ',
  TagResource: 'R',
  TerminateTargetInstances: 'C',
  UnarchiveApplication: 'RQ',
  UnarchiveWave: 'RQ',
  UntagResource: 'R',
  UpdateApplication: 'RC',
  UpdateConnector: 'R',
  UpdateLaunchConfiguration: 'RC',
  UpdateLaunchConfigurationTemplate: 'R',
  UpdateReplicationConfiguration: 'RC',
  UpdateReplicationConfigurationTemplate: 'R',
  UpdateSourceServer: 'RC',
  UpdateSourceServerReplicationType: 'RC',
  UpdateWave: 'RC',
}

/** Whether `operation` declares `shape`; any may answer with a shape that is not in this table. */
export function declares(operation: string, shape: string): boolean {
  const letter = letters[shape as keyof typeof letters] as string | undefined
  return letter === undefined || (declared[operation] ?? '').includes(letter)
}

/**
 * `error` as `operation`, called with `given`, may answer it.
 * @returns a ValidationException of the same words where it does not declare the error's shape; of what cannot be found it names the member.
 */
export function asDeclared(operation: string, error: MgnError, given: object): MgnError {
  const { shape, message, members } = error
  if (declares(operation, shape)) return error
  const isIn = ([, value]: [string, unknown]): boolean => [value].flat().includes(members['resourceId'])
  const name = shape === 'ResourceNotFoundException' ? Object.entries(given).find(isIn)?.[0] : undefined
  if (name !== undefined) return wrongFields([{ name, message }], { cause: error })
  return new MgnError('ValidationException', message, { cause: error, members: { reason: 'other' } })
}
