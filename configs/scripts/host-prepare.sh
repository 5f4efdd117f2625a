# shellcheck shell=bash
#: How the parts of prepare begin: each change is one line of output, so that no output means no change.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"
changed() { echo "changed: $*"; }
give_up() { echo "$*" >&2; exit 1; }
install_packages() {
  local missing=()
  for package in "$@"; do dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q ' installed' || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] && return
  apt-get update -qq > /dev/null
  apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  changed "installed ${missing[*]}"
}

