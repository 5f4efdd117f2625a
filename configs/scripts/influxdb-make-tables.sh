# shellcheck shell=bash
#: Makes tables; one that is there stays.
. ./influxdb-api.sh
#: each tables
call POST /api/v3/configure/table @table@
case $status in 200|409) ;; *) refuse "table @name@" ;; esac
#: end
sync -f @adminToken@
