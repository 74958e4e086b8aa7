/**
 * Actions as people read them: the button, and what is asked before it is done.
 * @module
 */
import type { ServerAction } from '../domain/actions.ts'
import type { IconName } from './icons.ts'

/** An action as a button and as a question. */
export interface ActionWord {
  button: string
  icon: IconName
  /** What it does, asked before it is done. */
  effect: string
  tone: 'primary' | 'plain' | 'danger'
  /** Done at once, without asking. */
  isHarmless?: true
}

export const actionWords: Record<ServerAction, ActionWord> = {
  START_TEST: {
    button: 'Launch test machine',
    icon: 'flask',
    effect:
      'A snapshot of the replica is taken at a consistent moment, converted, and booted in a network of its own. Replication goes on, and the source server is not touched. A test machine that was launched before is terminated first.',
    tone: 'primary',
  },
  MARK_READY_FOR_CUTOVER: {
    button: 'Mark ready for cutover',
    icon: 'check',
    effect:
      'You say that the test was good. The test machine stays until the cutover is launched or you terminate it.',
    tone: 'primary',
  },
  REVERT_TO_READY_FOR_TEST: {
    button: 'Revert to ready for test',
    icon: 'back',
    effect:
      'The server goes back to ready for test, and the launched machine is terminated with everything written on it.',
    tone: 'danger',
  },
  START_CUTOVER: {
    button: 'Launch cutover machine',
    icon: 'flag',
    effect:
      'A last snapshot is taken at a consistent moment, converted, and booted as the new production machine. Stop the applications on the source first, so that nothing is written after the snapshot. The test machine is terminated.',
    tone: 'primary',
  },
  REVERT_TO_READY_FOR_CUTOVER: {
    button: 'Revert to ready for cutover',
    icon: 'back',
    effect:
      'The cutover machine is terminated with everything written on it; replication goes on, and the cutover can be launched again.',
    tone: 'danger',
  },
  FINALIZE: {
    button: 'Finalize cutover',
    icon: 'flag',
    effect:
      'The migration ends: the agent is uninstalled from the source server and the staging area with its replica is removed. The launched machine stays. This cannot be undone.',
    tone: 'primary',
  },
  TERMINATE: {
    button: 'Terminate launched machine',
    icon: 'stop',
    effect: 'The launched machine is terminated with everything written on it. Replication goes on.',
    tone: 'danger',
  },
  PAUSE: {
    button: 'Pause replication',
    icon: 'pause',
    effect: 'Nothing is copied until you resume; changes are remembered meanwhile.',
    tone: 'plain',
    isHarmless: true,
  },
  RESUME: {
    button: 'Resume replication',
    icon: 'play',
    effect: 'Copying goes on where it stopped.',
    tone: 'plain',
    isHarmless: true,
  },
  STOP_REPLICATION: {
    button: 'Stop replication',
    icon: 'stop',
    effect:
      'Copying ends and changes are no longer followed. The replica stays; when replication is started again every block is compared with it.',
    tone: 'danger',
  },
  START_REPLICATION: {
    button: 'Start replication',
    icon: 'play',
    effect: 'Every block is compared with the replica, what differs is sent, and changes are followed again.',
    tone: 'primary',
    isHarmless: true,
  },
  RESCAN: {
    button: 'Rescan disks',
    icon: 'sync',
    effect: 'Every block is compared with the replica, and those that differ are sent again.',
    tone: 'plain',
    isHarmless: true,
  },
  VERIFY: {
    button: 'Verify copies',
    icon: 'shield',
    effect:
      'Every block is read on the source and on the staging disk and compared; what differs is named and sent again. Replication goes on meanwhile.',
    tone: 'plain',
    isHarmless: true,
  },
  RETRY: {
    button: 'Try replication again',
    icon: 'sync',
    effect: 'What is missing of the staging area is made, and the agent is told to go on.',
    tone: 'primary',
    isHarmless: true,
  },
  DISCONNECT: {
    button: 'Disconnect',
    icon: 'unplug',
    effect:
      'Replication ends: the agent is uninstalled from the source server, and the replica and its staging area are removed. A launched machine stays. To migrate the server later, its first copy starts over.',
    tone: 'danger',
  },
  ARCHIVE: {
    button: 'Archive',
    icon: 'archive',
    effect: 'The server leaves this list; its history stays under Archived.',
    tone: 'primary',
  },
  DELETE: {
    button: 'Delete',
    icon: 'trash',
    effect: 'The records of this server, its events and its history are deleted. This cannot be undone.',
    tone: 'danger',
  },
}
