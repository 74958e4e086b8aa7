/**
 * The account itself.
 * @module
 */
import { z } from 'zod'
import { initialise } from '../account.ts'
import { paging } from '../fields.ts'
import { operation } from '../operation.ts'
import { pageOf } from '../pages.ts'

export const serviceOperations = [
  operation({
    name: 'InitializeService',
    status: 204,
    worksUninitialised: true,
    input: z.object({}),
    async run({ services }) {
      await initialise(services.store, services.clock().toISOString())
      return undefined
    },
  }),
  operation({
    name: 'ListManagedAccounts',
    status: 200,
    input: z.object(paging),
    run: ({ account: { accountId } }, wanted) =>
      Promise.resolve(pageOf([{ accountId }], (one) => one.accountId, wanted)),
  }),
]
