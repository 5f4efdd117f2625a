# shellcheck shell=sh
#: Looks into the volumes of a site's data beside its engine, whether or not their containers run.
#: Arguments: list; request, a service and a clone's name, or none; or renewed, once all fits again
#: what was put back.
look=$(cat << 'SCRIPT'
set -eu
service=$1 clones=$2/.clones action=$3 chosen=${4:-} name=${5:-}
case $action in
  list)
    [ -d "$2" ] || exit 0
    returned=$(readlink "$clones/.returned" || true)
    echo "data|$service|$(readlink "$2/.version" || true)|$(readlink "$clones/.requested" || true)|$returned"
    for clone in "$clones"/*; do
      [ -f "$clone/about" ] || continue
      read -r taken before < "$clone/about"
      kib=$(find "$clone" -type f -links 1 -exec du -k {} + | awk '{ kib += $1 } END { print kib + 0 }')
      echo "clone|${clone##*/}|$taken|$before|$kib"
    done | sort -t '|' -k 3 -r ;;
  request)
    [ "$service" = "$chosen" ] || exit 0
    rm -f "$clones/.requested"
    [ -z "$name" ] || { mkdir -p "$clones" && ln -s "$name" "$clones/.requested" && sync; } ;;
  renewed) rm -f "$clones/.returned" ;;
esac
SCRIPT
)
inside() { # service, volume, then the script's own arguments
  container=@site@-$1
  found=$(docker inspect -f '{{.State.Status}} {{.Image}} {{.Config.User}}' "$container" 2> /dev/null) || return 0
  case $found in
    running*) echo "$look" | docker exec -i "$container" sh -s -- "$@" && return ;;
  esac
  found=${found#* }
  #: One that does not come up has its volume all the same.
  echo "$look" | docker run --rm -i --network none --volumes-from "$container" --user "${found#* }" --entrypoint sh "${found% *}" -s -- "$@"
}
#: each services
inside @service@ @data@ "$@" || exit
#: end
