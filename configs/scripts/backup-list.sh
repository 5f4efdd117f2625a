# shellcheck shell=sh
#: Prints a repository's backups of a site, in JSON.
set -eu
. ./backup-repository.sh
run_restic 120 snapshots --json --no-lock --host @site@ --tag @tag@ || { reason >&2; exit 1; }
cat @scratch@/out
