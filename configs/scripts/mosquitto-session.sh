#!/bin/sh
#: Runs in the broker's container, and removes a session of Telegraf's. `remove` keeps what waits in it
#: as a file that `bess replay` reads; `drop` does not, for another session has it too. Arguments: the
#: action, the session's client id, and for `remove` its topic.
set -eu
. ./mosquitto-set-aside.sh
action=$1 id=$2 topic=${3:-}
export XDG_CONFIG_HOME=@clients@
marker=bess-sessions/end

case $id in
#: each sessions
  @id@) exit 0 ;; # The site goes away, and its volume may stay: the session stays in it.
#: end
esac

#: A session's messages come in their order: once the marker has come, so has all that was before it.
#: JSON may have line breaks, but no record separator.
keep() {
  separator=$(printf '\036')
  new_folder
  file=$into/messages.ndjson
  mosquitto_sub -c -i "$id" -q 1 -t "$marker" -U "$topic" \
    -F "{\"topic\":\"%t\",\"payload\":%p}$separator" > "$file.raw" &
  reader=$!
  until grep -qF "{\"topic\":\"$marker\"" "$file.raw" 2> /dev/null; do
    kill -0 "$reader"
    mosquitto_pub -q 1 -t "$marker" -m 1
    sleep 0.5
  done
  kill "$reader"
  wait "$reader" || true
  awk -v RS="$separator\n" -v marker="{\"topic\":\"$marker\"" \
    'index($0, marker) != 1 { gsub(/[\r\n]/, " "); print }' "$file.raw" > "$file"
  sync
  rm "$file.raw"
  if [ -s "$file" ]; then
    echo "$(wc -l < "$file") messages of $topic, which Telegraf no longer reads, are in the broker's volume: $file"
  else
    rm -r "$into"
  fi
}

[ "$action" = drop ] || keep
# A clean session under its client id ends it.
mosquitto_sub -i "$id" -t "$marker" -E
