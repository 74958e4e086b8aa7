/**
 * What the process that plays a fleet has measured, as rows of the benchmark.
 * @module
 */
import type { HeartbeatResult, HeartbeatTimes } from './fleet_file.ts'
import type { Measured, Row } from '../row.ts'
import { sharingInWords } from '../cores.ts'
import { alone, figure, middleOf, percentileOf, sum } from '../row.ts'
import { callTimeoutMs } from './fleet_file.ts'

/** Of all agents together. */
export const heartbeatsPerSecond = 1000

const mostMs = 50

/** The gateway's core is not one core in a second of which the host takes more than this: 100 ms without it are late for one heartbeat in ten. */
const mostStolenShare = 0.01

/** A percentile of fewer seconds says little. */
const leastSeconds = 10

/** What all rows of the control plane have alike. */
export const controlPlaneRow = { name: 'control_plane', ...alone, unit: 'ms', bound: null } as const

/** What is said beside the figures. */
export interface HeartbeatFacts {
  /** Reads of a server that the store answers in a second. */
  storeReads: number
  /** Processor time of the gateway, while heartbeats counted. */
  usedSeconds: number
  /** The fleet in words. */
  fleet: string
  agentCount: number
  /** Seconds before those that count. */
  firstSeconds: number
}

/** Failed ones in words. */
export function failed({ failures, milliseconds }: HeartbeatTimes): string {
  return `${failures} of ${milliseconds.length} heartbeats failed, which count as ${callTimeoutMs / 1000} s each`
}

/** The rows. That of the seconds in which the host left the processors alone is left out where they are fewer than {@link leastSeconds}. */
export function heartbeatRows(
  { first, counted, longestStallMs, coreShare }: HeartbeatResult,
  facts: HeartbeatFacts,
): Row[] {
  const what = `${heartbeatsPerSecond} a second over mutual TLS, ${facts.fleet}`
  const stolen = sum(counted.stolenShares) / counted.stolenShares.length
  const calm = calmOf(counted, first.stolenShares.at(-1))
  return [
    {
      ...controlPlaneRow,
      what: `heartbeat, 99th percentile, ${what}`,
      ...judged(percentileOf(counted.milliseconds, 99, 'heartbeats')),
      limit:
        `The embedded store answers ${figure(facts.storeReads)} reads of a server a second to one client, and the gateway reads what it does not hold; it used ` +
        `${figure((facts.usedSeconds / counted.milliseconds.length) * 1e6)} microseconds of its core for each heartbeat, lists included. ` +
        `Counted after ${facts.firstSeconds} s of the same load: ${sharingInWords()}. ` +
        `The host took ${figure(stolen * 100)} % of their time away. ${failed(counted)}`,
    },
    ...(calm.length < leastSeconds * heartbeatsPerSecond
      ? []
      : [
          {
            ...controlPlaneRow,
            what: `the same, of the seconds in which the host left the processors to this machine, ${calm.length / heartbeatsPerSecond} of ${counted.stolenShares.length}`,
            ...judged(percentileOf(calm, 99, 'heartbeats')),
            limit: `Heartbeats that were due in a second in which, and in those beside it, the host took at most ${mostStolenShare * 100} % of the processors' time`,
          },
        ]),
    {
      ...controlPlaneRow,
      what: `heartbeat in the first ${facts.firstSeconds} s, 99th percentile: ${facts.agentCount} agents connect within a second`,
      ...percentileOf(first.milliseconds, 99, 'heartbeats'),
      budget: 'none: to be seen',
      met: null,
      limit: `A handshake of mutual TLS for each agent at both ends. ${failed(first)}`,
    },
    {
      ...controlPlaneRow,
      what: 'longest stall of the load generator itself: a heartbeat may seem late by so much',
      ...middleOf([longestStallMs]),
      budget: 'none: to be seen',
      met: null,
      limit: `It used ${figure(coreShare * 100)} % of a core, beside the store and Redis`,
    },
  ]
}

/** Beside the budget. */
function judged(p99: Measured): Measured & Pick<Row, 'budget' | 'met'> {
  return { ...p99, budget: `at most ${mostMs} ms`, met: p99.value <= mostMs }
}

/**
 * Of the heartbeats that were due while the host took next to nothing. Those of the second before may still wait, and those of its end for the second behind it: of the first
 * one it is `shareBefore`, and behind the last one nobody has looked.
 */
function calmOf({ milliseconds, stolenShares }: HeartbeatTimes, shareBefore: number | undefined): number[] {
  const isCalm = (second: number): boolean => {
    const share = second < 0 ? shareBefore : stolenShares[second]
    return share !== undefined && share <= mostStolenShare
  }
  return milliseconds.filter((_, index) => {
    const second = Math.floor(index / heartbeatsPerSecond)
    return [second - 1, second, second + 1].every(isCalm)
  })
}
