/**
 * `rehost verify SERVER`: proves that the copies of a server are what its disks are, and says where they were not.
 * @module
 */
import type { Command } from 'commander'
import type { SourceServer } from '../../domain/source_server.ts'
import type { Verification, VerificationVerdict } from '../../domain/verification.ts'
import { blockSizeBytes } from '../../domain/units.ts'
import { ApiClient, findAccess } from '../api_client.ts'
import { say, visibleLine } from '../terminal.ts'
import { getServer, pollUntil } from '../demo/service_view.ts'
import type { ServerView } from '../demo/service_view.ts'
import { serverArgument, serverIdOf } from './server_argument.ts'
import { WaitLines } from './wait_lines.ts'

/** A service that is being restarted while somebody waits is asked again for this long. */
const waitPatienceMs = 60_000

/** A terabyte takes minutes; a slow disk of many of them, a day. */
const waitTimeoutMs = 86_400_000

const verdictWords: Record<VerificationVerdict, string> = {
  IDENTICAL: 'identical',
  REPAIRED: 'differed, and is repaired',
  DIFFERENT:
    'differs, and could not be repaired; look at the staging disk and at the log of the replication server',
  INCOMPLETE: 'could not be compared as a whole: blocks of the source cannot be read, or a disk was left out',
}

/** A finished verification in lines for people. */
export function verificationLines(server: SourceServer, verification: Verification): string[] {
  const { disks, verdict } = verification
  const lines = disks.flatMap((disk) => {
    const name = server.disks.find(({ diskIndex }) => diskIndex === disk.diskIndex)?.deviceName
    const blocks = Math.ceil(disk.checkedBytes / blockSizeBytes)
    return [
      `${name ?? `disk ${disk.diskIndex}`}: ${blocks} blocks compared in ${(disk.durationMs / 1000).toFixed(1)} s, ` +
        `${disk.differingBlocks} differed (${disk.damagedBlocks} damaged on the staging disk), ${disk.repairedBlocks} repaired` +
        (disk.unreadableBlocks === 0 ? '' : `, ${disk.unreadableBlocks} cannot be read on the source`),
      ...disk.differences.map(
        ({ offsetBytes, lengthBytes }) => `  differed at byte ${offsetBytes}, ${lengthBytes} bytes`,
      ),
      `  root of the source  ${disk.sourceRoot ?? 'not known'}`,
      `  root of the copy    ${disk.replicaRoot ?? 'not known'}`,
    ]
  })
  return [
    ...lines,
    `${server.sourceServerId}: the copy ${verdict === undefined ? 'is being verified' : is(verdict)}`,
  ]
}

function is(verdict: VerificationVerdict): string {
  return verdict === 'IDENTICAL' ? `is ${verdictWords[verdict]}` : verdictWords[verdict]
}

/** How far a verification is that is under way. */
export function progressLine({ sourceServerId, disks }: SourceServer, { disks: own }: Verification): string {
  const checked = disks.map(({ diskIndex, deviceName, sizeBytes }) => {
    const bytes = own.find((disk) => disk.diskIndex === diskIndex)?.checkedBytes ?? 0
    return `${deviceName} ${Math.floor((bytes / sizeBytes) * 100)}%`
  })
  return `${sourceServerId}: the copies are being verified: ${checked.join(', ')}`
}

/**
 * Waits for the end of the verification that `asked` began.
 * @throws Error when another one has taken its place, or replication is over.
 */
async function ended(api: ApiClient, asked: ServerView): Promise<ServerView> {
  const { sourceServerId } = asked
  const epoch = asked.replication.verification?.verifyEpoch
  const limits = { timeoutMs: waitTimeoutMs, signal: AbortSignal.timeout(waitTimeoutMs) }
  const lines = new WaitLines()
  return pollUntil(`the copies of ${sourceServerId} are verified`, limits, async () => {
    const server = await getServer(api, sourceServerId)
    const { verification, state } = server.replication
    if (verification === undefined || verification.verifyEpoch !== epoch)
      throw new Error(`Cannot tell the result: another verification of ${sourceServerId} was asked for`)
    if (verification.endedAt !== undefined) return server
    if (state === 'DISCONNECTED')
      throw new Error(`The copies of ${sourceServerId} were not verified: its replication is over`)
    const compared = verification.disks.filter(({ sourceRoot }) => sourceRoot !== undefined).length
    lines.tell(`${state} ${compared}`, progressLine(server, verification))
    return undefined
  })
}

/** Adds the command. */
export function addVerifyCommand(program: Command): void {
  program
    .command('verify')
    .description(
      'compare every block of the copies with the source, and repair what differs; exit code 1 when something did',
    )
    .argument(...serverArgument)
    .option('--json', 'print JSON')
    .action(async (given: string, options: { json?: boolean }) => {
      const api = new ApiClient(await findAccess(process.env), waitPatienceMs)
      const path = `/servers/${await serverIdOf(api, given)}/actions/verify`
      const server = await ended(api, await api.post<ServerView>(path))
      const { verification } = server.replication
      if (verification === undefined) return
      if (options.json === true) say(JSON.stringify(verification, null, 2))
      else for (const line of verificationLines(server, verification)) say(visibleLine(line))
      if (verification.verdict !== 'IDENTICAL') process.exitCode = 1
    })
}
