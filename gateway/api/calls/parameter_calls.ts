/**
 * Calls about the values that post-launch actions take.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { parameter, parameters, parameterWithValue } from '../answers/access_answers.ts'
import { parameterRemovalSchema, parameterSchema } from '../../parameters.ts'

const path = '/parameters/:name'

/** The calls. */
export const parameterCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/parameters',
    summary: 'Names of the values that post-launch actions take; never the values',
    role: 'operator',
    answer: parameters,
  },
  {
    method: 'get',
    path,
    summary: 'One of them with its value',
    role: 'admin',
    answer: parameterWithValue,
    isTagged: true,
  },
  {
    method: 'put',
    path,
    summary: 'Keep a value, in the place of the one before',
    role: 'operator',
    answer: parameter,
    isTagged: true,
    body: parameterSchema,
  },
  {
    method: 'delete',
    path,
    summary: 'Forget a value; refused while post-launch actions take it, unless forced',
    role: 'operator',
    query: parameterRemovalSchema,
    isTagged: true,
    isRefusedInUse: true,
    status: 204,
  },
]
