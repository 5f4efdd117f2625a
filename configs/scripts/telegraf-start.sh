#!/bin/sh
#: Entrypoint of Telegraf's container; its arguments are the command. While the host's clock is wrong the
#: messages wait at the broker: one without a time of its own would be stored under a wrong one. A host
#: that is up for longer than @holdSeconds@ s waits no more, for the broker's queue does not hold for ever.
set -eu
limit=@holdSeconds@
log() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) W! [hold] $*" >&2; }
is_early() { [ "$(cut -d . -f 1 /proc/uptime)" -lt "$limit" ]; }
#: As timedatectl reads the kernel: 16 s, in µs, is the error of a clock that nobody sets.
clock() { adjtimex 2> /dev/null | awk '/maxerror:/ { found = $2 < 16000000 ? "right" : "wrong" } END { print found ? found : "unknown" }'; }
state=right held=0
trap 'exit 0' TERM INT
while is_early && state=$(clock) && [ "$state" = wrong ]; do
  [ $((held % 600)) != 0 ] || log "the host's clock is not synchronised: Telegraf waits for it, and the messages wait at the broker; see timedatectl at the host"
  held=$((held + 5))
  sleep 5 &
  wait $!
done
[ "$state" != unknown ] || log 'adjtimex does not tell whether the clock is synchronised: Telegraf does not wait for it'
[ "$held" = 0 ] || log "Telegraf starts after $held s: the clock is $state"
exec "$@"
