#!/bin/sh
#: Runs in the backup's container: asks for a backup, waits for it, and prints what came of it. With the
#: argument `new` it begins another repository where there is none, or another than before.
set -eu
id=$(date +%s)-$$${1:+-$1}
echo "$id" > @state@/now.new
mv @state@/now.new @state@/now
shown=''
until answer=$(cat @state@/ended 2> /dev/null) && [ "${answer%% *}" = "$id" ]; do
  sleep 1
  percent=$(tail -n 1 @scratch@/out 2> /dev/null | jq -r 'select(.message_type == "status") | .percent_done * 100 | floor' 2> /dev/null || true)
  [ "$percent" = "$shown" ] || { shown=$percent; echo "${percent:-0} %"; }
done
answer=${answer#* }
[ "${answer%% *}" = 1 ] || { echo "${answer#* }" >&2; exit 1; }
echo "${answer#* }"
