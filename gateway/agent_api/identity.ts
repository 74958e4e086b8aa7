/**
 * Who calls on the agent port: the client certificate, checked on every request, against the record it was issued for.
 * @module
 */
import type { X509Certificate } from 'node:crypto'
import type { Context } from 'hono'
import type { ReplicationServer } from '../../domain/enrolment.ts'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Store, Versioned } from '../../store/store.ts'
import { isId } from '../../domain/ids.ts'
import { agentUri, replicatorUri } from '../../wire/control_api.ts'
import { Refusal } from '../problem.ts'

/** A client certificate as TLS presents it. */
export interface PeerCertificate {
  uris: string[]
  /** Upper-case hexadecimal. */
  serial: string
  notBefore: Date
  notAfter: Date
  /** Signed by our authority; `distrust` says what is wrong otherwise. */
  isTrusted: boolean
  distrust: string
}

/** Finds the certificate of a request; undefined when there is none. */
export type PeerLookup = (c: Context) => PeerCertificate | undefined

interface TlsSocketLike {
  authorized?: boolean
  /** Node gives OpenSSL's code as a string, whatever its types say. */
  authorizationError?: unknown
  getPeerX509Certificate?: () => X509Certificate | undefined
}

/** What sockets presented: TLS 1.3 shows a certificate once, and taking it apart costs as much as the rest of a heartbeat. */
const peers = new WeakMap<TlsSocketLike, PeerCertificate>()

/** Reads the certificate from the TLS socket of Node's server. */
export const peerOfSocket: PeerLookup = (c) => {
  const environment = c.env as { incoming?: { socket?: TlsSocketLike } } | undefined
  const socket = environment?.incoming?.socket
  if (socket === undefined) return undefined
  const known = peers.get(socket)
  if (known !== undefined) return known
  const certificate = socket.getPeerX509Certificate?.()
  if (certificate === undefined) return undefined
  const peer = {
    uris: (certificate.subjectAltName ?? '')
      .split(', ')
      .filter((name) => name.startsWith('URI:'))
      .map((name) => name.slice('URI:'.length)),
    serial: certificate.serialNumber.toUpperCase(),
    notBefore: certificate.validFromDate,
    notAfter: certificate.validToDate,
    isTrusted: socket.authorized === true,
    distrust: distrustOf(socket.authorizationError),
  }
  peers.set(socket, peer)
  return peer
}

function distrustOf(error: unknown): string {
  if (error instanceof Error) return error.message
  return typeof error === 'string' ? error : ''
}

/** Who may call, in the words of a refusal. */
interface Caller {
  kind: 'agent' | 'replication server'
  uriPrefix: string
  whatToDo: string
}

const agentCaller: Caller = {
  kind: 'agent',
  uriPrefix: agentUri(''),
  whatToDo: 'install the agent again with a new command from Add server in the dashboard',
}

const replicatorCaller: Caller = {
  kind: 'replication server',
  uriPrefix: replicatorUri(''),
  whatToDo: 'the servers that it serves say in their events what is done about it',
}

/** The certificate, trusted and in its time. @throws Refusal 401 saying what is wrong with it. */
function trustedPeer(peer: PeerCertificate | undefined, caller: Caller, now: Date): PeerCertificate {
  const { kind, whatToDo } = caller
  if (peer === undefined) {
    throw new Refusal(
      401,
      'unauthenticated',
      `This call needs the client certificate given at enrolment; ${whatToDo}`,
    )
  }
  const time = now.getTime()
  if (peer.notAfter.getTime() <= time || peer.distrust.includes('EXPIRED')) {
    throw new Refusal(
      401,
      'unauthenticated',
      `The client certificate expired at ${peer.notAfter.toISOString()}: it is renewed at half its life, so this ${kind} was off or cut off ` +
        `for days; ${whatToDo}`,
    )
  }
  if (!peer.isTrusted) {
    throw new Refusal(
      401,
      'unauthenticated',
      `The client certificate was not issued by this Rehost (${peer.distrust || 'untrusted'}); ${whatToDo}`,
    )
  }
  if (peer.notBefore.getTime() > time) {
    throw new Refusal(
      401,
      'unauthenticated',
      `The client certificate is valid only from ${peer.notBefore.toISOString()}: check the clocks`,
    )
  }
  return peer
}

