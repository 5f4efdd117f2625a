# shellcheck shell=bash
#: The kernel's pages and memory cgroup, by a Raspberry Pi's boot files. Where the kernel has both
#: already, nothing is touched.
. ./host-prepare.sh
boot=/boot/firmware
controllers() { cat /sys/fs/cgroup/cgroup.controllers 2> /dev/null || awk '$4 == 1 { print $1 }' /proc/cgroups; }
needed=
if [ "$(getconf PAGESIZE)" != 4096 ]; then
  [ -f $boot/config.txt ] || give_up "its kernel has pages of $(getconf PAGESIZE) bytes, and there is no $boot/config.txt to change that by"
  grep -qx '@config@' $boot/config.txt || { printf '\n[all]\n@config@\n' >> $boot/config.txt; changed "@config@ in $boot/config.txt"; }
  needed=yes
fi
if ! controllers | tr ' ' '\n' | grep -qx memory; then
  [ -f $boot/cmdline.txt ] || give_up "its kernel has no memory cgroup, and there is no $boot/cmdline.txt to change that by"
  grep -q 'cgroup_enable=memory' $boot/cmdline.txt || { sed -i '1s/$/ @cmdline@/' $boot/cmdline.txt; changed "@cmdline@ in $boot/cmdline.txt"; }
  needed=yes
fi
[ -z "$needed" ] || { sync; echo "@rebootMarker@"; }
