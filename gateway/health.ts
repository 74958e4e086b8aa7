/**
 * `/livez`, `/readyz` and what they look at.
 * @module
 */
import type { Services } from './services.ts'
import { errorMessage } from '../domain/errors.ts'
import { withDeadline } from './deadline.ts'

/** Each check must answer within this. */
const deadlineMs = 2000

/** One thing looked at. */
export interface HealthCheck {
  name: string
  isGood: boolean
  milliseconds: number
  problem?: string
}

/** Round trips to everything the gateway cannot do without. */
export async function checkHealth(
  services: Pick<Services, 'store' | 'wakeUps' | 'telemetry' | 'clock'>,
): Promise<HealthCheck[]> {
  const check = async (name: string, look: () => Promise<unknown>): Promise<HealthCheck> => {
    const began = services.clock().getTime()
    try {
      await withDeadline(look(), deadlineMs, name)
      return { name, isGood: true, milliseconds: services.clock().getTime() - began }
    } catch (error) {
      return {
        name,
        isGood: false,
        milliseconds: services.clock().getTime() - began,
        problem: errorMessage(error),
      }
    }
  }
  return Promise.all([
    check('store', () => services.store.ping()),
    check('redis', () => services.telemetry.read(['readyz'])),
    check('queues', () => services.wakeUps.ping()),
  ])
}

/** `[+]store ok`, one line a check; reasons only where `isVerbose`, because the page is open to everybody. */
export function healthText(checks: readonly HealthCheck[], isVerbose: boolean): string {
  const lines = checks.map(({ name, isGood, milliseconds, problem }) =>
    isGood ? `[+]${name} ok (${milliseconds} ms)` : `[-]${name} failed: ${problem ?? 'unknown'}`,
  )
  const verdict = checks.every(({ isGood }) => isGood) ? 'ready' : 'not ready'
  return isVerbose ? `${lines.join('\n')}\n${verdict}\n` : `${verdict}\n`
}
