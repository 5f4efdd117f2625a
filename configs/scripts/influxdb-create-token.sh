# shellcheck shell=bash
#: Makes the token named in $TOKEN_NAME, and prints it alone.
. ./influxdb-api.sh
call POST /api/v3/configure/token/named_admin "{\"token_name\":\"$TOKEN_NAME\"}"
case $status in
  200|201) ;;
  409) # An update that was cut off had made it, and nobody holds it: make it again.
    call DELETE "/api/v3/configure/token?token_name=$TOKEN_NAME" ''
    call POST /api/v3/configure/token/named_admin "{\"token_name\":\"$TOKEN_NAME\"}" ;;
esac
case $status in 200|201) ;; *) refuse "token $TOKEN_NAME" ;; esac
sync -f @adminToken@ # A token that its holder has must not be lost in a power cut.
printf '%s' "$answer" | sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p'
