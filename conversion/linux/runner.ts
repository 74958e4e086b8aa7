/**
 * The runner of post-launch actions, put into guests whose launch has actions to run.
 * @module
 */
import type { Change, Guest, Operation, TargetHardware } from '../types.ts'
import { runnerHome, runnerPath, runnerScript } from './runner_script.ts'

const inittab = '/etc/inittab'
const unit = '/etc/systemd/system/rehost-runner.service'

/** A command outlives the runner, and the next one waits for it. */
const unitText = (command: string): string => `[Unit]
Description=Rehost: runs post-launch actions
After=local-fs.target network.target
RequiresMountsFor=${runnerHome}

[Service]
ExecStart=${command}
KillMode=process
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
`

/** The text that inittab has once `changes` are done. */
function inittabAfter(guest: Guest, changes: readonly Change[]): string | undefined {
  const written = changes
    .flatMap(({ operations }) => operations)
    .findLast((operation) => operation.kind === 'write' && operation.path === inittab)
  if (written?.kind === 'write') return written.text
  return guest.files.find(({ path }) => path === inittab)?.text
}

/** The change, or undefined when the target has no port for commands. `changes` are those that come before it. */
export function planRunner(
  guest: Guest,
  { commandPort }: TargetHardware,
  changes: readonly Change[],
  warnings: string[],
): Change | undefined {
  if (commandPort === undefined) return undefined
  const command = `/bin/sh ${runnerPath} /dev/virtio-ports/${commandPort} ${runnerHome}`
  const script: Operation = { kind: 'write', path: runnerPath, text: runnerScript, mode: 0o755 }
  const change = {
    name: 'action-runner',
    what: 'Puts in a runner of post-launch actions',
    because: 'The launch has actions to run, which come by a port of the machine',
  }
  if (guest.initSystem === 'systemd') {
    return {
      ...change,
      operations: [
        script,
        { kind: 'write', path: unit, text: unitText(command), mode: 0o644 },
        {
          kind: 'link',
          path: '/etc/systemd/system/multi-user.target.wants/rehost-runner.service',
          target: unit,
        },
      ],
    }
  }
  const table = inittabAfter(guest, changes)
  if (guest.initSystem === 'sysvinit' && table !== undefined) {
    const line = `RH:2345:respawn:${command}\n`
    const others = table.split('\n').filter((own) => !own.startsWith('RH:'))
    const text = `${others.join('\n').trimEnd()}\n${line}`
    return { ...change, operations: [script, { kind: 'write', path: inittab, text }] }
  }
  warnings.push("The guest's init system is not known: nothing starts the runner of post-launch actions")
  return undefined
}
