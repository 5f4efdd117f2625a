# shellcheck shell=sh
#: Before another version of a program opens a service's data, a clone of them is taken in their own
#: volume. An older version than the last is refused, for it may not read what that one has written,
#: unless it is to have a clone. The power may fail anywhere: what is begun here begins again, or is
#: gone on with. The script that sources this one tells what the data are: is_data names a file at the
#: top of the volume, clone_size the KiB of a clone, and store and unstore copy into one, and from one.
clones=@data@/.clones
version=@version@
#: The version that opened the data last. It is a link, which takes no block: it fits on a full disk.
opened_by=@data@/.version

tell() { for told; do echo "@service@: $told" >&2; done; }
#: Ends the start, which is no failure of the program's: 78 is EX_CONFIG.
refuse() { tell "$@"; exit 78; }

#: Compares the numbers that versions begin with, as configs/images.ts does.
is_older() { # version, version
  awk -v first="$1" -v second="$2" '
    function numbers(text, list) {
      if (!match(text, /^v?[0-9]+(\.[0-9]+)+/)) exit 1
      return split(substr(text, text ~ /^v/ ? 2 : 1, RLENGTH - (text ~ /^v/)), list, ".")
    }
    BEGIN {
      count = numbers(first, a); others = numbers(second, b)
      for (n = 1; n <= count || n <= others; n++)
        if (a[n] + 0 != b[n] + 0) exit !(a[n] + 0 < b[n] + 0)
      exit 1
    }'
}

mark_opened() { # version
  [ "$(readlink "$opened_by")" != "$1" ] || return 0
  ln -sfn "$1" "$opened_by.new"
  mv -f "$opened_by.new" "$opened_by"
}

data_files() {
  for data_file in @data@/* @data@/.[!.]*; do
    [ ! -e "$data_file" ] || ! is_data "${data_file##*/}" || echo "${data_file##*/}"
  done
}

#: The clones, the newest first: when each was taken, what it was taken for, and its name.
list_clones() {
  for clone in "$clones"/*; do
    [ ! -f "$clone/about" ] || echo "$(cat "$clone/about") ${clone##*/}"
  done | sort -r
}
drop_clone() { # name, why
  tell "the clone of $1 is removed: $2"
  rm -rf "${clones:?}/$1"
}
prune_clones() {
  kept_days=@keepDays@
  limit=$(date -u -d "@$(($(date +%s) - kept_days * 86400))" +%Y-%m-%dT%H:%M:%SZ)
  list_clones | awk -v limit="$limit" 'NR > @keepClones@ || $1 < limit { print $3 }' |
    while read -r name; do drop_clone "$name" 'of the last @keepClones@ those of @keepDays@ days are kept'; done
}

#: Room for a clone, for which older ones give way.
require_room() {
  needed=$(($(clone_size) + 1024))
  while free=$(df -Pk @data@ | awk 'END { print $4 }') && [ "$free" -lt "$needed" ]; do
    oldest=$(list_clones | tail -n 1)
    [ -n "$oldest" ] || refuse "refused: the volume has no room for a clone of its data, which an update to $version needs: $needed KiB, and $free KiB are free. Nothing was touched." \
      "next: make room, or set images.@service@ back to $last_version; then run up again"
    drop_clone "${oldest##* }" 'another one needs its room'
  done
}

take_clone() { # name
  require_room
  clone_began=$(date +%s)
  mkdir -p "$clones/.new/data"
  if ! store "$clones/.new/data"; then
    rm -rf "$clones/.new"
    refuse "refused: the clone that an update to $version needs could not be taken; see above. Nothing was touched." \
      "next: make room, or set images.@service@ back to $last_version; then run up again"
  fi
  echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $version" > "$clones/.new/about"
  sync
  rm -rf "$clones/.old"
  [ ! -e "$clones/$1" ] || mv "$clones/$1" "$clones/.old"
  mv "$clones/.new" "$clones/$1"
  sync
  rm -rf "$clones/.old"
  tell "a clone of the data, as $1 left them, was taken in $(($(date +%s) - clone_began)) s; $version opens them now"
}

refuse_older() {
  newest=$(list_clones | while read -r taken _ name; do
    is_older "$version" "$name" || { echo "$name of $taken"; break; }
  done)
  if [ -n "$newest" ]; then remedy="npx bess rollback-data --stack @site@ --service @service@ gives it the clone ${newest%% *}"
  else remedy="no clone of a version that it reads is kept"; fi
  refuse "refused: $last_version has opened these data last, and $version may not read what a newer version has written. Nothing was touched." \
    "clone that $version reads: ${newest:-none}" \
    "next: set images.@service@ back to $last_version, and run up; or go back with the data: $remedy"
}

#: Puts a clone in the place of the data, which are kept aside.
give_back() { # name
  ! is_older "$version" "$1" || refuse "refused: the clone $1 that was asked for is of a newer version than $version."
  [ -f "$clones/$1/about" ] || refuse "refused: the clone $1 that was asked for is not there." \
    "next: npx bess clones --stack @site@ lists what is"
  mkdir "$clones/.tree"
  unstore "$clones/$1/data" "$clones/.tree" || { rm -rf "$clones/.tree"; refuse "refused: the clone $1 could not be put back; see above. Nothing was touched."; }
  sync
  ln -sfn "$1" "$clones/.returning"
  sync
  finish_return
}
#: From here on it only goes forward, in an order that may be interrupted anywhere.
finish_return() {
  returning=$(readlink "$clones/.returning") || return 0
  if [ -d "$clones/.tree" ]; then
    mkdir -p "$clones/.leaving"
    data_files | while read -r name; do mv "@data@/$name" "$clones/.leaving/"; done
    sync
    mv "$clones/.tree" "$clones/.placing"
  fi
  if [ -d "$clones/.placing" ]; then
    for data_file in "$clones"/.placing/* "$clones"/.placing/.[!.]*; do
      [ ! -e "$data_file" ] || mv "$data_file" @data@/
    done
    sync
    rmdir "$clones/.placing"
  fi
  if [ -d "$clones/.leaving" ]; then
    kept_in=@data@/.set-aside/$(date -u +%Y-%m-%dT%H.%M.%SZ)-$(readlink "$opened_by")
    mkdir -p @data@/.set-aside
    mv "$clones/.leaving" "$kept_in"
    tell "the data of $returning are back, as they were before $(cut -d ' ' -f 2 "$clones/$returning/about") opened them; what was written since is in $kept_in"
  fi
  mark_opened "$returning"
  rm -f "$clones/.requested"
  sync
  mv -f "$clones/.returning" "$clones/.returned"
}

guard_data() {
  finish_return
  rm -rf "$clones/.new" "$clones/.tree"
  #: Data of before 0.2 tell no version.
  last_version=$(readlink "$opened_by" || echo unmarked)
  requested=$(readlink "$clones/.requested" || true)
  if is_older "$version" "$last_version"; then
    case $requested in
      '') refuse_older ;;
      @asIs@) tell "$version opens what $last_version has written, as it was asked for" ;;
      *) give_back "$requested"; last_version=$requested ;;
    esac
  fi
  if [ "$last_version" != "$version" ]; then
    [ -z "$(data_files)" ] || [ "$last_version" = "$requested" ] || take_clone "$last_version"
    rm -f "$clones/.requested"
    mark_opened "$version"
  fi
  prune_clones
}
