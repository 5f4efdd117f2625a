# shellcheck shell=bash
#: Prints the databases that are there, and the columns of the site's own, for compareTables.
. ./influxdb-api.sh
columns="SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'iox'"
call GET '/api/v3/configure/database?format=csv' ''
[ "$status" = 200 ] || refuse databases
there=$(printf '%s\n' "$answer" | tail -n +2)
while read -r db; do printf 'database\t%s\n' "$db"; done <<< "$there"
columns_of() {
  grep -qx "$1" <<< "$there" || return 0
  call POST /api/v3/query_sql "{\"db\":\"$1\",\"q\":\"$columns\"}"
  [ "$status" = 200 ] || refuse "the columns of $1"
  printf 'columns\t%s\t%s\n' "$1" "$answer"
}
#: each databases
columns_of @name@
#: end
for note in @data@/.migrations/*.json; do
  [ ! -s "$note" ] || printf 'migration\t%s\n' "$(cat "$note")"
done
echo tables-read
