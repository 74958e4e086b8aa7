import { describe, expect, it } from 'vitest'
import { startAgent } from '../../../domain/agent_contact.ts'
import { copyInWords, withBoot, withCopyTold } from '../../../domain/machine_copy.ts'
import type { SourceProperties, SourceServer } from '../../../domain/source_server.ts'
import { later, oneDiskInventory, testServer } from '../../fixtures/source_server.ts'

const served = (): SourceServer => testServer('TESTING', 'CONTINUOUS')

function machine(changes: { machineId?: string; macAddress?: string }): SourceProperties {
  const inventory = oneDiskInventory()
  const { machineId = inventory.identificationHints.machineId, macAddress } = changes
  return {
    ...inventory,
    identificationHints: {
      hostname: 'web-1',
      fqdn: 'web-1',
      ...(machineId === undefined ? {} : { machineId }),
    },
    networkInterfaces:
      macAddress === undefined
        ? inventory.networkInterfaces
        : [{ name: 'eth0', macAddress, ips: [], isPrimary: true }],
  }
}

function refusal(
  server: SourceServer,
  bootId: string,
  sourceProperties: SourceProperties,
  seconds = 5,
): string {
  return copyInWords(server, { bootId, sourceProperties }, later(seconds)) ?? 'none'
}

describe('copyInWords()', () => {
  it('names what differs from the machine whose agent runs', () => {
    expect(refusal(served(), 'b', machine({ macAddress: '52:54:00:FF:FF:FF' }))).toContain(
      'its network addresses are 52:54:00:ff:ff:ff and not 52:54:00:00:00:01',
    )
    expect(refusal(served(), 'b', machine({ machineId: 'machine-2' }))).toContain(
      'its machine id is machine-2 and not machine-web-1',
    )
  })

  it('lets the machine itself start, also one that cannot tell who it is', () => {
    expect(refusal(served(), 'b', machine({}))).toBe('none')
    const { machineId: _none, ...hints } = oneDiskInventory().identificationHints
    const nameless = { ...oneDiskInventory(), identificationHints: hints, networkInterfaces: [] }
    expect(refusal(served(), 'b', nameless)).toBe('none')
  })

  it('lets another machine take over when no agent runs', () => {
    const other = machine({ macAddress: '52:54:00:ff:ff:ff' })
    expect(refusal(served(), 'b', other, 19)).not.toBe('none')
    expect(refusal(served(), 'b', other, 20)).toBe('none')
    const gone = { ...served(), agent: { ...served().agent, uninstalledAt: later(1) } }
    expect(refusal(gone, 'b', other)).toBe('none')
  })

  it('knows two machines that tell nothing apart by a boot that comes back', () => {
    const start = (server: SourceServer, bootId: string, at: number) =>
      startAgent(server, { version: '0.1.0', bootId, sourceProperties: machine({}) }, later(at))
    const cloned = start(start(served(), 'boot-of-original', 1), 'boot-of-clone', 2)
    expect(cloned.agent).toMatchObject({
      generation: 3,
      bootId: 'boot-of-clone',
      formerBootIds: ['boot-of-original'],
    })
    expect(refusal(cloned, 'boot-of-original', machine({}))).toContain('booted before the machine that runs')
    expect(refusal(cloned, 'boot-of-clone', machine({}))).toBe('none')
    expect(refusal(cloned, 'boot-of-original', machine({}), 30)).toBe('none')
  })
})

describe('withBoot()', () => {
  it('remembers eight boots before the latest, and none where boots have no name', () => {
    let boots: ReturnType<typeof withBoot> = {}
    for (let boot = 1; boot <= 11; boot++) boots = withBoot(boots, `boot-${boot}`)
    expect(boots).toEqual({
      bootId: 'boot-11',
      formerBootIds: [10, 9, 8, 7, 6, 5, 4, 3].map((boot) => `boot-${boot}`),
    })
    expect(withBoot(boots, 'boot-9').formerBootIds?.slice(0, 3)).toEqual(['boot-11', 'boot-10', 'boot-8'])
    expect(withBoot(boots, 'unknown')).toEqual({})
  })
})

describe('withCopyTold()', () => {
  it('tells of a copy that stays once an hour', () => {
    const told = withCopyTold(served(), 'A copy', later(1))
    expect(told.outbox.at(-1)).toMatchObject({ level: 'ERROR', type: 'AGENT', message: 'A copy' })
    expect(withCopyTold(told, 'A copy', later(3600))).toBe(told)
    expect(withCopyTold(told, 'A copy', later(3601)).outbox).toHaveLength(told.outbox.length + 1)
  })
})
