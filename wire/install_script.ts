/**
 * The script that `curl … | sh` runs on a source server: checks the machine, fetches the agent, verifies it, and lets it install itself.
 * @module
 */
import { InvalidInputError } from '../domain/errors.ts'

/** What the script carries; all of it comes from the gateway that serves it. */
export interface InstallScriptFacts {
  /** `https://host:port` of the agent port. */
  agentUrl: string
  caPem: string
  /** SHA-256 of the gateway's public key, base64. */
  pin: string
  /** SHA-256 of the gzipped agent, hexadecimal. */
  agentSha256: string
}

/** Name of the gzipped agent under `/agent/` on the agent port. */
export const agentDownloadName = 'rehost-agent-linux-x64.gz'

/** Free space that the agent needs, MiB: one file, beside the one of an agent that is there already. */
export const agentDiskMiB = 150

/** The oldest C library that the agent runs on: that of RHEL 8 and Debian 10. */
const oldestGlibc = { major: 2, minor: 28 }

/** Each value lands in single quotes or in a quoted here-document: nothing in it may end them. */
const patterns: Readonly<Record<keyof InstallScriptFacts, RegExp>> = {
  agentUrl: /^https:\/\/[A-Za-z0-9.:[\]-]+$/,
  caPem: /^(-----(BEGIN|END) CERTIFICATE-----|[A-Za-z0-9+/=\r\n])+$/,
  pin: /^[A-Za-z0-9+/]{43}=$/,
  agentSha256: /^[0-9a-f]{64}$/,
}

/**
 * The script, for any POSIX shell. Its work stands in a function that the last line calls, so that a download cut short does nothing. Options
 * after `sh -s --` go to `rehost-agent install` as they are.
 *
 * @throws InvalidInputError when a value has a form that could break out of the script.
 */
export function renderInstallScript(facts: InstallScriptFacts): string {
  for (const [name, pattern] of Object.entries(patterns) as [keyof InstallScriptFacts, RegExp][]) {
    if (!pattern.test(facts[name]))
      throw new InvalidInputError(name, `Cannot put ${name} into the install script: it has the wrong form`)
  }
  return `#!/bin/sh
# Installs the Rehost agent on this server. What it does:
#   1. checks that this is a 64-bit Linux with glibc ${oldestGlibc.major}.${oldestGlibc.minor} or later, and that you are root
#   2. downloads the agent (one file) from ${facts.agentUrl}, whose key is pinned, and verifies its checksum
#   3. puts it into /opt/rehost, enrols this server, and starts the service rehost-agent
# It writes /opt/rehost, /etc/rehost, /var/lib/rehost and /etc/systemd/system/rehost-agent.service, nothing else.
# To remove it again: /opt/rehost/rehost-agent uninstall
set -eu

agent_url='${facts.agentUrl}'
pin='${facts.pin}'
agent_sha256='${facts.agentSha256}'
folder=/opt/rehost
download=$folder/download

say() { printf '%s\\n' "$*"; }

fail() {
  say "The Rehost agent was not installed: $1" >&2
  [ $# -lt 2 ] || say "What to do: $2" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null 2>&1 || fail "the program $1 is missing" "install it (Debian, Ubuntu: apt-get install $2; RHEL: dnf install $2) and run the command again"
}

check_machine() {
  [ "$(id -u)" -eq 0 ] || fail 'it must be run as root' 'put sudo before sh: curl … | sudo sh -s -- …'
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s), not Linux"
  case $(uname -m) in
    x86_64 | amd64) ;;
    *) fail "this is a $(uname -m) machine; the agent is for x86_64" ;;
  esac
  glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/^glibc //') || glibc=''
  [ -n "$glibc" ] || fail 'the C library of this system is not glibc' 'the agent runs on Debian 10, Ubuntu 20.04, RHEL 8, SLES 15 SP3 and later'
  major=\${glibc%%.*}; minor=\${glibc#*.}; minor=\${minor%%.*}
  if [ "$major" -lt ${oldestGlibc.major} ] || { [ "$major" -eq ${oldestGlibc.major} ] && [ "$minor" -lt ${oldestGlibc.minor} ]; }; then
    fail "glibc $glibc is too old; the agent needs ${oldestGlibc.major}.${oldestGlibc.minor}" 'use Debian 10, Ubuntu 20.04, RHEL 8, SLES 15 SP3 or later'
  fi
  need curl curl
  need gzip gzip
  need sha256sum coreutils
  need mkfifo coreutils
  [ -d /run/systemd/system ] || fail 'systemd does not run here' 'the agent runs as a systemd service; on other systems run it yourself: rehost-agent run'
}

check_space() {
  free_kib=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
  [ "$free_kib" -ge ${agentDiskMiB * 1024} ] || fail "there are only $((free_kib / 1024)) MiB free under $folder; ${agentDiskMiB} are needed" "free some space and run the command again"
}

# Unpacked and summed up while it arrives: a packed copy would only be written to be thrown away.
fetch_once() {
  rm -f "$download/packed"
  mkfifo "$download/packed"
  sha256sum <"$download/packed" >"$download/sum" &
  curl -fsSk --pinnedpubkey "sha256//$pin" --retry 3 --connect-timeout 20 "$agent_url/agent/${agentDownloadName}" |
    tee "$download/packed" | gzip -dc >"$download/rehost-agent"
}

fetch_agent() {
  say "Downloading the agent from $agent_url"
  attempt=1
  until fetch_once; do
    wait
    # What was cut short is worth another attempt; what never began is not.
    { [ -s "$download/rehost-agent" ] && [ $attempt -lt 3 ]; } ||
      fail "the agent cannot be downloaded from $agent_url" 'see the message above; check that this server reaches that address and port, and that no proxy replaces its certificate'
    attempt=$((attempt + 1))
    sleep 1
  done
  wait
  read -r sum rest <"$download/sum"
  [ "$sum" = "$agent_sha256" ] ||
    fail 'the downloaded agent has the wrong checksum' 'run the command again; should it fail again, make a new command on the add-server page'
  chmod 0755 "$download/rehost-agent"
}

write_ca() {
  cat >"$download/ca.pem" <<'REHOST_CA'
${facts.caPem.trim()}
REHOST_CA
}

main() {
  check_machine
  umask 022
  mkdir -p "$download"
  trap 'rm -rf "$download"; rmdir "$folder" 2>/dev/null || true' EXIT
  trap 'exit 1' HUP INT TERM
  check_space
  write_ca
  fetch_agent
  # The agent puts itself into the folder once it is enrolled: until then nothing of an agent that runs already is touched.
  code=0
  "$download/rehost-agent" install --gateway-url "$agent_url" --ca-file "$download/ca.pem" "$@" || code=$?
  [ $code -lt 126 ] || fail "the downloaded agent does not run here (exit code $code)" 'see the message above'
  [ $code -eq 0 ] || fail 'see the message above' 'mend what it says and run the command again'
}

main "$@"
`
}
