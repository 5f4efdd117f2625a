# shellcheck shell=bash
#: Revokes the token named in $TOKEN_NAME; one that is gone already is no error.
. ./influxdb-api.sh
call DELETE "/api/v3/configure/token?token_name=$TOKEN_NAME" ''
case $status in 200|404) ;; *) refuse "revoking token $TOKEN_NAME" ;; esac
