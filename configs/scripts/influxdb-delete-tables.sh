# shellcheck shell=bash
#: Deletes tables; one that is gone is no error. What keeps their rows must be on the disk before.
. ./influxdb-api.sh
sync -f @adminToken@
#: each tables
call DELETE "/api/v3/configure/table?"@query@"&hard_delete_at=@when@" ''
case $status in 200|404|409) ;; *) refuse "to delete "@name@ ;; esac
rm -f @data@/.migrations/@notes@*.json
#: end
sync -f @adminToken@
