import { describe, expect, it } from 'vitest'
import type { ImageId, MachineId } from '../../../domain/ids.ts'
import type { LaunchedInstance } from '../../../domain/source_server.ts'
import {
  enrolAgain,
  findSameMachine,
  isSameMachine,
  startAgent,
  withAgentGone,
} from '../../../domain/agent_contact.ts'
import { withAgentSilent } from '../../../domain/agent_silence.ts'
import { chooseDisks, inventoryProblem } from '../../../domain/inventory.ts'
import { later, oneDiskInventory, testJobId, testServer } from '../../fixtures/source_server.ts'

const agent = { version: '0.2.0', certificateSerial: '4B', certificateNotAfter: later(9 * 86_400) }
const enrolment = (seconds: number) => ({
  at: later(seconds),
  sourceProperties: oneDiskInventory(),
  disks: chooseDisks(oneDiskInventory().disks),
  agent,
})

describe('isSameMachine()', () => {
  it('asks for the machine id and one network address', () => {
    const one = oneDiskInventory()
    expect(isSameMachine(one, oneDiskInventory())).toBe(true)
    const clone = {
      ...one,
      networkInterfaces: [{ name: 'eth0', macAddress: '52:54:00:ff:ff:ff', ips: [], isPrimary: true }],
    }
    expect(isSameMachine(one, clone)).toBe(false)
    const other = { ...one, identificationHints: { ...one.identificationHints, machineId: 'another' } }
    expect(isSameMachine(one, other)).toBe(false)
    const { machineId: _none, ...nameless } = one.identificationHints
    expect(
      isSameMachine({ ...one, identificationHints: nameless }, { ...one, identificationHints: nameless }),
    ).toBe(false)
  })

  it('is asked of servers whose migration is not over', () => {
    const found = (server: ReturnType<typeof testServer>) => findSameMachine([server], oneDiskInventory())
    expect(found(testServer('TESTING', 'CONTINUOUS'))).toBeDefined()
    expect(found(testServer('DISCONNECTED', 'DISCONNECTED'))).toBeDefined()
    expect(found(testServer('CUTOVER', 'DISCONNECTED'))).toBeUndefined()
    expect(found(testServer('DISCONNECTED', 'DISCONNECTED', { isArchived: true }))).toBeUndefined()
  })
})

describe('enrolAgain()', () => {
  it('refuses while the agent is live', () => {
    expect(() => enrolAgain(testServer('TESTING', 'CONTINUOUS'), enrolment(5))).toThrow(
      /already, and its agent was heard/,
    )
  })

  it('keeps the replica of a server that still replicates', () => {
    const again = enrolAgain(testServer('TESTING', 'CONTINUOUS'), enrolment(60))
    expect(again.lifecycle.state).toBe('TESTING')
    expect(again.disks[0]?.volumeId).toBe('vol-00000000000000001')
    expect(again.agent).toMatchObject({ ...agent, generation: 1 })
    expect(again.activeTask).toBeUndefined()
  })

  it('begins a disconnected server again', () => {
    const server = testServer('DISCONNECTED', 'DISCONNECTED')
    const gone = {
      ...server,
      agent: { ...server.agent, desired: 'UNINSTALL' as const, uninstalledAt: later(1) },
    }
    const again = enrolAgain(gone, enrolment(5))
    expect(again).toMatchObject({
      lifecycle: { state: 'NOT_READY' },
      agent: { desired: 'REPLICATE' },
      activeTask: { kind: 'STAGING' },
    })
    expect(again.agent.uninstalledAt).toBeUndefined()
    expect(again.disks[0]?.volumeId).toBeUndefined()
    expect(again.replication.replicationServerId).toBeUndefined()
  })

  it('leaves the machine of a disconnected server to itself, and says which; a replicating server keeps it', () => {
    const launchedInstance: LaunchedInstance = {
      machineId: 'i-0000000000000000a' as MachineId,
      imageId: 'ami-00000000000000001' as ImageId,
      snapshotIds: [],
      jobId: testJobId,
      purpose: 'CUTOVER',
      launchedAt: later(1),
      firstBoot: 'SUCCEEDED',
    }
    const server = testServer('DISCONNECTED', 'DISCONNECTED', { launchedInstance })
    const again = enrolAgain(server, enrolment(60))
    expect(again.launchedInstance).toBeUndefined()
    expect(again.outbox.at(-1)).toMatchObject({
      type: 'LAUNCH',
      message: expect.stringMatching(/^Machine i-0000000000000000a was .* stays as it is/) as string,
      detail: { machineId: 'i-0000000000000000a' },
    })
    const replicating = testServer('TESTING', 'CONTINUOUS', { launchedInstance })
    expect(enrolAgain(replicating, enrolment(60)).launchedInstance).toEqual(launchedInstance)
  })
})

