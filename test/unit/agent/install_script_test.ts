import { execFileSync, spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { removalCommand } from '../../../agent/install/uninstall.ts'
import { unitText } from '../../../agent/install/layout.ts'
import { renderInstallScript } from '../../../wire/install_script.ts'

const facts = {
  agentUrl: 'https://10.0.0.1:8443',
  caPem: '-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n',
  pin: `${'a'.repeat(43)}=`,
  agentSha256: 'a'.repeat(64),
}

describe('renderInstallScript()', () => {
  it('is a script that a POSIX shell can read', () => {
    execFileSync('dash', ['-n'], { input: renderInstallScript(facts) })
    execFileSync('sh', ['-n'], { input: renderInstallScript(facts) })
  })

  it('does nothing when it is cut short', () => {
    const script = renderInstallScript(facts)
    const lines = script.trimEnd().split('\n')
    for (let count = 1; count < lines.length; count += 7) {
      const cut = lines.slice(0, count).join('\n')
      // Whatever the shell says of the cut, no command of the script has run.
      const { stdout, stderr } = spawnSync('/bin/sh', ['-s'], {
        input: cut,
        env: { PATH: '/nowhere' },
        encoding: 'utf8',
      })
      expect(stdout).toBe('')
      expect(stderr).not.toContain('was not installed')
    }
  })

  it.each([
    ['agentUrl', "https://a'; rm -rf /; '"],
    ['agentUrl', 'http://a'],
    ['caPem', 'REHOST_CA\nrm -rf /\n'],
    ['pin', "x'"],
    ['agentSha256', '$(id)'],
  ])('refuses a %s that could break out of it', (name, value) => {
    expect(() => renderInstallScript({ ...facts, [name]: value })).toThrow(
      `Cannot put ${name} into the install script`,
    )
  })
})

describe('removalCommand()', () => {
  it('is a command that a shell can read, and names everything an agent leaves', () => {
    const command = removalCommand("/var/lib/it's mine")
    execFileSync('sh', ['-n'], { input: command })
    for (const path of [
      '/opt/rehost',
      '/etc/rehost',
      '/var/lib/rehost',
      '/etc/systemd/system/rehost-agent.service',
    ]) {
      expect(command).toContain(`'${path}'`)
    }
    expect(command).toContain(String.raw`'/var/lib/it'\''s mine'`)
  })
})

describe('unitText()', () => {
  it('restarts the agent for ever and lets the thawing helper outlive it', () => {
    const text = unitText('/opt/rehost/rehost-agent')
    expect(text).toContain('ExecStart=/opt/rehost/rehost-agent run\n')
    expect(text).toContain('Restart=always\n')
    expect(text).toContain('KillMode=process\n')
  })
})
