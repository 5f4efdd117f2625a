#!/bin/sh
#: Entrypoint of the broker's container, for a shell as small as busybox's. A queue that the broker
#: cannot read is set aside, so that it never keeps the broker down.
set -eu
. ./mosquitto-migrate.sh
. ./mosquitto-reserve.sh
. ./clone-archive.sh
#: each clock
. ./mosquitto-clock.sh
#: end
#: each bridged
. ./mosquitto-keepalive.sh
#: end
broker=''
stopping=''
# shellcheck disable=SC2086 # there may be several
trap 'stopping=yes; kill -TERM $broker 2> /dev/null || true' TERM INT
# shellcheck disable=SC2086
trap 'kill -HUP $broker 2> /dev/null || true' HUP

await() { # sets status to the broker's own exit code
  while :; do
    status=0
    wait "$broker" || status=$?
    # A signal to this shell interrupts the wait, and the broker may still be there.
    kill -0 "$broker" 2> /dev/null || return 0
  done
}

is_data() { case $1 in @database@* | mosquitto.db | .migrating*) ;; *) false ;; esac; }
#: Most pages of the queue's database are free, and take next to nothing in an archive.
file_size() {
  if [ "$1" = @data@/@database@ ] && [ -s "$1" ]; then
    od -An -v -tu1 -j 28 -N 12 "$1" | awk -v size=@pageSize@ '
      { for (n = 1; n <= NF; n++) byte[++count] = $n }
      function word(n) { return ((byte[n] * 256 + byte[n + 1]) * 256 + byte[n + 2]) * 256 + byte[n + 3] }
      END { print int((word(1) - word(9)) * size / 1024) + 1024 }'
  else
    du -sk "$1" | cut -f 1
  fi
}

log=$(mktemp)
trial() { # runs the broker where nobody reaches it, until it has read the queue
  mosquitto -c @trial@ > "$log" 2>&1 &
  broker=$!
  until grep -q ' running$' "$log" || ! kill -0 "$broker" 2> /dev/null; do sleep 0.1; done
#: each clock
  tell_sessions 2> /dev/null || true
#: end
  kill -TERM "$broker" 2> /dev/null || true
  await
  [ -z "$stopping" ] || exit "$status"
}

#: Words of the plugin's about files that are damaged. A full disk, or one that may not be written,
#: is no damage. What it could not restore it counts, and goes on. A broker that crashes later than that
#: does so for another reason.
trouble() {
  grep -m 1 -E '(opening database|creating tables|preparing statements|restoring [a-z ]+): .*(not a database|malformed|I/O error|logic error|mismatch|Unknown)|\([1-9][0-9]* failed\)|Unknown database_schema' "$log" ||
    case $status in
      134 | 135 | 136 | 139) ! grep 'Opening unix listen socket' "$log" && echo "the broker crashed with $status" ;;
      *) false ;;
    esac
}

guard_data
migrate
queue=@data@/@database@
reserve_queue "$queue"
await_room "$queue"
trial
if why=$(trouble); then
  set_aside "$queue"*
  say "The broker's queue is damaged, and was set aside in $into: $why"
  reserve_queue "$queue"
fi
rm "$log"
await_room "$queue"

#: Its log without the clients that come and go: the health check alone is one every ten seconds. Why a
#: client was cut off is told once an hour, and of 100 clients at most. Mosquitto 2.1.2 says of one that
#: comes back to its session that it was taken over, as of two with one id; but then it had gone before.
lines=$(mktemp -u)
mkfifo "$lines"
awk '
  /^[0-9]+: New (connection|client connected|bridge connected) from / { next }
  match($0, / \[[^]]*\] disconnected/) {
    client = substr($0, length($1) + 2, RSTART + RLENGTH - length($1) - 2)
    if (/ session taken over\.$/) {
      if (client in gone || client ~ /\[\(null\):0\]/) { delete gone[client]; next }
    } else {
      if (++left > 1000) { left = 0; split("", gone) }
      gone[client]
      if (/\] disconnected(: connection closed by client)?\.$/) next
    }
    what = $0
    gsub(/^[0-9]+: | \[[^]]*\]/, "", what)
    if (hour != int($1 / 3600)) { hour = int($1 / 3600); told = 0; split("", clients) }
    if (what in clients || ++told > 100) next
    clients[what]
  }
  { print; fflush() }' < "$lines" &
filter=$!

#: The plugin writes to disk when the broker wakes after the flush period, and an idle one sleeps on:
#: up to 10 s. This signal only wakes it.
trap '' USR1
mosquitto -c @config@ > "$lines" 2>&1 &
broker=$!
(while sleep @wakeSeconds@ && kill -USR1 "$broker"; do :; done) 2> /dev/null &
#: each clock
tell_time "$broker" 2> /dev/null &
#: end
#: each keepalives
keep_alive "$broker" @seconds@ @topic@ @payload@ 2> /dev/null &
#: end
await
wait "$filter" || true
rm "$lines"
exit "$status"
