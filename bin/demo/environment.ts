/**
 * Where the demonstration plays: a folder, ports and settings of its own, so that it never meets a service that somebody uses.
 * @module
 */
import { stopEverything } from '../../cloud/qemu/service_stops.ts'
import { DataFolder } from '../supervisor/data_folder.ts'

/** Where the guest reaches this machine's loopback in QEMU's user network. */
export const guestViewOfHost = '10.0.2.2'

/** Ports that the demonstration listens on. */
export interface DemoPorts {
  http: number
  agent: number
  replication: number
  dynamodb: number
}

/** What names or opens a store, a queue or an installation. The one in this shell may be production's. */
const settingPattern = /^(REHOST_|AWS_|REDIS_URL$)/

/** `inherited` without every setting that could lead to another installation, and with the demonstration's own. */
export function demoEnvironment(
  inherited: Record<string, string | undefined>,
  dataDir: string,
  ports: DemoPorts,
): Record<string, string | undefined> {
  return {
    ...Object.fromEntries(Object.entries(inherited).filter(([name]) => !settingPattern.test(name))),
    REHOST_DATA_DIR: dataDir,
    REHOST_HTTP_HOST: '127.0.0.1',
    REHOST_HTTP_PORT: String(ports.http),
    REHOST_AGENT_PORT: String(ports.agent),
    REHOST_REPLICATION_PORT: String(ports.replication),
    REHOST_DYNAMODB_PORT: String(ports.dynamodb),
    REHOST_LISTEN_HOST: '127.0.0.1',
    REHOST_PUBLIC_HOST: guestViewOfHost,
    REHOST_CLOUD: 'qemu',
    // Says how this machine is, not what is on it.
    REHOST_ACCELERATOR: inherited['REHOST_ACCELERATOR'],
    REHOST_STORE: 'embedded',
    // Its machines are removed with it.
    REHOST_SHUTDOWN_SECONDS: '0',
  }
}

/**
 * Takes the demonstration's data folder and makes it empty. A demonstration that was killed has left processes there, which are known
 * only by files in it: they are ended first.
 * @throws Error when another demonstration works in it; nothing is changed then.
 */
export async function takeDemoFolder(dataDir: string): Promise<DataFolder> {
  const folder = await DataFolder.take(dataDir)
  try {
    await stopEverything(dataDir)
    await folder.empty()
  } catch (error) {
    await folder.giveBack()
    throw error
  }
  return folder
}
