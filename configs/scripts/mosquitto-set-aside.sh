# shellcheck shell=sh
#: How the broker's scripts speak in its log, and put files away.
say() { echo "$(date +%s): start: $*"; }

set_aside() { # files; never deletes: what is readable may be got back by hand
  into=@data@/.set-aside/$(date -u +%Y-%m-%dT%H.%M.%SZ)
  while [ -e "$into" ]; do into=$into-again; done
  mkdir -p "$into"
  mv "$@" "$into"
  sync
}
