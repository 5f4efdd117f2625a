#!/bin/sh
#: Entrypoint of Grafana's container: the data are cloned before an update, a volume that is there
#: already keeps its secret key, and takes the stack's admin password.
set -eu
. ./clone-archive.sh
is_data() { case $1 in .clones | .set-aside | .version* | lost+found | png | csv | pdf) false ;; esac; }
file_size() { du -sk "$1" | cut -f 1; }
guard_data
if [ ! -s @secretKey@ ]; then
  (umask 077 && cp @seed@ @secretKey@.new && mv @secretKey@.new @secretKey@)
fi
if [ -s @data@/grafana.db ]; then
  GF_PATHS_DATA=@data@ grafana cli --homepath /usr/share/grafana admin reset-admin-password --password-from-stdin < @password@ > /dev/null
fi
exec /run.sh "$@"
