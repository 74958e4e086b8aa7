/**
 * The runner: a shell script in the launched guest that does what comes by the command port, each command once. What is said there is in
 * `cloud/qemu/command_port.ts`.
 * @module
 */

/** Where it lies in the guest. */
export const runnerPath = '/usr/local/lib/rehost-runner/runner.sh'
/** Where it keeps commands and how they ended. */
export const runnerHome = '/var/lib/rehost-runner'

/** The script; its arguments are the port and the folder of what it keeps. */
export const runnerScript = `#!/bin/sh
# Runs what Rehost sends by a port of this machine after it was launched: each command once, with a time limit,
# and keeps how it ended. Stop and disable rehost-runner, and remove ${runnerPath} and ${runnerHome},
# when nothing is to come any more.
port=$1
home=$2
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
HOME=/root
export PATH HOME
umask 077
mkdir -p "$home" || exit 1

# Seconds since the start of the machine: no clock that is set goes back over it.
look_at_clock() {
  read -r now rest </proc/uptime
  now=\${now%%.*}
}

# end FOLDER HOW CODE: what is over stays over, also after the power fails. Whoever comes second leaves it to the first.
end() {
  mkdir "$1/ending" 2>/dev/null || return
  tail -c 16384 "$1/output" >"$1/tail" 2>/dev/null
  echo "$2 $3" >"$1/ended.new"
  rm -f "$1/script" "$1/output"
  sync
  mv "$1/ended.new" "$1/ended"
  sync
}

# watch FOLDER: waits until its command is over, and sees to it that it comes to an end.
watch() {
  read -r seconds begun <"$1/limit"
  how=EXITED
  lost=0
  until [ -e "$1/code" ]; do
    sleep 1
    # What this program keeps was removed.
    [ -d "$1" ] || return
    # It is gone without a word, and so is what would have told of its end.
    if kill -s 0 -- "-$(cat "$1/pid")" 2>/dev/null; then lost=0; else lost=$((lost + 1)); fi
    if [ "$lost" -ge 30 ]; then
      end "$1" INTERRUPTED 255
      return
    fi
    if [ "$(wc -c <"$1/output")" -gt 1048576 ]; then
      tail -c 65536 "$1/output" >"$1/kept" && cat "$1/kept" >"$1/output"
    fi
    look_at_clock
    [ $((now - begun)) -ge "$seconds" ] || continue
    how=TIMED_OUT
    signal=TERM
    [ $((now - begun - seconds)) -lt 5 ] || signal=KILL
    kill -s "$signal" -- "-$(cat "$1/pid")" 2>/dev/null
  done
  end "$1" "$how" "$(cat "$1/code")"
}

# begin FOLDER: starts its command in a session of its own.
begin() {
  look_at_clock
  echo "$(cat "$1/seconds") $now" >"$1/limit"
  : >"$1/output"
  (
    setsid sh -c '
      echo "$$" >"$1/pid"
      IFS= read -r first <"$1/script"
      umask 022
      cd "$(cat "$1/folder")" || exit
      case $first in
        "#!"*) exec "$1/script" ;;
        *) exec /bin/sh "$1/script" ;;
      esac' sh "$1" >>"$1/output" 2>&1
    echo "$?" >"$1/code.new"
    mv "$1/code.new" "$1/code"
  ) </dev/null >/dev/null 2>&1 &
  watch "$1" </dev/null >/dev/null 2>&1 &
}

# keep ID SECONDS FOLDER SCRIPT: on the disk before it begins, so that it never begins twice.
keep() {
  new=$home/.new
  rm -rf "$new"
  mkdir "$new" || return
  echo "$2" >"$new/seconds" || return
  if [ "$3" = - ]; then echo / >"$new/folder"; else echo "$3" | base64 -d >"$new/folder"; fi || return
  echo "$4" | base64 -d >"$new/script" || return
  chmod 700 "$new/script" || return
  cat /proc/sys/kernel/random/boot_id >"$new/boot" || return
  sync
  mv "$new" "$home/$1" || return
  sync
}

# tell ID: answers what has become of it.
tell() {
  if [ -e "$home/$1/ended" ]; then
    read -r how code <"$home/$1/ended"
    text=$(base64 <"$home/$1/tail" | tr -d '\\n')
    answer="DONE $how $code \${#text} \${text:--}"
  elif [ -d "$home/$1" ]; then
    answer=RUNNING
  else
    answer=$2
  fi
  printf '\\nstate %s %s\\n' "$1" "$answer" >&3
}

# What ran when this program ended last runs on, or was cut short by the end of the machine.
for folder in "$home"/*/; do
  folder=\${folder%/}
  [ -d "$folder" ] && [ ! -e "$folder/ended" ] || continue
  if [ "$(cat "$folder/boot")" = "$(cat /proc/sys/kernel/random/boot_id)" ] && [ -e "$folder/limit" ]; then
    watch "$folder" </dev/null >/dev/null 2>&1 &
    continue
  fi
  rm -rf "$folder/ending"
  if [ -e "$folder/code" ]; then
    end "$folder" EXITED "$(cat "$folder/code")"
  else
    end "$folder" INTERRUPTED 255
  fi
done

waited=0
until [ -e "$port" ]; do
  # Elsewhere there is no such port, and nothing to do.
  [ "$waited" -lt 300 ] || exit 0
  sleep 1
  waited=$((waited + 1))
done

while :; do
  exec 3<>"$port" || exit 1
  while read -r verb id seconds directory length text <&3; do
    case $id in '' | *[!A-Za-z0-9-]*) continue ;; esac
    case $verb in
      look) tell "$id" UNKNOWN ;;
      run)
        # What a connection that ended has left half said is no command.
        [ -n "$text" ] && [ "\${#text}" = "$length" ] || continue
        if [ ! -d "$home/$id" ] && keep "$id" "$seconds" "$directory" "$text"; then
          begin "$home/$id" 3>&-
        fi
        tell "$id" REFUSED
        ;;
    esac
  done
  # Nobody is at the other end now.
  exec 3>&-
  sleep 2
done
`
