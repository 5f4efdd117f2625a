#!/bin/sh
#: Entrypoint of Telegraf's container; its arguments are the command. While the host's clock is wrong the
#: messages wait at the broker: one without a time of its own would be stored under a wrong one. It does
#: not wait for ever, for the broker's queue does not hold so long.
set -eu
. ./clock-state.sh
log() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) W! [hold] $*" >&2; }
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
! ls @sensors@ > /dev/null 2>&1 || set -- "$@" --config @voltage@
exec "$@"
