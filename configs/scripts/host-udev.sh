# shellcheck shell=bash
#: Writes a site's udev rules, and applies them to what is plugged in.
. ./host-prepare.sh
wanted=$(cat << 'RULES'
# Written by bess-telemetry for the site @site@.
@rules@
RULES
)
if [ "$wanted" != "$(cat @file@ 2> /dev/null)" ]; then
  printf '%s\n' "$wanted" > @file@
  @apply@
  changed @file@
fi
