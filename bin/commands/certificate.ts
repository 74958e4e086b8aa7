/**
 * `rehost certificate …`: what proves that a server was moved, and whether such a proof is genuine.
 * @module
 */
import { createHash, createPublicKey, verify } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { MigrationCertificate, SignedEnvelope } from '../../domain/certificate.ts'
import { certificateType, signedText } from '../../domain/certificate.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say } from '../terminal.ts'
import { serverArgument, serverIdOf } from './server_argument.ts'

/** What a file says that is genuine, and the key that it is signed with. @throws Error when it is not. */
function open(text: string, file: string): { certificate: MigrationCertificate; keyId: string } {
  let envelope: SignedEnvelope
  try {
    envelope = JSON.parse(text) as SignedEnvelope
  } catch (error) {
    throw new Error(`${file} is no certificate: it is not JSON`, { cause: error })
  }
  const [signature] = Array.isArray(envelope.signatures) ? envelope.signatures : []
  if (
    envelope.payloadType !== certificateType ||
    signature === undefined ||
    typeof envelope.payload !== 'string'
  )
    throw new Error(`${file} is no certificate of a migration`)
  const der = Buffer.from(signature.publicKey, 'base64')
  const payload = Buffer.from(envelope.payload, 'base64')
  const keyId = `sha256:${createHash('sha256').update(der).digest('hex')}`
  if (keyId !== signature.keyid || !isGood(der, signedText(envelope.payloadType, payload), signature.sig))
    throw new Error(`${file} is not genuine: its signature is not of what it says`)
  return { certificate: JSON.parse(payload.toString()) as MigrationCertificate, keyId }
}

function isGood(der: Buffer, text: Uint8Array, signature: string): boolean {
  try {
    const key = createPublicKey({ key: der, type: 'spki', format: 'der' })
    return key.asymmetricKeyType === 'ed25519' && verify(null, text, key, Buffer.from(signature, 'base64'))
  } catch {
    // What is no key signs nothing.
    return false
  }
}

function downtimeInWords({
  actualSeconds,
  expectedSeconds,
  lowSeconds,
  highSeconds,
}: NonNullable<MigrationCertificate['downtime']>): string {
  const said =
    expectedSeconds === undefined
      ? ''
      : `, forecast ${expectedSeconds} s (${lowSeconds} s to ${highSeconds} s)`
  return `down for ${Math.round(actualSeconds)} s${said}`
}

/** What a person wants to know of it. */
function summaryOf({
  server,
  disks,
  times,
  approvals,
  consistencyPoint,
  verification,
  machine,
  downtime,
}: MigrationCertificate): string {
  const gibibytes = disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / 2 ** 30
  const lines = [
    `${server.hostname} (${server.sourceServerId}), ${disks.length} ${disks.length === 1 ? 'disk' : 'disks'} of ${gibibytes.toFixed(1)} GiB`,
    `cut over to machine ${machine.machineId}, launched ${machine.launchedAt}`,
    `finalized ${times.lastCutover?.finalized?.apiCallAt ?? 'at an unknown time'}`,
  ]
  if (consistencyPoint !== undefined)
    lines.push(
      `replica and source the same at ${consistencyPoint.reachedAt ?? 'an unknown time'}`,
      ...consistencyPoint.roots.map(({ diskIndex, root }) => `  disk ${diskIndex}: ${root}`),
    )
  if (downtime !== undefined) lines.push(downtimeInWords(downtime))
  if (verification !== undefined) lines.push(`verified ${verification.endedAt}: ${verification.verdict}`)
  return [
    ...lines,
    'approved:',
    ...approvals.map(({ at, actor, what }) => `  ${at}  ${actor}: ${what}`),
  ].join('\n')
}

/** Adds the commands. */
export function addCertificateCommands(program: Command): void {
  const certificate = program.command('certificate').description('the signed proof of a migration')
  certificate
    .command('get')
    .argument(...serverArgument)
    .argument('<file>', 'where to write it')
    .description('write the certificate of a server that is cut over to a file')
    .action(async (given: string, file: string) => {
      const api = new ApiClient(await findAccess(process.env))
      const serverId = await serverIdOf(api, given)
      const envelope = await api.get<SignedEnvelope>(`/servers/${serverId}/certificate`)
      await writeFile(file, `${JSON.stringify(envelope, null, 2)}\n`)
      say(`Certificate written to ${file}, signed with ${envelope.signatures[0]?.keyid}`)
    })
  certificate
    .command('verify')
    .argument('<file>', 'a certificate')
    .option('--key <keyid>', 'the key that it must be signed with: sha256:…')
    .description('prove that a certificate is genuine; needs no service')
    .action(async (file: string, { key }: { key?: string }) => {
      const { certificate: own, keyId } = open(await readFile(file, 'utf8'), file)
      if (key !== undefined && key !== keyId)
        throw new Error(`${file} is signed with ${keyId}, not with ${key}: somebody else made it`)
      say(summaryOf(own))
      say(
        key === undefined
          ? `\nGenuine, if ${keyId} is the key of the installation that moved it (--key says so)`
          : `\nGenuine, signed with ${keyId}`,
      )
    })
}
