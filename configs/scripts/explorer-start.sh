#!/bin/sh
#: Entrypoint of the Explorer's container. The image takes its session secret from the environment
#: alone, and `docker inspect` shows what is set there from outside.
set -eu
SESSION_SECRET_KEY=$(cat @session@)
export SESSION_SECRET_KEY
exec /entrypoint.sh "$@"
