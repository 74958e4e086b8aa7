/**
 * Where an installed agent lives: the complete list of what an uninstall removes.
 * @module
 */

/** Name of the systemd service. */
export const serviceName = 'rehost-agent.service'

/** Paths of an installed agent. */
export const layout = {
  program: '/opt/rehost/rehost-agent',
  programFolder: '/opt/rehost',
  configFile: '/etc/rehost/agent.json',
  configFolder: '/etc/rehost',
  hooksFolder: '/etc/rehost/hooks.d',
  stateFolder: '/var/lib/rehost',
  unitFile: `/etc/systemd/system/${serviceName}`,
} as const

/** Files of an agent that was installed with `--trace-from-boot`. */
export const bootPaths = {
  /** systemd runs what is there at the end of a shutdown. */
  shutdownHook: '/usr/lib/systemd/system-shutdown/rehost-agent',
  grubScript: '/etc/grub.d/01_rehost',
  grubDefaults: '/etc/default/grub.d/rehost-agent.cfg',
} as const

/** The systemd unit that runs `program`. */
export function unitText(program: string): string {
  return `[Unit]
Description=Rehost agent: replicates the disks of this server
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=simple
ExecStart=${program} run
Restart=always
RestartSec=5
# 2: what no restart mends, such as an expired certificate.
RestartPreventExitStatus=2
# The helper that thaws frozen file systems must outlive the agent: only the agent itself is killed, the helper ends by itself.
KillMode=process
TimeoutStopSec=30
# Below the server's own work, but not idle: an idle class would let the copy fall behind on a busy disk.
Nice=5
IOSchedulingClass=best-effort
IOSchedulingPriority=7
MemoryMax=512M
OOMScoreAdjust=500
StandardOutput=journal
StandardError=journal
UMask=0077

[Install]
WantedBy=multi-user.target
`
}
