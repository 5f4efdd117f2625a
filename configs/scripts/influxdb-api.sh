# shellcheck shell=bash
#: How the other scripts call InfluxDB's API from within its container. The token reaches curl by a
#: file descriptor: an argument could be read in the process list.
set -euo pipefail
token=$(sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p' @adminToken@)
call() { # method path body; sets status and answer
  answer=$(curl -sS -m 60 -X "$1" -K <(printf 'header = "Authorization: Bearer %s"\n' "$token") \
    -H 'Content-Type: application/json' -d "$3" -w '\n%{http_code}' "http://127.0.0.1:@port@$2")
  status=${answer##*$'\n'}; answer=${answer%$'\n'*}
}
refuse() { echo "InfluxDB refused $1 with $status: $answer" >&2; exit 1; }
