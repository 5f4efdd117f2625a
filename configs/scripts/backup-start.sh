#!/bin/sh
#: Entrypoint of the backup's container, for a shell as small as busybox's. It makes a backup each period,
#: makes one up that was missed, and tells of each by a row for InfluxDB.
set -eu
. ./backup-repository.sh
now() { date +%s; }
say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*"; }

#: What is known of earlier runs; it is moved into its place whole.
since=$(now) good=0 checked=0 repository='' place=''
# shellcheck disable=SC1091 # It is read where there is one.
[ ! -e @state@/state ] || . @state@/state
#: Another place has another repository.
[ "$place" = @place@ ] || { place=@place@ since=$(now) good=0 checked=0 repository=''; }
remember() {
  echo "since=$since good=$good checked=$checked repository=$repository place=$place" > @state@/state.new
  sync
  mv @state@/state.new @state@/state
}
mkdir -p @state@/rows

#: A row of the table @table@. The copier hands it to InfluxDB, which this container does not reach.
tell() { # fields
  age=$(($(now) - (good > 0 ? good : since)))
  echo "@table@ age=${age}i${1:+,$1} $(now)000000000" > @state@/rows/.new
  mv @state@/rows/.new "@state@/rows/$(now).lp"
}

#: each otherDisks
#: A disk that is not mounted must not fill the one below it. The folder is looked up once, at the start of
#: the container: another start looks again.
target_is_there() {
  [ "$(stat -c %d @target@)" != "$(stat -c %d @state@)" ] || {
    why='@to@ is on the disk of the site itself: mount the disk that is to hold the backups, or set backup.sameDisk: true' unmounted=yes
    return 1
  }
}
#: end

#: Asks the copier for copies of this moment. What it cannot copy of a small service is as it was last.
make_copies() {
  id=$(now)-$$
  echo "$id" > @state@/copy.new
  mv @state@/copy.new @state@/copy
  left=@copySeconds@
  until answer=$(cat @state@/copied 2> /dev/null) && [ "${answer%% *}" = "$id" ]; do
    [ "$left" -gt 0 ] || { why='the copier does not answer: see docker logs @site@-copier'; return 1; }
    left=$((left - 1))
    sleep 1
  done
  why=${answer#* }
  case $why in
    ok) partly='' ;;
    partly\ *) partly=${why#* } ;;
    *) why=${why#* }; return 1 ;;
  esac
}

#: The password that opened the repository last stays in the volume, beside the data that belong to it: a
#: stack that was removed and made again, or a password that was changed, gets its own added.
add_password() {
  [ "$code" = 12 ] && [ -s @state@/password ] || return 1
  run_restic 120 key add --password-file @state@/password --new-password-file @secrets@/password || { code=12; return 1; }
  say 'the repository takes the new password, too'
  run_restic 120 cat config
}
keep_password() { (umask 077 && cat @secrets@/password > @state@/password.new) && mv @state@/password.new @state@/password; }

open_repository() {
  if run_restic 120 cat config || add_password; then
    id=$(jq -r .id @scratch@/out)
    [ -z "$repository" ] || [ "$id" = "$repository" ] || {
      why='there is another repository than before at @to@: is it the right disk? bess backup --new takes this one'
      return 1
    }
  elif [ "$code" = 10 ] && [ -n "$repository" ]; then
    why='the repository at @to@ is gone: is the disk mounted? bess backup --new begins another' unmounted=yes
    return 1
  elif [ "$code" = 10 ]; then
    run_restic 120 init || { why=$(reason); return 1; }
    run_restic 120 cat config || { why=$(reason); return 1; }
    id=$(jq -r .id @scratch@/out)
    say "made the repository $id at @to@"
  else
    why=$(reason)
    return 1
  fi
  repository=$id
  keep_password
  remember
}

