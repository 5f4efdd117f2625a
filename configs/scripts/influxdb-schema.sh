# shellcheck shell=bash
#: Makes the databases and tables; it may run any number of times.
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
#: InfluxDB has no call that adds a column. A line does that names it and then contradicts itself: its columns
#: are added, and the line is rejected. Its time lies before every retention, should it ever be taken.
#: A rollup whose column is there with another type gets its place elsewhere, when its first row is written.
add_columns() { # database table line first-field moves
  call POST "/api/v3/write_lp?db=$1&precision=nanosecond" "$3 1"
  case $status-$answer in
    400-*"for column '$4'"*) ;;
    2*) ;;
    400-*"for column '"*) [ "$5" = 1 ] || refuse "columns of table $2" ;;
    400-*) ;;
    *) refuse "columns of table $2" ;;
  esac
}
#: each tables
call POST /api/v3/configure/table @table@
case $status in 200) ;; 409) add_columns @db@ @name@ @line@ @field@ @moves@ ;; *) refuse "table @name@" ;; esac
#: end
# What was made here no power cut takes.
sync -f @adminToken@
