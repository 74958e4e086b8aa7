/**
 * The account that this installation is, as its API shows it: number, region, quotas, and whether it was initialised.
 * @module
 */
import type { Store } from '../../store/store.ts'
import { RevisionConflictError } from '../../store/store.ts'

/** Limits as MGN names them; its defaults are in section 3.6 of the API notes. */
export interface Quotas {
  /** Servers that are not archived. It limits imports; no agent is sent away for it. */
  servers: number
  serversInOneJob: number
  applications: number
  waves: number
  replicationTemplates: number
  launchTemplates: number
}

/** The standard limits. */
export const standardQuotas: Quotas = {
  servers: 4000,
  serversInOneJob: 200,
  applications: 200,
  waves: 50,
  replicationTemplates: 50,
  launchTemplates: 50,
}

/** Kinds of things that have an ARN. */
export type ResourceKind =
  | 'source-server'
  | 'job'
  | 'application'
  | 'wave'
  | 'replication-configuration-template'
  | 'launch-configuration-template'
  | 'import'
  | 'export'

/** The account of this installation. */
export interface OwnAccount {
  /** 12 digits. */
  accountId: string
  quotas: Quotas
}

/** The account, and where it says that it is. */
export interface Account extends OwnAccount {
  region: string
}

/** The ARN of a thing. */
export function arnOf({ accountId, region }: Account, kind: ResourceKind, id: string): string {
  return `arn:aws:mgn:${region}:${accountId}:${kind}/${id}`
}

const settingName = 'mgn'

/** Whether InitializeService was called. */
export async function isInitialised(store: Store): Promise<boolean> {
  return (await store.get('setting', { id: settingName })) !== undefined
}

/** Remembers that it was called; once more changes nothing. */
export async function initialise(store: Store, at: string): Promise<void> {
  const setting = { name: settingName, value: JSON.stringify({ initialisedAt: at }) }
  try {
    await store.create('setting', { id: settingName }, setting)
  } catch (error) {
    if (!(error instanceof RevisionConflictError)) throw error
  }
}
