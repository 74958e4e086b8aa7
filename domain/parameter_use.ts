/**
 * Which post-launch actions take a parameter. Pure.
 * @module
 */
import type { ActionParameters } from './post_launch_action.ts'
import type { SourceServer } from './source_server.ts'
import type { LaunchTemplate } from './template.ts'

/** Actions that a sentence names. */
const actionsNamed = 5

function takes({ parameters = {} }: ActionParameters, name: string): boolean {
  return Object.values(parameters)
    .flat()
    .some(({ parameterName }) => parameterName === name)
}

/** The actions that take the parameter, each with whose it is. An archived server is not launched any more. */
export function actionsTaking(
  name: string,
  servers: readonly Pick<
    SourceServer,
    'sourceServerId' | 'isArchived' | 'postLaunch' | 'launchConfiguration'
  >[],
  templates: readonly LaunchTemplate[],
): string[] {
  const owners = [
    ...servers
      .filter(({ isArchived }) => !isArchived)
      .map(({ sourceServerId, postLaunch, launchConfiguration }) => ({
        whose: `server ${sourceServerId}`,
        actions: [
          ...(launchConfiguration.postLaunchActions?.ssmDocuments ?? []),
          ...(postLaunch?.actions ?? []),
        ],
      })),
    ...templates.map(({ launchTemplateId, postLaunchActions, actions = [] }) => ({
      whose: `template ${launchTemplateId}`,
      actions: [...(postLaunchActions?.ssmDocuments ?? []), ...actions],
    })),
  ]
  return owners.flatMap(({ whose, actions }) =>
    actions.filter((action) => takes(action, name)).map(({ actionName }) => `“${actionName}” of ${whose}`),
  )
}

/** They in a sentence. */
export function actionsInWords(actions: readonly string[]): string {
  const more = actions.length - actionsNamed
  return actions.slice(0, actionsNamed).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
