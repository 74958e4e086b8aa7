/**
 * Installation tokens, replication servers, people and what programs show: the small records beside the source server.
 * @module
 */
import type { ReplicationServerId, TokenId } from './ids.ts'

/** An installation token. Only its SHA-256 is kept. */
export interface InstallationToken {
  tokenId: TokenId
  secretSha256: string
  /** What the token lets its bearer become. */
  purpose: 'AGENT' | 'REPLICATOR'
  createdAt: string
  createdBy: string
  expiresAt: string
  usesLeft: number
  /** For REPLICATOR: the only server that may use it. */
  replicationServerId?: ReplicationServerId
  /** Names of the servers that used it. */
  usedBy: string[]
  /** Uses whose enrolments are not known to have ended. They are counted in what is left, and in `usedBy`. */
  pendingUses?: PendingUse[]
}

/** A use of a token that is given back when nothing comes of the enrolment. */
export interface PendingUse {
  /** The certificate that is given; names the use. */
  certificateSerial: string
  subject: string
  at: string
  /** The subject's certificate until then, if there was a subject: with another one it has enrolled. */
  certificateBefore?: string
}

/** A replication server raised by a cloud provider. */
export interface ReplicationServer {
  replicationServerId: ReplicationServerId
  createdAt: string
  state: 'LAUNCHING' | 'READY' | 'LOST' | 'REMOVED'
  /** Where agents reach it; told by the provider. */
  address?: string
  port?: number
  certificateSerial?: string
  /** Still accepted after a renewal until the new certificate is first used. */
  previousCertificateSerial?: string
  certificateNotAfter?: string
  lastSeenAt?: string
  version?: string
  /** When it was last started again; it is given time from then on. */
  raisedAt?: string
  /** What its source servers were told of its trouble since all was well last, so that each thing is told once. */
  troubles?: string[]
}

/** A person who signs in. */
export interface User {
  userName: string
  passwordHash: string
  role: 'viewer' | 'operator' | 'admin'
  createdAt: string
}

/** A signed-in browser. The id in the cookie is kept only as its SHA-256. */
export interface Session {
  sessionSha256: string
  userName: string
  createdAt: string
  expiresAt: string
}

/** A token for programs: `rehost_…`; only its SHA-256 is kept. */
export interface ApiToken {
  tokenSha256: string
  name: string
  role: User['role']
  createdAt: string
}

/** A key for programs that sign as AWS's do. The secret must be known to check a signature, so it is kept sealed, not hashed. */
export interface AccessKey {
  accessKeyId: string
  /** As `store/secret_box.ts` seals it; never leaves the gateway. */
  sealedSecret: string
  name: string
  role: User['role']
  /** What it may be used for: `*`, or names of operations as `mgn:StartTest` and `mgn:Describe*`. */
  scopes: string[]
  status: 'ACTIVE' | 'INACTIVE'
  createdAt: string
  createdBy: string
  /** Written at most once an hour. */
  lastUsedAt?: string
  /** For ever when left out. */
  expiresAt?: string
}
