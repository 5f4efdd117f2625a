# shellcheck shell=sh
#: Fetches a backup into the folder .restoring of each volume, where nobody sees it; restore.py then gives it
#: its place. One that is interrupted goes on.
set -eu
. ./backup-repository.sh

#: Refuses what is there, unless it may be set aside.
taken='' overwrite=@overwrite@
for volume in @influxdb@ @mosquitto@ @grafana@ @interface@; do
  [ ! -e "$volume/.restoring/placed" ] || continue
  for entry in "$volume"/* "$volume"/.[!.]*; do
    case ${entry##*/} in .restoring | .set-aside | lost+found) continue ;; esac
    [ -e "$entry" ] || continue
    taken="$taken ${volume##*/}"
    break
  done
done
[ -z "$taken" ] || [ "$overwrite" = true ] || {
  echo "there is data already, of:$taken. To set it aside in its volume, and put the backup in its place: --overwrite" >&2
  exit 1
}

fetch() { # path in the backup, volume, what it is
  folder=$2/.restoring
  [ "$(cat "$folder/fetched" 2> /dev/null)" != @snapshot@ ] || { echo "$3: fetched before"; return 0; }
  [ "$(cat "$folder/snapshot" 2> /dev/null)" = @snapshot@ ] || rm -rf "$folder"
  mkdir -p "$folder/data"
  echo @snapshot@ > "$folder/snapshot"
  run_restic 0 restore "@snapshot@:$1" --no-lock --target "$folder/data" --json || { reason >&2; exit 1; }
  jq -r --arg what "$3" 'select(.message_type == "summary") | "\($what): \(.files_restored // 0) files, \(.bytes_restored // 0) bytes"' @scratch@/out
  sync
  echo @snapshot@ > "$folder/fetched"
}
fetch @storedInfluxdb@ @influxdb@ InfluxDB
fetch @storedCopies@/mosquitto @mosquitto@ "the broker's queue"
fetch @storedCopies@/grafana @grafana@ Grafana
#: each interfaces
#: A backup may be older than the interface.
run_restic 0 ls --json --no-lock @snapshot@ @stored@ || { reason >&2; exit 1; }
if grep -q '"path":"@stored@"' @scratch@/out; then
  fetch @stored@ @volume@ "the interface"
else
  echo "the backup has nothing of the interface"
  mkdir -p @volume@/.restoring/data
fi
#: end