#: Parquet files are never changed, and so are read where they lie. But retention deletes them, and whoever
#: drops a table: what went away meanwhile may be named by the copies. restic says nothing of it, or that it
#: could not read all.
list_parquet() { # file
  [ ! -d @parquet@ ] || find @parquet@ -name '*.parquet' | sort > "$1"
}
take_snapshot() {
  : > @scratch@/before
  : > @scratch@/after
  for try in 1 2 3; do
    list_parquet @scratch@/before
    make_copies || return 1
    set -- @copies@ @links@
    [ ! -d @parquet@ ] || set -- "$@" @parquet@
    run_restic 0 backup --json --host @site@ --tag @tag@ --group-by host --ignore-inode --exclude '*#*' "$@" || [ "$code" = 3 ] || { why=$(reason); return 1; }
    # With 3 it has read what it could.
    why=''
    [ "$code" = 0 ] || why=$(reason)
    summary=$(jq -c 'select(.message_type == "summary")' @scratch@/out)
    list_parquet @scratch@/after
    gone=$(comm -23 @scratch@/before @scratch@/after | wc -l)
    if [ "$gone" = 0 ]; then [ -z "$why" ]; return; fi
    say "$gone files were deleted while they were read: it is done again ($try)"
  done
  why="$gone files were deleted while they were read, three times"
  return 1
}
number() { echo "$summary" | jq -r ".$1 // 0 | floor"; }

#: Runs restic where nobody else may. One that was killed has left its lock: an old one is taken away.
alone() { # arguments
  run_restic 0 "$@" && return 0
  [ "$code" = 11 ] || return 1
  run_restic 60 unlock || true
  run_restic 0 "$@"
}

#: Removes old backups, and once a week what only they had. Before that the repository is checked, and a
#: twelfth of its data read.
tidy() {
  alone forget --host @site@ --tag @tag@ --group-by host @keep@ || { why="old backups stay: $(reason)"; return 1; }
  [ $(($(now) - checked)) -ge 604800 ] || return 0
  part=$(($(now) / 604800 % 12 + 1))
  alone check --read-data-subset=$part/12 || {
    why=$(reason)
    [ "$code" != 1 ] || why="the repository is damaged: $why; bess backup --new begins another in an empty folder"
    return 1
  }
  alone prune --max-unused 10% || { why="what old backups held stays: $(reason)"; return 1; }
  checked=$(now)
  remember
}

escaped() { printf %s "$1" | tr '\n' ' ' | sed 's/[\\"]/\\&/g'; }

#: One backup.
backup() { # sets why
  why='' began=$(now) summary='{}' unmounted=''
#: each otherDisks
  target_is_there || return 1
#: end
  open_repository && take_snapshot || return 1
  good=$began
  remember
  why="$(number total_files_processed) files, $(number total_bytes_processed) bytes, of which $(number data_added_packed) new"
  done_well=$why
  tidy || return 1
  why=$done_well
  [ -z "$partly" ] || { why="$partly; all else is backed up: $why"; return 1; }
}

attempt() { # sets failures
  ok=1
  say 'a backup begins'
  backup || ok=0
  seconds=$(($(now) - began))
  if [ "$ok" = 1 ]; then failures=0; say "done in $seconds s: $why"
  else failures=$((failures + 1)); say "failed after $seconds s: $why"; fi
  tell "ok=${ok}i,seconds=${seconds}i,bytes=$(number data_added_packed)i,size=$(number total_bytes_processed)i,files=$(number total_files_processed)i,message=\"$(escaped "$why")\""
  echo "${asked:-none} $ok $why" > @state@/ended.new
  mv @state@/ended.new @state@/ended
  [ "$ok" = 1 ]
}

stop() { [ -z "$running" ] || { kill "$running" 2> /dev/null; wait "$running"; } || true; exit 0; }
trap stop TERM INT
every=@everySeconds@ retry=@retrySeconds@
failures=0 wait_until=0 told=$(now) unmounted=''
: > @scratch@/alive
while :; do
  asked=$(cat @state@/now 2> /dev/null || true)
  if [ -n "$asked" ]; then
    rm @state@/now
    case $asked in *-new) repository='' good=0 since=$(now) checked=0 ;; esac
    attempt || wait_until=$(($(now) + retry))
  elif [ "$(now)" -ge $((good + every)) ] && [ "$(now)" -ge "$wait_until" ]; then
    [ -z "$unmounted" ] || exit 1
    attempt || {
      [ "$failures" -lt 4 ] || failures=4
      wait_until=$(($(now) + retry * (1 << (failures - 1))))
    }
  fi
  [ $(($(now) - told)) -lt 3600 ] || { told=$(now); tell ''; }
  sleep 2 &
  wait $! || true
done
