/**
 * Becomes a known agent: token and certificate request in, certificate out; and renews it in time.
 * @module
 */
import { X509Certificate } from 'node:crypto'
import type { SourceProperties } from '../domain/source_server.ts'
import type { Enrolled } from '../wire/control_api.ts'
import type { ControlClient } from './control_client.ts'
import type { Identity, StateFiles } from './state_files.ts'
import { agentUri } from '../wire/control_api.ts'
import { PermanentError } from '../domain/errors.ts'
import { newKeyAndRequest } from './certificate_request.ts'
import { uriNames } from './sync/tls_link.ts'
import { ControlError } from './control_error.ts'
import { agentVersion } from './version.ts'

/** What an enrolment is made of. */
export interface EnrolmentInput {
  client: ControlClient
  files: StateFiles
  gatewayUrl: string
  /** The CA pinned by the installer. */
  caPem: string
  token: string
  sourceProperties: SourceProperties
  userProvidedId?: string
  tags?: Record<string, string>
}

/**
 * Enrols with a token and stores who this agent is.
 * @throws PermanentError when the gateway refuses the token, with what to do; ControlError when it cannot be reached.
 */
export async function enrol(input: EnrolmentInput): Promise<Identity> {
  const { keyPem, csrPem } = await newKeyAndRequest()
  const { token, sourceProperties, userProvidedId, tags } = input
  const answer = await input.client
    .enrol({
      token,
      csrPem,
      version: agentVersion,
      sourceProperties,
      ...(userProvidedId === undefined ? {} : { userProvidedId }),
      ...(tags === undefined ? {} : { tags }),
    })
    .catch((error: unknown) => {
      throw explainRefusal(error)
    })
  return store(input.files, input.gatewayUrl, input.caPem, keyPem, answer)
}

/** A refusal with what to do about it; a conflict (409) says so itself. */
function explainRefusal(error: unknown): unknown {
  if (!(error instanceof ControlError) || !error.isRefusal) return error
  const isToken = [401, 403, 404, 410].includes(error.status ?? 0)
  const advice = isToken
    ? '. A token works for a limited time and number of servers: make a new command on the add-server page'
    : ''
  return new PermanentError(`Cannot enrol this server${advice}`, { cause: error })
}

/** Gets a new certificate for a new key, over the old certificate. */
export async function renew(client: ControlClient, files: StateFiles, identity: Identity): Promise<Identity> {
  const { keyPem, csrPem } = await newKeyAndRequest()
  const answer = await client.renew({ csrPem })
  if (answer.subjectId !== identity.sourceServerId) {
    throw new PermanentError(
      `Cannot renew the certificate: it was issued for ${answer.subjectId} instead of ${identity.sourceServerId}`,
    )
  }
  return store(files, identity.gatewayUrl, identity.caPem, keyPem, answer)
}

/** Checks that the certificate is the one asked for and stores it with its key. */
async function store(
  files: StateFiles,
  gatewayUrl: string,
  caPem: string,
  keyPem: string,
  answer: Enrolled,
): Promise<Identity> {
  const certificate = new X509Certificate(answer.certificatePem)
  const names = uriNames(certificate.subjectAltName ?? '')
  if (names.length !== 1 || names[0] !== agentUri(answer.subjectId)) {
    throw new PermanentError(
      `Cannot use the certificate of the gateway: it names ${names.join(', ') || 'nobody'}`,
    )
  }
  // The CA in the answer is as trustworthy as the connection was; an operator's change of CA arrives here.
  if (!answer.caPem.includes('BEGIN CERTIFICATE'))
    throw new PermanentError('Cannot use the answer of the gateway: it has no CA')
  const isIssued = certificate.checkIssued(new X509Certificate(answer.caPem))
  if (!isIssued)
    throw new PermanentError('Cannot use the certificate of the gateway: its CA has not issued it')
  const identity: Identity = {
    sourceServerId: answer.subjectId,
    gatewayUrl,
    certificatePem: answer.certificatePem,
    keyPem,
    caPem: answer.caPem || caPem,
  }
  await files.writeIdentity(identity)
  return identity
}

/** When a certificate is to be renewed, at half of its life, and when it ends. */
export function lifeOf(certificatePem: string): { renewAtMs: number; endsAtMs: number } {
  const { validFrom, validTo } = new X509Certificate(certificatePem)
  const fromMs = Date.parse(validFrom)
  const endsAtMs = Date.parse(validTo)
  return { renewAtMs: fromMs + (endsAtMs - fromMs) / 2, endsAtMs }
}

/** Whether a certificate is past its end. */
export function isExpired(certificatePem: string, nowMs: number): boolean {
  return Date.parse(new X509Certificate(certificatePem).validTo) <= nowMs
}
