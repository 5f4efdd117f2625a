#!/bin/sh
#: Runs in the broker's container, and removes a session of Telegraf's. `remove` keeps what waits in it
#: as a file that `bess replay` reads; `drop` does not, for another session has it too. Arguments: the
#: action, the session's client id, and for `remove` the topics that it subscribed to.
set -eu
. ./mosquitto-set-aside.sh
action=$1 id=$2
shift 2
export XDG_CONFIG_HOME=@clients@
marker=bess-sessions/end

case $id in
#: each sessions
  @id@) exit 0 ;; # The site goes away, and its volume may stay: the session stays in it.
#: end
esac

#: A session's messages come in their order: once the marker has come, so has all that was before it.
#: Each is a line of JSON, in which the time is that of its arrival, where the broker's clock told it.
keep() { # topics
  new_folder
  file=$into/messages.ndjson
  pattern=${1#\$share/bess/}
  for topic; do set -- "$@" -U "$topic"; shift; done
  mosquitto_sub -c -i "$id" -q 1 -t "$marker" "$@" -F %j > "$file.raw" &
  reader=$!
  until grep -qF "\"topic\":\"$marker\"" "$file.raw" 2> /dev/null; do
    kill -0 "$reader"
    mosquitto_pub -q 1 -t "$marker" -m 1
    sleep 0.5
  done
  kill "$reader"
  wait "$reader" || true
  TZ=UTC0 awk '
    index($0, "\"topic\":\"'"$marker"'\"") { next }
    index($0, "\"topic\":\"@clockTopic@\"") {
      clocked = 1
      told = match($0, /"payload":"[0-9]+"/) ? strftime("%Y-%m-%dT%H:%M:%SZ", substr($0, RSTART + 11, RLENGTH - 12)) : ""
      next
    }
    clocked { sub(/"tst":"[^"]*",/, told ? "\"tst\":\"" told "\"," : "") }
    { print }' "$file.raw" > "$file"
  sync
  rm "$file.raw"
  if [ -s "$file" ]; then
    echo "$(wc -l < "$file") messages of $pattern, which Telegraf no longer reads, are in the broker's volume: $file"
  else
    rm -r "$into"
  fi
}

[ "$action" = drop ] || keep "$@"
# A clean session under its client id ends it.
mosquitto_sub -i "$id" -t "$marker" -E
#: Telegraf has just come up. Until the session that takes this one's place is written, a power cut would
#: take it, and with it what comes before Telegraf makes it again.
[ "$action" != drop ] || sleep @writtenSeconds@
