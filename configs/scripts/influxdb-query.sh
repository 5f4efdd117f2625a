# shellcheck shell=bash
#: Prints InfluxDB's answer to a query in SQL, a list in JSON.
. ./influxdb-api.sh
call POST /api/v3/query_sql @query@
[ "$status" = 200 ] || { answer=${answer//$'\n'/ }; refuse "the query"; }
printf '%s\n' "$answer"
