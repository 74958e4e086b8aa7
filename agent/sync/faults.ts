/**
 * What went wrong, in the operator's words: MGN's code, what was seen, what to do.
 * @module
 */
import type { DataReplicationError, DataReplicationErrorCode } from '../../domain/replication.ts'
import type { WireErrorCode } from '../../wire/message.ts'
import { errorMessage } from '../../domain/errors.ts'
import { WireError } from '../../wire/wire_error.ts'
import {
  DiskGoneError,
  DiskRefusedError,
  OtherDiskError,
  UnreadableSectorError,
} from '../disk/block_source.ts'
import { LinkError } from './link_error.ts'

const rawErrorLength = 2000

const wireAdvice: Record<WireErrorCode, { error: DataReplicationErrorCode; whatToDo: string }> = {
  VERSION_MISMATCH: {
    error: 'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
    whatToDo:
      'Install the agent again with the command from the add-server page, so that both ends have the same version',
  },
  WRONG_SERVER: {
    error: 'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
    whatToDo: 'Uninstall the agent, and install it with a new token from the add-server page',
  },
  NOT_ASSIGNED: {
    error: 'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
    whatToDo:
      'Wait: the replication server learns of this agent within seconds; if it stays, disconnect the server and add it again',
  },
  STALE_GENERATION: {
    error: 'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
    whatToDo:
      'A newer run of this agent has taken over; if only one is running, restart it: systemctl restart rehost-agent',
  },
  UNKNOWN_VOLUME: {
    error: 'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
    whatToDo:
      'Wait until the staging disks are attached; if it stays, stop and start replication of this server',
  },
  VOLUME_TOO_SMALL: {
    error: 'UNSUPPORTED_VM_CONFIGURATION',
    whatToDo: 'The disk was enlarged after replication began: disconnect the server and add it again',
  },
  BLOCK_SIZE_MISMATCH: {
    error: 'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
    whatToDo:
      'Install the agent again with the command from the add-server page, so that both ends have the same version',
  },
  BAD_FRAME: {
    error: 'UNSTABLE_NETWORK',
    whatToDo: 'Nothing: the agent connects again and goes on from where it was',
  },
  SEQUENCE_GAP: {
    error: 'UNSTABLE_NETWORK',
    whatToDo: 'Nothing: the agent connects again and goes on from where it was',
  },
  HASH_MISMATCH: {
    error: 'UNSTABLE_NETWORK',
    whatToDo:
      'Nothing was written; the agent sends again. If it comes back often, test the memory of both machines',
  },
  OUT_OF_RANGE: { error: 'UNSUPPORTED_VM_CONFIGURATION', whatToDo: 'Disconnect the server and add it again' },
  NO_SPACE: {
    error: 'NOT_CONVERGING',
    whatToDo:
      'Make room in the staging area: free disk space there, or remove servers that are not needed; replication goes on by itself',
  },
  VOLUME_IO_ERROR: {
    error: 'NOT_CONVERGING',
    whatToDo:
      'Look at the log of the replication server and at the disk under the staging area; replication goes on by itself',
  },
  WINDOW_EXCEEDED: {
    error: 'UNSTABLE_NETWORK',
    whatToDo: 'Nothing: the agent connects again and goes on from where it was',
  },
  SHUTTING_DOWN: { error: 'UNSTABLE_NETWORK', whatToDo: 'Nothing: the replication server is restarting' },
  INTERNAL: { error: 'NOT_CONVERGING', whatToDo: 'Look at the log of the replication server' },
}

/** Refused for good before a word was exchanged: what is wrong is the certificate, and the reason says so. */
const refusedCertificate = {
  error: 'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
  whatToDo:
    'Check the clock of this machine; if it is right, install the agent again with a new command from the add-server page',
} as const

/** The fault that `error` is, as the dashboard shows it. */
export function faultOf(error: unknown, wasConnected: boolean): DataReplicationError {
  const rawError = errorMessage(error).slice(0, rawErrorLength)
  if (error instanceof DiskGoneError) {
    return {
      error: 'UNSUPPORTED_VM_CONFIGURATION',
      rawError,
      whatToDo: `Attach ${error.deviceName} again as it was; if it is gone or smaller for good, disconnect the server and add it again`,
    }
  }
  if (error instanceof OtherDiskError)
    return { error: 'UNSUPPORTED_VM_CONFIGURATION', rawError, whatToDo: error.whatToDo }
  if (error instanceof DiskRefusedError) {
    return {
      error: 'UNSUPPORTED_VM_CONFIGURATION',
      rawError,
      whatToDo: `Run the agent as root, as the command from the add-server page does, or let its user read ${error.deviceName}`,
    }
  }
  if (error instanceof UnreadableSectorError) {
    return {
      error: 'NOT_CONVERGING',
      rawError,
      whatToDo:
        `The disk fails: run smartctl -a ${error.deviceName} and replace it, or write to the sector so that the disk remaps it; ` +
        'everything else is copied, but the server cannot become ready without this block',
    }
  }
  if (error instanceof WireError) {
    const isCertificate = error.code === 'NOT_ASSIGNED' && !error.retryable
    return { rawError, ...(isCertificate ? refusedCertificate : wireAdvice[error.code]) }
  }
  if (error instanceof LinkError) {
    return {
      error: wasConnected ? 'UNSTABLE_NETWORK' : 'FAILED_TO_CONNECT_AGENT_TO_REPLICATION_SERVER',
      rawError,
      whatToDo:
        error.whatToDo ??
        'Check that this machine reaches the replication server on that address and TCP port, and that no firewall or proxy stands between',
    }
  }
  return {
    error: 'FAILED_TO_START_DATA_TRANSFER',
    rawError,
    whatToDo:
      'Something is wrong on this machine, not on the network: look at the log of the agent, journalctl -u rehost-agent; it is tried again and again',
  }
}
