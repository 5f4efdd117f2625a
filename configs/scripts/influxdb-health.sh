#!/bin/bash
#: Health of InfluxDB's container: its API answers through the relay, and its volume was synced lately.
set -eu
most=@mostSeconds@
curl -fsS -o /dev/null -m 4 http://127.0.0.1:@port@/health
age=$((EPOCHSECONDS - $(stat -c %Y @data@/.synced)))
[ "$age" -le "$most" ] || { echo "the volume was last synced $age s ago"; exit 1; }
