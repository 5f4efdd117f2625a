# shellcheck shell=bash
#: Notes how a table is copied, and whether that is done: another run goes by it.
set -eu
mkdir -p @data@/.migrations
printf '%s\n' @note@ > @data@/.migrations/.new
mv @data@/.migrations/.new @data@/.migrations/@file@.json
sync -f @data@/.migrations
