/**
 * What a page says after something was done. The address carries a name from this list, never a text.
 * @module
 */
import type { ServerAction } from '../../domain/actions.ts'
import type { Message } from '../../views/layout.ts'
import { actionSlugs } from '../actions.ts'

const actionMessages: Record<ServerAction, string> = {
  START_TEST: 'The test machine is being launched. Its progress is shown below and in the launch history.',
  MARK_READY_FOR_CUTOVER: 'Marked ready for cutover.',
  REVERT_TO_READY_FOR_TEST: 'Reverted to ready for test.',
  START_CUTOVER:
    'The cutover machine is being launched. Its progress is shown below and in the launch history.',
  REVERT_TO_READY_FOR_CUTOVER: 'Reverted to ready for cutover.',
  FINALIZE: 'The cutover is being finalized.',
  TERMINATE: 'The launched machine is being terminated.',
  PAUSE: 'The agent is told to pause.',
  RESUME: 'The agent is told to go on.',
  STOP_REPLICATION: 'Replication is stopped.',
  START_REPLICATION: 'Replication is being started.',
  RESCAN: 'The agent is told to compare all blocks again.',
  VERIFY: 'The agent is told to verify the copies. The result is shown on this page.',
  RETRY: 'Replication is tried again.',
  DISCONNECT: 'The server is being disconnected.',
  ARCHIVE: 'Archived. The server is in the list under Archived.',
  DELETE: 'The server is being deleted.',
}

const otherMessages: Record<string, string> = {
  bandwidth: 'Bandwidth settings saved.',
  'launch-configuration': 'Launch settings saved.',
  protection: 'Settings of consistency points and new disks saved.',
  'disk-taken': 'The disk is taken and gets its volume.',
  'disk-refused': 'The disk is left out. It may still be taken later.',
  'replication-configuration': 'Replication settings saved. The agent follows them with its next report.',
  'access-key-disabled': 'The access key is disabled: nobody can use it until it is enabled again.',
  'access-key-enabled': 'The access key is enabled again.',
  'access-key-deleted': 'The access key is deleted.',
  'parameter-kept': 'The parameter is kept.',
  'parameter-deleted': 'The parameter is deleted.',
  'token-revoked': 'The token is revoked.',
  'webhook-saved': 'Webhook saved.',
  'webhook-test': 'The test is being sent. Load this page again in a moment to see what was answered.',
  'webhook-again': 'It is sent again.',
  'webhook-deleted': 'The webhook is deleted.',
}

/** The message that `done` in a page's address names; undefined for none and for an unknown one. */
export function doneMessage(done: string | undefined): Message | undefined {
  if (done === undefined) return undefined
  const action = Object.entries(actionSlugs).find(([, slug]) => slug === done)?.[0] as
    ServerAction | undefined
  const text =
    action === undefined
      ? Object.hasOwn(otherMessages, done)
        ? otherMessages[done]
        : undefined
      : actionMessages[action]
  return text === undefined ? undefined : { tone: 'good', text }
}
