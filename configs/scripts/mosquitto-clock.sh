# shellcheck shell=sh
#: Tells the time in a topic, for messages that have none: one came when the time before it was told. From
#: "?" on nobody knows.
. ./clock-state.sh
# shellcheck disable=SC2016 # the topic's name begins with a $
is_right=''
time_now() {
  if [ -z "$is_right" ] && is_early && [ "$(clock)" = wrong ]; then echo '?'; else is_right=yes && date +%s; fi
}

#: Every session hears it before a gateway is let in, whose first messages came after the downtime.
tell_sessions() { mosquitto_pub --unix @data@/.trial.sock -q 1 -t @topic@ -m "$(time_now)"; }

publish() { XDG_CONFIG_HOME=@clients@ mosquitto_pub -q 1 -t @topic@ "$@"; }

#: The broker keeps a client's will over its own end, and would tell "?" at its start.
tell_time() { # the broker's process
  while kill -0 "$1"; do
    if publish -m "$(time_now)"; then
      while sleep 1 && kill -0 "$1" && time_now; do :; done | publish -l || true
      until publish -m '?' || ! kill -0 "$1"; do sleep 1; done
    fi
    sleep 1
  done
}
