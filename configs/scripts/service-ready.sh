# shellcheck shell=sh
#: Waits beside a site's engine until a container is healthy. Says why as soon as the container dies,
#: and when the time is over. Arguments: the container's name, and the seconds.
. ./service-report.sh
name=$1 left=$2
look() {
  found=$(docker inspect --format "$facts" "$name") || exit
  read_facts << FACTS
$found
FACTS
}
fail() { describe "$1" >&2; exit 1; }
look
case "$status $health" in
  'running healthy' | 'running starting') ;;
#: What it died of may have been mended since, and the engine tries again ever more rarely, or never.
  *) docker restart "$name" > /dev/null || exit; look ;;
esac
before=$restarts
until is_well; do
  [ "$status $restarts" = "running $before" ] || fail 'does not come up'
  [ "$left" -gt 0 ] || fail "is not healthy after $2 s"
  left=$((left - 1))
  sleep 1
  look
done
