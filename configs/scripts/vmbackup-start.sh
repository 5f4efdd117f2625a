#!/bin/sh
#: Entrypoint of the hub's backup, for a shell as small as busybox's. latest holds the newest backup, of which
#: each run sends only what is new; of each of the last seven days one is kept, which shares nothing with it.
set -eu
say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*"; }

#: Without a page of metrics: it panics where it has done its work before that page is served.
run() {
  # shellcheck disable=SC2086 # Several words, or none.
  @program@ -storageDataPath=@data@ -snapshot.createURL=@database@/snapshot/create \
    "-dst=@place@/latest" @arguments@ -loggerLevel=WARN -httpListenAddr= || return 1
  # shellcheck disable=SC2086 # The same.
  @program@ "-origin=@place@/latest" "-dst=@place@/$(date -u +%a)" @arguments@ -loggerLevel=WARN -httpListenAddr= || return 1
}

#: What is told to VictoriaMetrics is what the alert reads.
tell() { wget -q -O /dev/null --post-data "@metric@ $(date +%s)" @database@/api/v1/import/prometheus; }

trap 'exit 0' TERM INT
touch @alive@
while :; do
  if run; then
    say 'the hub is backed up'
    tell || say 'VictoriaMetrics does not take the time of this backup'
    wait=@everySeconds@
  else
    say "no backup was made; it is tried again in @retrySeconds@ s"
    wait=@retrySeconds@
  fi
  sleep "$wait" &
  wait $! || :
done
