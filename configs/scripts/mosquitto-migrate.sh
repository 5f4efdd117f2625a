# shellcheck shell=sh
#: Takes over mosquitto.db, in which Mosquitto kept its queue before it had the plugin. One broker
#: reads it; a second one, with the plugin, fetches each session's messages over a bridge that is
#: connected under the session's own client id. Nothing is changed before all have come, so one that
#: is interrupted starts over.
. ./mosquitto-set-aside.sh
former=@data@/mosquitto.db
staging=@data@/.migrating
marker=bess-migration

launch() { # config; sets launched once it serves, false if it does not
  [ -z "$stopping" ] || return 1
  : > "$staging/$1.log"
  mosquitto -c "$staging/$1.conf" > "$staging/$1.log" 2>&1 &
  launched=$!
  broker="$broker $launched"
  until grep -q ' running$' "$staging/$1.log"; do
    kill -0 "$launched" 2> /dev/null || return 1
    sleep 0.1
  done
}

end() { # signal, process
  kill -s "$1" "$2" 2> /dev/null || true
  wait "$2" 2> /dev/null || true
}

#: Leaves the former file as it is: what the broker may write back goes to another name of it.
configure_old() {
  ln "$former" "$staging/mosquitto.db"
  cat << END
listener @migrationPort@ 127.0.0.1
allow_anonymous true
persistence true
autosave_interval 0
persistence_location $staging/
max_queued_messages 0
max_inflight_messages 1000
log_type information
END
}

configure_new() {
  sed "s|^persistence_location .*|persistence_location $staging/|; s|^listener .*|listener 0 $staging/new.sock|" @trial@
}

bridge() { # client id, whether it is a clean session, then topics besides the marker's
  cat << END
connection $1
address 127.0.0.1:@migrationPort@
remote_clientid $1
cleansession $2
local_cleansession true
notifications false
topic end in 1 $marker/$1/ $marker/
END
  shift 2
  for topic; do echo "topic $topic in 1"; done
}

#: A session's messages come in their order: once a marker has come, so has all that was before it.
await_markers() { # client ids
  : > "$staging/ended"
  mosquitto_sub --unix "$staging/new.sock" -t "$marker/+/end" -F %t > "$staging/ended" &
  watch=$!
  broker="$broker $watch"
  for id; do
    until grep -q "^$marker/$id/end$" "$staging/ended"; do
      [ -z "$stopping" ] && kill -0 "$watch" || return 1
      mosquitto_pub -p @migrationPort@ -q 1 -t "$marker/end" -m '' || return 1
      sleep 0.5
    done
  done
  end TERM "$watch"
}

subscribe() { # client id, topic: makes a session of Telegraf's
  mosquitto_sub --unix "$staging/new.sock" -u telegraf -c -i "$1" -q 1 -t "$2" -E
}

#: The sessions are there before the messages come. What is retained comes over a bridge of its own.
fetch() {
  configure_old > "$staging/old.conf"
  configure_new > "$staging/empty.conf"
  { configure_new; bridge bess-retained true '#'; } > "$staging/new.conf"
  launch old && old=$launched && launch empty || return 1
  set -- bess-retained
#: each sessions
  set -- "$@" @formerId@
  bridge @formerId@ false >> "$staging/new.conf"
  [ -n "$has_sessions" ] || subscribe @id@ @topic@ || return 1
#: end
  end TERM "$launched"
  launch new && await_markers "$@" || return 1
  end TERM "$launched"
  end KILL "$old"
}

#: Once all is there it only goes forward, in an order that may be interrupted anywhere.
finish() {
  [ ! -e "$former" ] || set_aside "$former"
  rm -f @data@/@database@-wal @data@/@database@-shm
  [ ! -e "$staging/@database@" ] || mv "$staging/@database@" @data@/
  sync
  rm -r "$staging"
}

#: The plugin does not tell of a full disk.
has_room() {
  size=$(du -k "$former" | cut -f 1)
  free=$(df -Pk @data@ | awk 'END { print $4 }')
  [ "$free" -gt $((3 * size)) ] || {
    say "The queue of the former kind needs $((3 * size)) KiB to be taken over; $free KiB are free."
    return 1
  }
}

give_up() {
  say "The queue of the former kind could not be taken over: $(tail -n 1 "$staging/old.log")"
  rm -r "$staging"
  set_aside "$former"
  say "It was set aside in $into."
}

migrate() {
  if [ -e "$staging/complete" ]; then finish; return; fi
  [ -e "$former" ] || return 0
  has_room || { sleep 10; exit 1; }
  say 'The queue of the former kind is taken over.'
  began=$(date +%s)
  attempts=$(cat "$staging.attempts" 2> /dev/null || echo 0)
  echo $((attempts + 1)) > "$staging.attempts"
  rm -rf "$staging"
  mkdir "$staging"
#: A site that has gone back to an older version, and comes forward again, has both.
  has_sessions=''
  for file in @data@/@database@*; do
    [ ! -e "$file" ] || { cp "$file" "$staging" && has_sessions=yes; }
  done
  reserve_queue "$staging/@database@"
  has_room > /dev/null || [ -n "$has_sessions" ] || rm -f "$staging/@database@"
  if [ "$attempts" -lt 10 ] && fetch; then
    sync
    touch "$staging/complete"
    sync
    finish
    say "The queue was taken over in $(($(date +%s) - began)) s. Its former file is in $into."
  else
    for process in $broker; do end KILL "$process"; done
    [ -z "$stopping" ] || { echo "$attempts" > "$staging.attempts"; exit 0; }
    give_up
  fi
  rm -f "$staging.attempts"
  broker=''
}
