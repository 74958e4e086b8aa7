/**
 * Post-launch actions: what is run on a launched machine before anybody relies on it, in MGN's words.
 *
 * A launch runs the documents of its launch configuration first, as MGN's predefined actions come before all others, then the server's own
 * actions by order. Each run goes its way alone:
 * ```
 * WAITING ── begin ──▶ IN_PROGRESS ── end well ──▶ SUCCESS
 *    └──────────── cannot run ───────────┴───────▶ FAILED
 * ```
 * @module
 */
import type { JobId, SourceServerId } from './ids.ts'

export const actionCategories = [
  'DISASTER_RECOVERY',
  'OPERATING_SYSTEM',
  'LICENSE_AND_SUBSCRIPTION',
  'VALIDATION',
  'OBSERVABILITY',
  'REFACTORING',
  'SECURITY',
  'NETWORKING',
  'CONFIGURATION',
  'BACKUP',
  'OTHER',
] as const

/** Which launches run actions. */
export const deployments = ['TEST_AND_CUTOVER', 'CUTOVER_ONLY', 'TEST_ONLY'] as const
export type Deployment = (typeof deployments)[number]

/** Why a machine is launched. */
export type LaunchPurpose = 'TEST' | 'CUTOVER'

/** A value that is kept elsewhere, by its name. */
export interface ParameterReference {
  parameterType: 'STRING' | 'SECURE_STRING'
  parameterName: string
}

/** Where a document's parameters come from: kept values, or a path into the source server. */
export interface ActionParameters {
  parameters?: Record<string, ParameterReference[]>
  externalParameters?: Record<string, { dynamicPath: string }>
}

/** An action of a server or a template. */
export interface PostLaunchAction extends ActionParameters {
  actionID: string
  actionName: string
  documentIdentifier: string
  documentVersion: string
  order: number
  active: boolean
  timeoutSeconds: number
  mustSucceedForCutover: boolean
  description?: string
  category?: (typeof actionCategories)[number]
  /** Of a template's: only servers with this system take it. */
  operatingSystem?: 'linux' | 'windows'
}

/** A document that the launch configuration itself names. */
export interface LaunchDocument extends ActionParameters {
  actionName: string
  ssmDocumentName: string
  timeoutSeconds?: number
  mustSucceedForCutover?: boolean
}

/** The part of a launch configuration that is about actions. */
export interface PostLaunchSettings {
  deployment?: Deployment
  ssmDocuments?: LaunchDocument[]
}

/** Most actions of one server or template, and most bytes of them as JSON: they lie in its item. */
export const maxActions = 100
export const maxActionsBytes = 65_536

/** How a run went, as the server remembers it. */
export interface ActionOutcome {
  /** Names the action among those of its server. */
  key: string
  actionName: string
  status: 'SUCCESS' | 'FAILED'
  failureReason?: string
  /** It had to succeed when it ran; what counts for the next step is which actions there are then. */
  mustSucceedForCutover?: true
}

/** What a server has of actions. */
export interface PostLaunch {
  actions: PostLaunchAction[]
  /** Of the last good launch of each purpose. */
  lastRuns?: Partial<Record<LaunchPurpose, ActionOutcome[]>>
}

/** One action in a launch: what is to be run, and how far it is. */
export interface ActionRun extends ActionParameters {
  key: string
  actionName: string
  documentIdentifier: string
  timeoutSeconds: number
  mustSucceedForCutover: boolean
  status: 'WAITING' | 'IN_PROGRESS' | 'SUCCESS' | 'FAILED'
  /** The command in the cloud, once it was sent. */
  executionId?: string
  startedAt?: string
  endedAt?: string
  failureReason?: string
}

/** The actions of one server in one job. */
export interface LaunchRuns {
  jobId: JobId
  sourceServerId: SourceServerId
  /** When the machine first answered. */
  discoveredAt?: string
  runs: ActionRun[]
}

/** Longest reason that MGN's shapes take. */
const maxReasonLength = 256

/** By order, then by id, so that the same actions always run in the same order. */
export function byOrder(one: PostLaunchAction, other: PostLaunchAction): number {
  return one.order - other.order || (one.actionID < other.actionID ? -1 : 1)
}

/** The first run that is not over. */
export function openRun({ runs }: LaunchRuns): { run: ActionRun; index: number } | undefined {
  const index = runs.findIndex(({ status }) => status === 'WAITING' || status === 'IN_PROGRESS')
  const run = runs[index]
  return run === undefined ? undefined : { run, index }
}

/**
 * `launch` with the run at `index` changed; the same object when that has begun or is over already: a worker that stood still while another
 * went on changes nothing any more.
 */
export function withRun(launch: LaunchRuns, index: number, change: Partial<ActionRun>): LaunchRuns {
  const known = launch.runs[index]?.status
  const isOpen = known === 'WAITING' || (known === 'IN_PROGRESS' && change.status !== 'IN_PROGRESS')
  if (!isOpen) return launch
  return { ...launch, runs: launch.runs.map((run, own) => (own === index ? { ...run, ...change } : run)) }
}

/** How a run that failed is written down. */
export function failed(reason: string, at: string): Partial<ActionRun> {
  const failureReason = reason.length <= maxReasonLength ? reason : `${reason.slice(0, maxReasonLength - 1)}…`
  return { status: 'FAILED', failureReason, endedAt: at }
}

/** What the server remembers of runs that are over. */
export function outcomesOf(runs: readonly ActionRun[]): ActionOutcome[] {
  return runs.flatMap(({ key, actionName, status, failureReason, mustSucceedForCutover }) =>
    status === 'SUCCESS' || status === 'FAILED'
      ? [
          {
            key,
            actionName,
            status,
            ...(failureReason === undefined ? {} : { failureReason }),
            ...(mustSucceedForCutover ? { mustSucceedForCutover } : {}),
          },
        ]
      : [],
  )
}
