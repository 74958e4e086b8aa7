/**
 * The calls of `/api/v1` about settings of the whole installation.
 * @module
 */
import type { DescribedCall } from './described_call.ts'
import { bandwidthSettings } from '../answers/configuration_answers.ts'
import { installation, refusedCalls } from '../answers/installation_answers.ts'
import { bandwidthSettingsSchema } from '../../bandwidth_settings.ts'

/** Each of them. */
export const settingsCalls: readonly DescribedCall[] = [
  {
    method: 'get',
    path: '/bandwidth',
    summary: 'The calendar of servers without their own, and the sites',
    role: 'viewer',
    answer: bandwidthSettings,
    isTagged: true,
  },
  {
    method: 'put',
    path: '/bandwidth',
    summary: 'Replace calendar and sites',
    role: 'operator',
    answer: bandwidthSettings,
    isTagged: true,
    body: bandwidthSettingsSchema,
  },
  {
    method: 'get',
    path: '/installation',
    summary: 'Version, addresses, and the pin of the key that agents trust',
    role: 'viewer',
    answer: installation,
  },
  {
    method: 'get',
    path: '/installation/refused-calls',
    summary: 'Agents refused within the last minutes, and why',
    role: 'operator',
    answer: refusedCalls,
  },
]
