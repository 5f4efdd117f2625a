# shellcheck shell=bash
#: What a power cut leaves half written keeps InfluxDB from starting: it never calls fsync. This moves
#: such files out of its sight, and whatever was made from them. Only what is younger than the last
#: complete sync can be half written. Paths and formats were read in the source of InfluxDB 3.10.1; a
#: file of another format counts as whole unless it is empty or begins with zeros.
node=@data@/@node@
synced=@data@/.synced
aside=@data@/.set-aside/$(date -u +%Y-%m-%dT%H.%M.%SZ)
aside_count=0

set_aside() { # reason files...
  local reason=$1 file
  shift
  for file in "$@"; do
    [ -e "$file" ] || continue
    mkdir -p "$aside/$(dirname "${file#@data@/}")"
    mv "$file" "$aside/${file#@data@/}"
    aside_count=$((aside_count + 1))
    echo "set aside ${file#@data@/}: $reason" >&2
  done
}

# Numbers of a binary file as hex digits: file, offset, bytes, byte order.
field() { od -An -v -tx"$3" --endian="$4" -j "$2" -N "$3" "$1" 2> /dev/null | tr -d ' \n'; }
size_of() { stat -c %s "$1"; }
crc_of() { gzip -1 | tail -c 8 | od -An -tx4 --endian=little -N 4 | tr -d ' '; }
wal_is_whole() { # There are many of them, and each process counts on a small host.
  local magic='' version='' crc=''
  read -r magic version crc < <(od -An -v -tx4 --endian=big -N 12 "$1") || true
  [ -n "$crc" ] && [ "$magic$version" != 0000000000000000 ] || return 1
  [ "$magic$version" = 696462332e303031 ] || return 0 # idb3.001
  [ "$crc" = "$(tail -c +13 "$1" | crc_of)" ]
}
catalog_is_whole() {
  [ "$(size_of "$1")" -ge 64 ] && [ "$(field "$1" 0 8 big)" != 0000000000000000 ] || return 1
  [ "$(field "$1" 0 4 big)$(field "$1" 4 4 little)" = 4944423300000001 ] || return 0 # IDB3, version 1
  local length
  length=$((16#$(field "$1" 48 8 little)))
  [ "$(size_of "$1")" -ge $((64 + length)) ] &&
    [ "$(field "$1" 8 4 little)" = "$(tail -c +13 "$1" | head -c 52 | crc_of)" ] &&
    [ "$(field "$1" 56 4 little)" = "$(tail -c +65 "$1" | head -c "$length" | crc_of)" ]
}
json_is_whole() {
  [[ $(tail -c 2 "$1" | tr -d '\0\n ') = *"}" ]] && [ "$(tr -d '\0' < "$1" | wc -c)" = "$(size_of "$1")" ]
}
parquet_is_whole() { # file size
  [ -f "$1" ] && [ "$(size_of "$1")" = "$2" ] && [ "$(field "$1" $(($2 - 4)) 4 big)" = 50415231 ] # PAR1
}
snapshot_is_whole() { # what it lists has to be there, too
  json_is_whole "$1" || return 1
  local listed path size
  listed=$(tr -d ' \n' < "$1" | sed 's/"removed_files".*//' | grep -o '"path":"[^"]*","size_bytes":[0-9]*' || true)
  while IFS='"' read -r _ _ _ path _ _ size; do
    [ -z "$path" ] || parquet_is_whole "@data@/$path" "${size#:}" || return 1
  done <<< "$listed"
}

is_whole() { # kind file
  case $1 in
    wal) wal_is_whole "$2" ;;
    catalog) catalog_is_whole "$2" ;;
    snapshot) snapshot_is_whole "$2" ;;
    *) json_is_whole "$2" ;;
  esac
}

# Files that may be half written: younger than the last sync, or empty.
suspects() { [ ! -e "$1" ] || find "$1" -type f \( -newer "$synced" -o -size 0 \) ! -name '*#*' | LC_ALL=C sort; }
# Files that are not older than another: a clock tick may have made both.
not_older() { # folder file
  local made
  made=$(stat -c %.3Y "$2")
  made=$((${made/./} - 10))
  [ ! -e "$1" ] || find "$1" -type f -newermt "@${made::-3}.${made: -3}"
}
damaged() { # kind; of the files on standard input
  local file
  while read -r file; do is_whole "$1" "$file" || echo "$file"; done
}

