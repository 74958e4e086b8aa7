/**
 * Limits of the account.
 * @module
 */
import type { Account, Quotas } from './account.ts'
import { MgnError } from './mgn_error.ts'

/** @throws MgnError when there would be `wanted` of them, and that is more than the account may have. */
export function requireQuota(name: keyof Quotas, { quotas }: Account, wanted: number): void {
  const quotaValue = quotas[name]
  if (wanted <= quotaValue) return
  throw new MgnError('ServiceQuotaExceededException', `The limit of ${name} is ${quotaValue}`, {
    members: { serviceCode: 'mgn', quotaCode: name, quotaValue },
  })
}
