# shellcheck shell=sh
#: Runs in Grafana's container: one call of its API, as the admin whose password lies there. Prints the
#: answer, and its status in the last line.
set -eu
curl -sS -m 60 -w '\n%{http_code}\n' -X @method@ -K /dev/fd/3 -H 'Content-Type: application/json' \
  --data-binary @body@ "http://127.0.0.1:@port@"@path@ 3<< CREDENTIALS
user = "admin:$(cat @password@)"
CREDENTIALS
