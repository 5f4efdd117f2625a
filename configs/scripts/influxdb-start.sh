#!/bin/bash
#: Entrypoint of InfluxDB's container: clones the data before an update, repairs what a power cut has left,
#: and starts the server, the relay that Telegraf writes through, and syncs of the volume, because InfluxDB
#: itself never syncs. A new volume takes the generated token, an old one keeps its own.
set -eu
if [ ! -s @adminToken@ ]; then
  (umask 077 && cp @seed@ @adminToken@.new && sync @adminToken@.new && mv @adminToken@.new @adminToken@)
fi
. ./influxdb-clone.sh
. ./influxdb-set-aside.sh
guard_data
[ -d "$node/catalog" ] && is_new=no || is_new=yes
began=$EPOCHREALTIME
repair

#: One complete sync. What is older than the file .synced is on the disk from then on: it is set back by
#: a second, because a file system's clock ticks coarsely. A copy of the catalog stays that is on the disk.
sync_volume() {
  local catalog kept synced_until=$((EPOCHSECONDS - 1))
  mkdir -p @data@/.catalog
  for catalog in "$node"/catalog/v*/snapshot; do
    kept=@data@/.catalog/$(basename "$(dirname "$catalog")")
    [ ! "$catalog" -nt "$kept" ] || cp -p "$catalog" "$kept.new" || rm -f "$kept.new"
  done
  sync -f @data@ || { echo "sync of @data@ failed: is the disk worn out or full?" >&2; return; }
  for kept in @data@/.catalog/*.new; do [ ! -e "$kept" ] || mv -f "$kept" "${kept%.new}"; done
  touch -d "@$synced_until" "$synced"
}

#: Writes a point into the pipeline's own database.
report() {
  local token
  token=$(sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p' @adminToken@)
  curl -fsS -o /dev/null -m 30 -K <(printf 'header = "Authorization: Bearer %s"\n' "$token") \
    --data-binary "$1" "http://127.0.0.1:@port@/api/v3/write_lp?db=@pipeline@"
}

#: Tells the pipeline dashboard of this start. A new database has no tables yet, and nothing to tell.
report_start() {
  local seconds
  until curl -fsS -o /dev/null -m 5 http://127.0.0.1:@port@/health 2> /dev/null; do sleep 0.2; done
  seconds=$(((${EPOCHREALTIME/[.,]/} - ${began/[.,]/}) / 1000))
  echo "InfluxDB answers after $seconds ms; $aside_count files set aside"
  [ "$is_new" = no ] || return 0
  report "@startTable@ set_aside=${aside_count}i,milliseconds=${seconds}i"
}

#: Measures the volume, for the pipeline dashboard and the host check. Files come and go meanwhile, of
#: which du complains.
report_size() {
  local bytes
  bytes=$(($(du -sk @data@ 2> /dev/null | cut -f 1) * 1024))
  echo "$bytes" > @data@/.measuring
  mv @data@/.measuring @sizeFile@
  report "@sizeTable@ bytes=${bytes}i"
}

#: each backups
#: Rows about backups, which the copier has left: each is stored once, and waits until then.
report_backups() {
  local row
  for row in @rows@/*.lp; do [ ! -e "$row" ] || { report "@$row" && rm "$row"; } || return 0; done
}
#: end

#: InfluxDB never deletes a snapshot, and reads them all at its start.
merge_snapshots() { nice -n 19 perl @snapshots@ || true; }

#: At its start InfluxDB opens every snapshot at once. Where an engine allows 1,024 open files, as recent
#: ones do, it would end after a week of blocks.
ulimit -n "$(ulimit -Hn)"
merge_snapshots
influxdb3 "$@" &
server=$!
perl @relay@ &
relay=$!
trap 'kill -TERM "$server" 2> /dev/null || true' TERM INT
report_start &
measure_at=@measureAfter@
merge_at=86400
runs() { kill -0 "$1" 2> /dev/null; }
while runs "$server" && runs "$relay"; do
  # A full disk must not end the script, and the server with it.
  sync_volume || true
#: each backups
  report_backups &
#: end
  [ "$SECONDS" -lt "$measure_at" ] || { measure_at=$((SECONDS + 3600)); prune_clones; relieve_disk; report_size & }
  [ "$SECONDS" -lt "$merge_at" ] || { merge_at=$((SECONDS + 86400)); merge_snapshots & }
  sleep @syncSeconds@ &
  # Ends at once when one of them does, or when the container is stopped.
  wait -n "$server" "$relay" $! || true
done
kill -TERM "$server" 2> /dev/null || true
ended=0
wait "$server" || ended=$?
# shellcheck disable=SC2046 # the relay, and what waits
kill $(jobs -p) 2> /dev/null || true
sync_volume || true
exit "$ended"
