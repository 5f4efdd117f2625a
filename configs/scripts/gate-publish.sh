#: Runs in the broker's container: publishes with the options on standard input. mosquitto_pub reads
#: them from a file, because an argument could be read in the process list.
# shellcheck shell=sh
set -e
umask 077
mkdir -p /tmp/gate
trap 'rm -rf /tmp/gate' EXIT
cat > /tmp/gate/mosquitto_pub
XDG_CONFIG_HOME=/tmp/gate mosquitto_pub
