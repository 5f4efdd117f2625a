# shellcheck shell=bash
#: Runs in InfluxDB's container, which reaches Grafana too: waits until the gate's message is stored
#: and Grafana's data source answers with it. Prints what did not happen in time.
. ./influxdb-api.sh
limit=@limitSeconds@
wait_for() { # failure command
  until "$2" | grep -q rollout_gate_found; do
    [ "$SECONDS" -lt "$limit" ] || { echo "$1 within $limit s"; exit 0; }
    sleep 0.5
  done
}
found() { if grep -q "$1"; then echo rollout_gate_found; fi; }
stored() {
  call GET @query@ ''
  printf '%s' "$answer" | found '"values"'
}
shown() {
  curl -sS -m 10 -K <(printf 'user = "admin:%s"\n' @grafanaPassword@) \
    -H 'Content-Type: application/json' -d @grafanaQuery@ \
    http://grafana:@grafanaPort@/api/ds/query | found '"values":\[\['
}
wait_for "the marked message was not in InfluxDB" stored
wait_for "Grafana's data source did not answer with the marked message" shown
