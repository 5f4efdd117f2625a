#!/bin/sh
#: Runs in Grafana's container once in a stack's life. A volume that another stack has left holds what that
#: one had made: its rules would fire beside the new ones, and a name that is taken ends the update. So it
#: goes. Dashboards, rules and contacts that a person made stay.
set -eu
if [ -s @marker@ ] && ! cmp -s @marker@ @seed@; then
  call() { # method, path
    printf 'user = "admin:%s"\n' "$(cat @password@)" |
      curl -sS -m 60 -K - -X "$1" "http://127.0.0.1:@port@/api/$2"
  }
  #: The named key of each object whose name is one of ours. None holds another object with such a key.
  ours() { # path, key
    call GET "v1/provisioning/$1" | tr ',{}[]' '\n' | awk -F '"' -v key="$2" '
      $2 == "name" { name = $4 } $2 == key { value = $4 }
      name != "" && value != "" { if (index(name, "@prefix@") == 1) print value; name = value = "" }'
  }
  remove() { call DELETE "$1" > /dev/null; }
  remove 'folders/@alertFolder@?forceDeleteRules=true'
  remove v1/provisioning/policies
  for uid in $(ours contact-points uid); do remove "v1/provisioning/contact-points/$uid"; done
  for name in $(ours mute-timings name); do remove "v1/provisioning/mute-timings/$name"; done
  remove v1/provisioning/templates/@templates@
  id=$(call GET 'users/lookup?loginOrEmail=@reader@' | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  [ -z "$id" ] || remove "admin/users/$id"
  remove 'folders/@folder@?forceDeleteRules=true'
#: each sources
  remove datasources/uid/@uid@
#: end
fi
(umask 077 && cp @seed@ @marker@.new && mv @marker@.new @marker@)
