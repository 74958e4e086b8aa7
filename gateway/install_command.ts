/**
 * The command that installs the agent, and the script it fetches.
 * @module
 */
import type { Installation, Services } from './services.ts'

/**
 * The command for a source server. `-k` is made good by the pin: the key must be this gateway's, whoever signed its certificate.
 */
export function installCommand(
  { agentUrl, pin }: Pick<Installation, 'agentUrl' | 'pin'>,
  token: string,
): string {
  const address = `${agentUrl}/install.sh`
  // The brackets of an IPv6 address are a pattern to some shells.
  const quoted = address.includes('[') ? `'${address}'` : address
  return `curl -fsSk --pinnedpubkey 'sha256//${pin}' ${quoted} | sh -s -- --token ${token}`
}

/** The script. @throws Refusal 503 when the agent was not built. */
export async function installScript({
  downloads,
  installation,
  issuer,
  renderInstallScript,
}: Pick<Services, 'downloads' | 'installation' | 'issuer' | 'renderInstallScript'>): Promise<string> {
  return renderInstallScript({
    agentUrl: installation.agentUrl,
    caPem: issuer.caPem,
    pin: installation.pin,
    agentSha256: await downloads.sha256(),
  })
}