# A catalog without entries, of the database that an entry belongs to. InfluxDB then reads its whole log.
empty_catalog() { # entry
  rest() { printf '\1\0\0\0'; head -c 32 "$1" | tail -c 16; head -c 32 /dev/zero; }
  printf 'IDB3\1\0\0\0'
  rest "$1" | gzip -1 | tail -c 8 | head -c 4
  rest "$1"
}

#: The catalog names tables and columns by numbers, and gives a lost entry's number away again: what was
#: written after a lost entry goes with it.
repair_catalog() { # folder of a catalog's version
  local catalog=$1 kept=@data@/.catalog/${1##*/} oldest=$1/logs/00000000000000000001.catalog first covered=0 later
  if [ -e "$catalog/snapshot" ] && ! catalog_is_whole "$catalog/snapshot"; then
    if [ -e "$kept" ] && catalog_is_whole "$kept"; then
      set_aside "half written; its last synced copy takes its place" "$catalog/snapshot"
      cp -p "$kept" "$catalog/snapshot"
    elif [ -e "$oldest" ] && catalog_is_whole "$oldest"; then
      set_aside "half written; it is made anew from its whole log" "$catalog/snapshot"
      empty_catalog "$oldest" > "$catalog/snapshot"
    else
      set_aside "its catalog is half written, and so is the catalog's log; the database starts anew, run up again" "$node"
      return
    fi
  fi
  [ "$(field "$catalog/snapshot" 0 4 big)" != 49444233 ] || covered=$((16#$(field "$catalog/snapshot" 32 8 little)))
  first=$(suspects "$catalog/logs" | damaged catalog | while read -r log; do
    number=${log##*/}; [ $((10#${number%.catalog})) -le "$covered" ] || { echo "$log"; break; }
  done)
  [ -n "$first" ] || return 0
  mapfile -t later < <(not_older "$node/wal" "$first"; not_older "$node/snapshots" "$first")
  set_aside "younger than a half written entry of the catalog" "${later[@]}"
  mapfile -t later < <(find "$catalog/logs" -name '*.catalog' | LC_ALL=C sort | awk -v first="$first" '$0 >= first')
  set_aside "half written, or younger than such an entry of the catalog" "${later[@]}"
}

#: Snapshots count down, so a younger one sorts first. The write-ahead log of the last three is kept.
repair_snapshots() {
  local oldest newer
  oldest=$(suspects "$node/snapshots" | damaged snapshot | tail -n 1)
  [ -n "$oldest" ] || return 0
  mapfile -t newer < <(find "$node/snapshots" -name '*.json' | LC_ALL=C sort | awk -v oldest="$oldest" '$0 <= oldest')
  set_aside "half written, or younger than such a snapshot; it is made again" "${newer[@]}"
}

#: An index of the snapshots, and made anew from them. That of a former version was made from those of the
#: retention alone; one that was made from too few hides rows for good.
repair_checkpoints() {
  if [ -n "$(suspects "$node/snapshot-checkpoints" | damaged json)" ]; then
    set_aside "half written; they are made anew" "$node/snapshot-checkpoints"
  elif [ "$(cat @data@/.retention 2> /dev/null)" != all ]; then
    set_aside "made from few of the snapshots; they are made anew from all" "$node/snapshot-checkpoints"
  fi
  echo all > @data@/.retention.new && mv @data@/.retention.new @data@/.retention
}

#: What retention needs to find expired files. Without the marker it is made anew from the snapshots.
repair_indices() {
  local broken
  mapfile -t broken < <(for part in db-indices table-snapshots table-index-conversion-completed; do
    suspects "$node/$part"
  done | damaged json)
  [ ${#broken[@]} = 0 ] || set_aside "half written; the index is made anew" "${broken[@]}" "$node/table-index-conversion-completed"
}

repair() {
  local catalog wal
  # The first start with this script: the kernel writes by itself what is older than half a minute.
  [ -e "$synced" ] || touch -d '1 minute ago' "$synced"
  for catalog in "$node"/catalog/v*; do [ ! -d "$catalog" ] || repair_catalog "$catalog"; done
  mapfile -t wal < <(suspects "$node/wal" | damaged wal)
  set_aside "half written" "${wal[@]}"
  repair_snapshots
  repair_checkpoints
  repair_indices
}