describe('startAgent()', () => {
  const start = (disks = oneDiskInventory().disks) => ({
    version: '0.1.1',
    bootId: 'boot',
    sourceProperties: { ...oneDiskInventory(), disks },
  })

  it.each([['starts'], ['enrols again first']])(
    'of an agent told to be silent, which %s, tells that it is heard',
    (how) => {
      const silent = withAgentSilent(testServer('READY_FOR_TEST', 'CONTINUOUS'), later(60))
      expect(silent.outbox.at(-1)?.detail).toEqual({ state: 'NOT_SEEN' })
      const back = how === 'starts' ? silent : enrolAgain(silent, enrolment(3600))
      const started = startAgent(back, start(), later(3601))
      const states = started.outbox.flatMap(({ type, detail }) => (type === 'AGENT' ? [detail['state']] : []))
      expect(states.filter((state) => state !== 'ENROLLED').slice(-3)).toEqual([
        'NOT_SEEN',
        'SEEN',
        'STARTED',
      ])
      expect(started.agent.silentSince).toBeUndefined()
      expect(started.agent.generation).toBe(silent.agent.generation + 1)
    },
  )

  it('counts generations up', () => {
    const once = startAgent(testServer('READY_FOR_TEST', 'CONTINUOUS'), start(), later(1))
    expect(once.agent).toMatchObject({ generation: 2, version: '0.1.1', lastSeenAt: later(1) })
    expect(startAgent(once, start(), later(2)).agent.generation).toBe(3)
  })

  it('follows a renamed device', () => {
    const renamed = start([
      { deviceName: '/dev/vda', sizeBytes: 1_073_741_824, stableId: 'serial-a', isBootDisk: true },
    ])
    const after = startAgent(testServer('READY_FOR_TEST', 'CONTINUOUS'), renamed, later(1))
    expect(after.disks[0]?.deviceName).toBe('/dev/vda')
    expect(inventoryProblem(after)).toBeUndefined()
  })

  it.each([
    [
      'smaller',
      [{ deviceName: '/dev/sda', sizeBytes: 1024, stableId: 'serial-a', isBootDisk: true }],
      /smaller than before: 1024 bytes/,
    ],
    [
      'gone',
      [{ deviceName: '/dev/sda', sizeBytes: 1_073_741_824, stableId: 'another', isBootDisk: true }],
      /has vanished/,
    ],
  ])('stalls with a reason when a disk is %s, and takes it back', (_name, disks, expected) => {
    const stalled = startAgent(testServer('READY_FOR_TEST', 'CONTINUOUS'), start(disks), later(1))
    expect(stalled.replication.state).toBe('STALLED')
    expect(stalled.replication.error?.rawError).toMatch(expected)
    expect(stalled.replication.error?.whatToDo.length).toBeGreaterThan(20)
    expect(stalled.outbox.at(-1)).toMatchObject({ level: 'ERROR' })
    const mended = startAgent(stalled, start(), later(2))
    expect(mended.replication.error).toBeUndefined()
  })
})

describe('withAgentGone()', () => {
  it('says so when nobody told the agent to go', () => {
    const gone = withAgentGone(testServer('READY_FOR_TEST', 'CONTINUOUS'), later(1))
    expect(gone.agent.uninstalledAt).toBe(later(1))
    expect(gone.replication).toMatchObject({ state: 'STALLED', error: { error: 'AGENT_NOT_SEEN' } })
    expect(withAgentGone(gone, later(2))).toBe(gone)
  })

  it('is silent about one that was told to', () => {
    const server = testServer('CUTOVER', 'DISCONNECTED')
    const told = withAgentGone({ ...server, agent: { ...server.agent, desired: 'UNINSTALL' } }, later(1))
    expect(told.replication.error).toBeUndefined()
  })
})

describe('chooseDisks()', () => {
  it('numbers what is not left out', () => {
    const [first, second] = chooseDisks([
      {
        deviceName: '/dev/sr0',
        sizeBytes: 1,
        stableId: 'cd',
        isBootDisk: false,
        excludedBecause: 'It is removable',
      },
      { deviceName: '/dev/sdb', sizeBytes: 2, stableId: 'b', isBootDisk: false },
      { deviceName: '/dev/sda', sizeBytes: 3, stableId: 'a', isBootDisk: true },
    ])
    expect([first?.deviceName, first?.diskIndex, second?.deviceName, second?.diskIndex]).toEqual([
      '/dev/sdb',
      0,
      '/dev/sda',
      1,
    ])
  })

  it('refuses none, with what was left out, and more than sixty', () => {
    const excluded = {
      deviceName: '/dev/sr0',
      sizeBytes: 1,
      stableId: 'cd',
      isBootDisk: false,
      excludedBecause: 'It is removable',
    }
    expect(() => chooseDisks([excluded])).toThrow(
      'No disk to replicate: /dev/sr0: It is removable. Name the disks yourself with --devices',
    )
    const many = Array.from({ length: 61 }, (_, index) => ({
      deviceName: `/dev/x${index}`,
      sizeBytes: 1,
      stableId: String(index),
      isBootDisk: false,
    }))
    expect(() => chooseDisks(many)).toThrow(/Cannot replicate 61 disks: at most 60/)
  })
})
