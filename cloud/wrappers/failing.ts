/**
 * A provider that fails on purpose: the wrapper with which tests prove that every step survives trouble before and after its effect.
 * @module
 */
import type { CloudProvider } from '../provider.ts'

/** The methods of the seam that can be made to fail. */
export type CloudOperation = Exclude<keyof CloudProvider, 'name' | 'capabilities'>

/** One planned failure; used up when it has struck. */
export interface PlannedFailure {
  operation: CloudOperation
  /** `before`: nothing was done. `after`: it was done, and the answer was lost, as in a crash. */
  when: 'before' | 'after'
  error: Error
}

/** `provider`, failing as `plan` says: each call uses up the first failure planned for its operation. `plan` may grow later. */
export function failing(provider: CloudProvider, plan: PlannedFailure[]): CloudProvider {
  return new Proxy(provider, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]): Promise<unknown> => {
        const position = plan.findIndex(({ operation }) => operation === property)
        const failure = position < 0 ? undefined : plan.splice(position, 1)[0]
        if (failure?.when === 'before') throw failure.error
        const result: unknown = await Reflect.apply(value, target, args)
        if (failure !== undefined) throw failure.error
        return result
      }
    },
  })
}
