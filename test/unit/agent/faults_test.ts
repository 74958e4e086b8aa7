import { describe, expect, it } from 'vitest'
import { DiskGoneError, DiskRefusedError, UnreadableSectorError } from '../../../agent/disk/block_source.ts'
import { FaultKeeper } from '../../../agent/sync/fault_keeper.ts'
import { faultOf } from '../../../agent/sync/faults.ts'
import { LinkError } from '../../../agent/sync/link_error.ts'
import { agentHeartbeatSchema } from '../../../wire/control_api.ts'
import { wireErrorCodes } from '../../../wire/message.ts'
import { WireError } from '../../../wire/wire_error.ts'

const refused = new LinkError('Cannot connect', { cause: new Error('connect ECONNREFUSED') })

describe('faultOf()', () => {
  it.each([
    [
      'a vanished disk',
      new DiskGoneError('/dev/sdb', 'Gone'),
      'UNSUPPORTED_VM_CONFIGURATION',
      /Attach \/dev\/sdb again/,
    ],
    [
      'no root',
      new DiskRefusedError('/dev/sdb', 'No'),
      'UNSUPPORTED_VM_CONFIGURATION',
      /Run the agent as root/,
    ],
    ['a bad sector', new UnreadableSectorError('/dev/sdb', 512), 'NOT_CONVERGING', /smartctl -a \/dev\/sdb/],
    ['a closed port', refused, 'FAILED_TO_CONNECT_AGENT_TO_REPLICATION_SERVER', /no firewall or proxy/],
    [
      'an agent that is not known yet',
      new WireError('NOT_ASSIGNED', 'Unknown'),
      'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
      /^Wait: the replication server learns of this agent/,
    ],
    [
      'a certificate that is refused for good',
      new WireError('NOT_ASSIGNED', 'Cannot accept the certificate: it expired', { retryable: false }),
      'FAILED_TO_PAIR_REPLICATION_SERVER_WITH_AGENT',
      /install the agent again/,
    ],
    [
      'trouble of this machine',
      new Error('ENOSPC: no space left on device, write'),
      'FAILED_TO_START_DATA_TRANSFER',
      /on this machine, not on the network.*journalctl -u rehost-agent/,
    ],
  ] as const)('says what to do about %s', (_, error, code, whatToDo) => {
    const fault = faultOf(error, false)
    expect(fault.error).toBe(code)
    expect(fault.whatToDo).toMatch(whatToDo)
    expect(fault.rawError).toContain(error.message)
  })

  it('knows every reason of the replicator, and fits a heartbeat whatever it says', () => {
    const { error: schema } = agentHeartbeatSchema.shape
    for (const code of wireErrorCodes) {
      for (const retryable of [true, false]) {
        const fault = faultOf(new WireError(code, 'x'.repeat(3000), { retryable }), true)
        expect(schema.parse(fault)).toEqual(fault)
      }
    }
  })

  it('blames the network only for a connection that was there before', () => {
    expect(faultOf(refused, true).error).toBe('UNSTABLE_NETWORK')
  })
})

describe('FaultKeeper', () => {
  it('tells a broken connection when it breaks again, and everything that waits for somebody at once', () => {
    const keeper = new FaultKeeper()
    keeper.add(refused, true)
    expect(keeper.told).toBeUndefined()
    keeper.add(refused, true)
    expect(keeper.told?.rawError).toContain('ECONNREFUSED')
    for (const error of [
      new DiskGoneError('/dev/sdb', 'Gone'),
      new DiskRefusedError('/dev/sdb', 'No'),
      new WireError('NO_SPACE', 'Full'),
      new WireError('VOLUME_TOO_SMALL', 'Small'),
      new WireError('NOT_ASSIGNED', 'Expired', { retryable: false }),
    ]) {
      keeper.clear()
      keeper.add(error, true)
      expect(keeper.told?.rawError).toBe(error.message)
    }
  })

  it('tells of a replication server that does not know the agent yet only when it stays so', () => {
    const keeper = new FaultKeeper()
    const unknown = new WireError('UNKNOWN_VOLUME', 'Cannot write disk 0')
    for (let failure = 1; failure < 5; failure++) {
      keeper.add(unknown, false)
      expect([keeper.told, keeper.isPassing]).toEqual([undefined, true])
    }
    keeper.add(unknown, false)
    expect(keeper.told?.rawError).toBe('Cannot write disk 0')
    expect(keeper.isPassing).toBe(false)
    keeper.clear()
    keeper.add(refused, true)
    expect(keeper.isPassing).toBe(false)
  })

  it('waits long where trying again does not help, and not at all after a change', () => {
    const keeper = new FaultKeeper()
    keeper.add(new WireError('WRONG_SERVER', 'Another'), true)
    expect(keeper.waitMs(() => 0)).toBe(60_000)
    keeper.forgive()
    expect(keeper.waitMs(() => 0)).toBe(250)
  })
})
