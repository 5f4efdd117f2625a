# shellcheck shell=bash
#: Answers queries, one request a line of its input, as they come from InfluxDB. After each stands a line
#: `= STATUS CODE`: InfluxDB's, and curl's own, which is 0 if the answer is whole.
. ./influxdb-api.sh
while IFS= read -r request; do
  curl -sSN -X POST -K <(printf 'header = "Authorization: Bearer %s"\n' "$token") \
    -H 'Content-Type: application/json' --data-binary "$request" \
    -w '\n= %{http_code} %{exitcode}\n' "http://127.0.0.1:@port@/api/v3/query_sql" || true
done
