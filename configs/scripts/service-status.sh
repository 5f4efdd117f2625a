# shellcheck shell=sh
#: Reads every container of a site beside its engine: a line of its facts each, and what is wrong with
#: those that are not well. Each line begins with what it is.
. ./service-report.sh
containers=$(docker ps -aq --filter 'label=@site@') || exit
[ -n "$containers" ] || exit 0
# shellcheck disable=SC2086 # It is a list of ids.
found=$(docker inspect --format "$facts" $containers) || exit
while read_facts; do
  echo "facts|$container|$service|$status|$health|$restarts|$code|$starved|$since|$revision"
  is_well || describe 'is not well' | sed 's/^/report|/'
done << FACTS
$found
FACTS
