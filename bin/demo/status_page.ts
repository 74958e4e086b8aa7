/**
 * The demonstration server's web page and marker files: how a launched machine proves what is on its disk.
 * @module
 */
import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { SourceVm } from './source_vm.ts'

/** `status.json`, written by the guest at each boot. */
const statusPageSchema = z.object({
  hostname: z.string(),
  machineId: z.string(),
  /** What of the agent is on the machine: paths, units, processes. */
  agent: z.array(z.string()),
  markers: z.array(z.object({ name: z.string(), sha256: z.string() })),
})
export type StatusPage = z.infer<typeof statusPageSchema>

/** Marker files on the source. */
export const demoMarkers = {
  /** Writes a file of random content, flushed to disk, and answers with its name and hash. */
  async write(source: SourceVm): Promise<{ name: string; sha256: string }> {
    const content = randomBytes(32).toString('hex')
    const name = `marker-${content.slice(0, 8)}`
    const written = await source.guestExec(`printf %s ${content} > /srv/markers/${name} && sync`)
    if (written.exitCode !== 0) throw new Error(`Cannot write ${name} on the source: ${written.stderr}`)
    return { name, sha256: createHash('sha256').update(content).digest('hex') }
  },
}

/**
 * Reads the status page of a launched machine.
 * @throws Error when the machine has no port 80 to reach, or the page is not there.
 */
export async function readStatusPage(
  endpoints: readonly { guestPort: number; host: string; port: number }[],
  signal: AbortSignal,
): Promise<StatusPage> {
  const web = endpoints.find(({ guestPort }) => guestPort === 80)
  if (web === undefined)
    throw new Error('Cannot reach the launched machine: port 80 is not among its reachable ports')
  const url = `http://${web.host}:${web.port}/status.json`
  const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)]) })
  if (!response.ok) throw new Error(`Cannot read ${url}: status ${response.status}`)
  return statusPageSchema.parse(await response.json())
}
