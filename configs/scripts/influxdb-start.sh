#!/bin/bash
#: Entrypoint of InfluxDB's container: a new volume takes the generated token, an old one keeps its own.
set -eu
if [ ! -s @adminToken@ ]; then
  (umask 077 && cp @seed@ @adminToken@.new && mv @adminToken@.new @adminToken@)
fi
exec influxdb3 "$@"