/** The id in the certificate's one URI. @throws Refusal 403 for anything else than exactly one URI of this kind. */
function subjectOf(peer: PeerCertificate, { uriPrefix }: Caller): string {
  const [uri, ...others] = peer.uris
  if (uri === undefined || others.length > 0 || !uri.startsWith(uriPrefix)) {
    const seen = peer.uris.length === 0 ? 'no name' : peer.uris.join(', ')
    const detail = `The client certificate carries ${seen}; this call is for ${uriPrefix}…`
    throw new Refusal(403, 'forbidden', detail)
  }
  return uri.slice(uriPrefix.length)
}

/** Asked again in the write itself by whoever may know an older record. @throws Refusal 403 for a certificate that is over. */
export function requireSerial(record: SerialRecord, serial: string, caller: Caller = agentCaller): void {
  if (isSerialOf(record, serial)) return
  const { kind, whatToDo } = caller
  const why = `the ${kind} was ${kind === 'agent' ? 'installed' : 'made'} again or its certificate was renewed elsewhere`
  const detail = `The client certificate ${serial} is no longer the one in use: ${why}; ${whatToDo}`
  throw new Refusal(403, 'forbidden', detail)
}

interface SerialRecord {
  certificateSerial?: string
  previousCertificateSerial?: string
}

/** Servers as they are stored, or as they were a moment ago. */
export interface KnownServers {
  read(id: string): Promise<Versioned<SourceServer> | undefined>
  readAnew(id: string): Promise<Versioned<SourceServer> | undefined>
}

/**
 * The server whose agent calls; it may be a moment old. Nobody is refused for what is no longer so.
 * @throws Refusal 401, 403 or 404, each saying what to do.
 */
export async function authenticateAgent(
  servers: KnownServers,
  peer: PeerCertificate | undefined,
  now: Date,
): Promise<{ known: Versioned<SourceServer>; serial: string }> {
  const trusted = trustedPeer(peer, agentCaller, now)
  const id = subjectOf(trusted, agentCaller)
  let found = isId('sourceServer', id) ? await servers.read(id) : undefined
  if (found !== undefined && !isSerialOf(found.value.agent, trusted.serial))
    found = await servers.readAnew(id)
  if (found === undefined) {
    throw new Refusal(
      404,
      'not-found',
      `Cannot find source server ${id}: it was deleted in the dashboard. Uninstall this agent (rehost-agent uninstall), or ${agentCaller.whatToDo}`,
    )
  }
  requireSerial(found.value.agent, trusted.serial)
  return { known: found, serial: trusted.serial }
}

/** The replication server that calls. @throws Refusal 401, 403 or 404. */
export async function authenticateReplicator(
  store: Store,
  peer: PeerCertificate | undefined,
  now: Date,
): Promise<{ replicationServer: ReplicationServer; serial: string }> {
  const trusted = trustedPeer(peer, replicatorCaller, now)
  const id = subjectOf(trusted, replicatorCaller)
  const found = isId('replicationServer', id) ? await store.get('replicationServer', { id }) : undefined
  if (found === undefined) {
    throw new Refusal(
      404,
      'not-found',
      `Cannot find replication server ${id}: it was removed; stop this process`,
    )
  }
  requireSerial(found.value, trusted.serial, replicatorCaller)
  return { replicationServer: found.value, serial: trusted.serial }
}

/** Whether `serial` is the record's certificate, or the one before it while the renewed one has not been used. */
function isSerialOf(record: SerialRecord, serial: string): boolean {
  return record.certificateSerial === serial || record.previousCertificateSerial === serial
}

/** The record once its new certificate was used: the old one is over. The same object when there is none. */
export function settleSerial<T extends SerialRecord>(record: T, serial: string): T {
  if (record.previousCertificateSerial === undefined || record.certificateSerial !== serial) return record
  const { previousCertificateSerial: _old, ...settled } = record
  return settled as T
}
