# shellcheck shell=bash
#: At a start Docker waits until the clock is synchronised, for @seconds@ s at most: a Raspberry Pi has no
#: clock that runs without power, and begins in the past.
. ./host-prepare.sh
changes=
has_unit() { systemctl cat "$1" > /dev/null 2>&1; }
enable_unit() { # unit, options
  systemctl is-enabled --quiet "$1" 2> /dev/null && return
  systemctl enable --quiet "${@:2}" "$1"
  changed "enabled $1"
  changes=yes
}
drop_in() { # unit, with the text on standard input
  local file=/etc/systemd/system/$1.d/@file@ wanted
  wanted=$(cat)
  [ "$wanted" != "$(cat "$file" 2> /dev/null)" ] || return 0
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$wanted" > "$file"
  changed "$file"
  changes=yes
}
if has_unit chrony-wait.service; then
  waits=chrony-wait.service
else
  waits=systemd-time-wait-sync.service
  #: systemd's own would remove another time service.
  dpkg-query -W -f '${db:Status-Status} ${Provides}\n' | grep -q '^installed .*time-daemon' || install_packages systemd-timesyncd
  ! has_unit systemd-timesyncd.service || enable_unit systemd-timesyncd.service --now
fi
has_unit $waits || { echo "Docker does not wait for the clock: neither systemd-timesyncd nor chrony is here" >&2; exit 0; }
enable_unit $waits
drop_in $waits << 'UNIT'
# Written by bess-telemetry.
[Service]
TimeoutStartSec=@seconds@
UNIT
drop_in docker.service << 'UNIT'
# Written by bess-telemetry.
[Unit]
Wants=time-sync.target
After=time-sync.target

[Service]
ExecStartPre=-/bin/sh -c '[ "$$(timedatectl show -p NTPSynchronized --value)" = yes ] || echo "<4>Docker starts, though the clock is not synchronised: it has waited @seconds@ s at most"'
UNIT
if [ -n "$changes" ]; then
  systemctl daemon-reload
  #: A time service that was enabled just now is waited for too, as at a start.
  systemctl start $waits || true
fi
