/**
 * Which post-launch actions a launch of a server runs, and whether what must succeed among them has.
 * @module
 */
import type {
  ActionOutcome,
  ActionRun,
  Deployment,
  LaunchDocument,
  LaunchPurpose,
  PostLaunchAction,
} from './post_launch_action.ts'
import type { SourceServer } from './source_server.ts'
import { standardCommandSeconds } from './command_document.ts'
import { byOrder } from './post_launch_action.ts'

function applies(deployment: Deployment = 'TEST_AND_CUTOVER', purpose: LaunchPurpose): boolean {
  return deployment === 'TEST_AND_CUTOVER' || deployment === `${purpose}_ONLY`
}

function ofDocument(document: LaunchDocument): ActionRun {
  const { actionName, ssmDocumentName, parameters, externalParameters } = document
  return {
    key: `document/${actionName}/${ssmDocumentName}`,
    actionName,
    documentIdentifier: ssmDocumentName,
    timeoutSeconds: document.timeoutSeconds ?? standardCommandSeconds,
    mustSucceedForCutover: document.mustSucceedForCutover ?? false,
    ...(parameters === undefined ? {} : { parameters }),
    ...(externalParameters === undefined ? {} : { externalParameters }),
    status: 'WAITING',
  }
}

function ofAction(action: PostLaunchAction): ActionRun {
  const { actionID, actionName, documentIdentifier, timeoutSeconds, mustSucceedForCutover } = action
  return {
    key: `action/${actionID}`,
    actionName,
    documentIdentifier,
    timeoutSeconds,
    mustSucceedForCutover,
    ...(action.parameters === undefined ? {} : { parameters: action.parameters }),
    ...(action.externalParameters === undefined ? {} : { externalParameters: action.externalParameters }),
    status: 'WAITING',
  }
}

/** What a launch of `server` for `purpose` runs, in order. */
export function planOfLaunch(
  server: Pick<SourceServer, 'launchConfiguration' | 'postLaunch'>,
  purpose: LaunchPurpose,
): ActionRun[] {
  const { postLaunchActions: settings } = server.launchConfiguration
  if (!applies(settings?.deployment, purpose)) return []
  const own = (server.postLaunch?.actions ?? []).filter(({ active }) => active).toSorted(byOrder)
  return [...(settings?.ssmDocuments ?? []).map(ofDocument), ...own.map(ofAction)]
}

/** `server` with the outcomes of a good launch in the place of those of the one before. */
export function withOutcomes(
  server: SourceServer,
  purpose: LaunchPurpose,
  outcomes: ActionOutcome[],
): SourceServer {
  const known = server.postLaunch
  if (known === undefined && outcomes.length === 0) return server
  const lastRuns = { ...known?.lastRuns, [purpose]: outcomes }
  return { ...server, postLaunch: { actions: known?.actions ?? [], lastRuns } }
}

/**
 * Why the last launch for `purpose` is not good enough to go on from: an action that must succeed has not. What counts is which actions
 * there are now: one that was taken away, or need not succeed any more, holds nothing up. Undefined when nothing is in the way.
 */
export function closedGate(server: SourceServer, purpose: LaunchPurpose): string | undefined {
  const outcomes = server.postLaunch?.lastRuns?.[purpose] ?? []
  for (const { key, actionName, mustSucceedForCutover } of planOfLaunch(server, purpose)) {
    if (!mustSucceedForCutover) continue
    const own = outcomes.filter((outcome) => outcome.key === key)
    const bad = own.find(({ status }) => status === 'FAILED')
    if (own.length > 0 && bad === undefined) continue
    const launch = purpose === 'TEST' ? 'test' : 'cutover'
    const what =
      bad === undefined
        ? `has not run in the last ${launch}`
        : `failed in the last ${launch} (${bad.failureReason ?? 'no reason was saved'})`
    return (
      `The post-launch action “${actionName}”, which must succeed, ${what}; ` +
      `launch the ${launch} again once it is mended, or change the action`
    )
  }
  return undefined
}
