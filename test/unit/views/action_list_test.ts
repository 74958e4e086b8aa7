import { describe, expect, it } from 'vitest'
import type { PostLaunchAction } from '../../../domain/post_launch_action.ts'
import type { SourceServer } from '../../../domain/source_server.ts'
import { launchCard } from '../../../views/servers/side_cards.ts'
import { testServer } from '../../fixtures/source_server.ts'

function action(actionID: string, mustSucceedForCutover = false): PostLaunchAction {
  return {
    actionID,
    actionName: `<${actionID}>`,
    documentIdentifier: 'AWS-RunShellScript',
    documentVersion: '$DEFAULT',
    order: 1001,
    active: true,
    timeoutSeconds: 60,
    mustSucceedForCutover,
  }
}

/** The words of the card of launch settings. */
function words(postLaunch?: SourceServer['postLaunch']): string {
  const server = testServer('TESTING', 'CONTINUOUS', postLaunch === undefined ? {} : { postLaunch })
  const card = String(launchCard(server, { userName: 'admin', role: 'viewer' }))
  return card.replaceAll(/<[^>]*>/g, ' ').replaceAll(/\s+/g, ' ')
}

describe('the card of launch settings', () => {
  it('has each action with how it went last, for tests and cutovers', () => {
    const text = words({
      actions: [action('check', true), action('new'), { ...action('off'), active: false }],
      lastRuns: {
        TEST: [{ key: 'action/check', actionName: 'check', status: 'FAILED', failureReason: 'exit code 3' }],
        CUTOVER: [{ key: 'action/check', actionName: 'check', status: 'SUCCESS' }],
      },
    })
    expect(text).toContain(
      '&lt;check&gt; must succeed test: failed: exit code 3 cutover: succeeded &lt;new&gt; has not run',
    )
    expect(text).not.toContain('off')
  })

  it('says nothing of actions where there are none', () => {
    expect(words()).not.toContain('Actions')
  })
})
