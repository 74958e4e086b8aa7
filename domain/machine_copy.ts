/**
 * Copies of a source machine. A machine that is cloned with its agent has two agents with one certificate. Served in turns, each would fence
 * the other and write its own disks into the one replica; so while one of them runs, the other is refused, and the operator is told. Pure.
 *
 * Two things prove that a call is not from the machine that is served: the machines differ, or the call is from a boot that came before
 * another one. A boot never comes back, but of two machines that take turns each returns to its own.
 * @module
 */
import type { AgentRecord, SourceProperties, SourceServer } from './source_server.ts'
import { withEvent } from './source_server.ts'

/** An agent heard within this time is running: longer than "last seen" of one that calls can stay unwritten (`quietWriteLatestMs`, and a heartbeat). */
export const agentIsLiveMs = 20_000

/** A copy that stays is told of again after this time: it asks every minute. */
const tellAgainMs = 3_600_000

/** As many boots before the latest are remembered. */
const rememberedBoots = 8

/** What stands for the boot id where the kernel does not tell it. */
const unknownBootId = 'unknown'

/** What an agent says of where it runs. */
export interface AgentPlace {
  bootId: string
  sourceProperties: SourceProperties
}

/** Addresses (MAC) of a machine's network interfaces. */
export function macAddresses(properties: SourceProperties): Set<string> {
  return new Set(properties.networkInterfaces.map(({ macAddress }) => macAddress.toLowerCase()))
}

/** When an agent that runs now was last heard; undefined when none does. */
export function heardLive({ agent }: SourceServer, at: string): string | undefined {
  const heard = agent.lastSeenAt
  if (heard === undefined || agent.uninstalledAt !== undefined) return undefined
  return Date.parse(at) - Date.parse(heard) < agentIsLiveMs ? heard : undefined
}

/** How `place` is known not to be where the agent of `server` ran last; undefined when it may well be. */
function differenceFrom({ agent, sourceProperties }: SourceServer, place: AgentPlace): string | undefined {
  const before = sourceProperties.identificationHints.machineId
  const { machineId } = place.sourceProperties.identificationHints
  if (before !== undefined && machineId !== undefined && machineId !== before)
    return `its machine id is ${machineId} and not ${before}`
  const known = macAddresses(sourceProperties)
  const own = macAddresses(place.sourceProperties)
  if (known.size > 0 && own.size > 0 && ![...own].some((address) => known.has(address)))
    return `its network addresses are ${[...own].join(', ')} and not ${[...known].join(', ')}`
  return agent.formerBootIds?.includes(place.bootId) === true
    ? `it was booted before the machine that runs the agent now (boot ${place.bootId})`
    : undefined
}

/** Why an agent that starts at `place` is refused, in a sentence; undefined when it may start. */
export function copyInWords(server: SourceServer, place: AgentPlace, at: string): string | undefined {
  const heard = heardLive(server, at)
  const difference = heard === undefined ? undefined : differenceFrom(server, place)
  if (difference === undefined) return undefined
  const { hostname } = place.sourceProperties.identificationHints
  return (
    `Cannot start the agent on ${hostname}: the agent of server ${server.sourceServerId} runs on another machine (heard at ${heard}), and ` +
    `one of the two is a copy of the other: ${difference}. On the copy run systemctl disable --now rehost-agent, remove /var/lib/rehost, ` +
    'and install the agent with a new command from Add server if it is to be migrated too'
  )
}

/** `server` with the refusal of a copy told; the same object when that was done within the hour. */
export function withCopyTold(server: SourceServer, refusal: string, at: string): SourceServer {
  const told = server.agent.copyToldAt
  if (told !== undefined && Date.parse(at) - Date.parse(told) < tellAgainMs) return server
  return withEvent({ ...server, agent: { ...server.agent, copyToldAt: at } }, at, {
    type: 'AGENT',
    actor: 'agent',
    level: 'ERROR',
    message: refusal,
  })
}

/** What is remembered of the boots of an agent's machine, after a start in boot `bootId`. */
export function withBoot(
  { bootId: latest, formerBootIds = [] }: Pick<AgentRecord, 'bootId' | 'formerBootIds'>,
  bootId: string,
): Pick<AgentRecord, 'bootId' | 'formerBootIds'> {
  if (bootId === unknownBootId) return {}
  const former = latest === undefined ? formerBootIds : [latest, ...formerBootIds]
  return {
    bootId,
    formerBootIds: [...new Set(former)].filter((id) => id !== bootId).slice(0, rememberedBoots),
  }
}
