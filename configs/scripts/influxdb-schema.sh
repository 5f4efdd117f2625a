# shellcheck shell=bash
#: Makes the databases and tables; it may run any number of times. A table that exists gains the
#: fields it lacks by the first write of them; a field that changed its type is refused.
#: What the tables hold is written down: a preview of the next change reads it here.
#: each stored
# stores @line@
#: end
. ./influxdb-api.sh
#: each databases
call POST /api/v3/configure/database @database@
case $status in
  200) ;;
  409) call PUT /api/v3/configure/database @database@; [ "$status" = 200 ] || refuse "database @name@" ;;
  *) refuse "database @name@" ;;
esac
#: end
#: each tables
call POST /api/v3/configure/table @table@
case $status in 200|409) ;; *) refuse "table @name@" ;; esac
#: end
# What was made here no power cut takes.
sync -f @adminToken@
