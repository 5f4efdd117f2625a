# shellcheck shell=bash
#: Unattended security updates, as Debian's own package sets them up.
. ./host-prepare.sh
install_packages unattended-upgrades
file=/etc/apt/apt.conf.d/20auto-upgrades
wanted=$(printf 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";')
if [ "$wanted" != "$(cat $file 2> /dev/null)" ]; then
  printf '%s\n' "$wanted" > $file
  changed $file
fi
