# shellcheck shell=sh
#: How the broker's scripts speak in its log, and put files away. Nothing of it is deleted: what is
#: readable may be got back by hand.
say() { echo "$(date +%s): start: $*"; }

new_folder() { # sets into
  into=@data@/.set-aside/$(date -u +%Y-%m-%dT%H.%M.%SZ)
  while [ -e "$into" ]; do into=$into-again; done
  mkdir -p "$into"
}

set_aside() { # files
  new_folder
  mv "$@" "$into"
  sync
}
