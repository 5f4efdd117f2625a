# shellcheck shell=sh
#: Publishes what a device behind a bridge wants regularly.
keep_alive() { # the broker's process, seconds, topic, payload
  while kill -0 "$1"; do
    XDG_CONFIG_HOME=@clients@ mosquitto_pub -t "$3" -m "$4" || true
    sleep "$2"
  done
}
