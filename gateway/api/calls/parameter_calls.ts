/**
 * Calls about the values that post-launch actions take.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { parameterRemovalSchema, parameterSchema } from '../../parameters.ts'

const parameter = '/parameters/:name'

/** The calls. */
export const parameterCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/parameters',
    summary: 'Names of the values that post-launch actions take; never the values',
    role: 'operator',
  },
  {
    method: 'get',
    path: parameter,
    summary: 'One of them with its value',
    role: 'admin',
    isTagged: true,
  },
  {
    method: 'put',
    path: parameter,
    summary: 'Keep a value, in the place of the one before',
    role: 'operator',
    isTagged: true,
    body: parameterSchema,
  },
  {
    method: 'delete',
    path: parameter,
    summary: 'Forget a value; refused while post-launch actions take it, unless forced',
    role: 'operator',
    query: parameterRemovalSchema,
    isTagged: true,
    status: 204,
  },
]
