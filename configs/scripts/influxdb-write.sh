# shellcheck shell=bash
#: Writes line protocol through the relay. Its input is, over and over, a line with a number of bytes and
#: these bytes. The answer to each is one line: InfluxDB's status, curl's code, and what InfluxDB says.
. ./influxdb-api.sh
while read -r size; do
  answer=$(head -c "$size" | curl -sS -X POST -K <(printf 'header = "Authorization: Bearer %s"\n' "$token") \
    -H 'Content-Encoding: gzip' --data-binary @- -w '\n%{http_code} %{exitcode}' \
    "http://127.0.0.1:@writePort@/api/v3/write_lp?db=@db@&precision=nanosecond") || true
  said=${answer%$'\n'*}
  printf '%s %s\n' "${answer##*$'\n'}" "${said//$'\n'/ }"
done
