# shellcheck shell=bash
#: Reads, in one go, all that configs/preflight.ts checks of a host; it changes nothing. Each line of its
#: output is a key, a tab and a value.
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
report() { printf '%s\t%s\n' "$1" "$(tr -s '\n\t' '  ' <<< "$2" | head -c 300)"; }
report_lines() { head -n @mostLines@ | while IFS= read -r line; do report "$1" "$line"; done; }
engine() { timeout 30 docker "$@"; }
report machine "$(uname -m)"
report bits "$(getconf LONG_BIT)"
# shellcheck disable=SC1091 # It is the host's own file.
report system "$(. /etc/os-release; echo "${ID:-} ${VERSION_ID:-} ${PRETTY_NAME:-}")"
report page "$(getconf PAGESIZE)"
report controllers "$(cat /sys/fs/cgroup/cgroup.controllers 2> /dev/null || awk '$4 == 1 { print $1 }' /proc/cgroups)"
report memory "$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)"
report clock "$(date +%s)"
report synchronised "$(timedatectl show -p NTPSynchronized --value 2> /dev/null)"
waits_for() { systemctl show -p After --value docker.service | tr ' ' '\n' | grep -x time-sync.target && systemctl is-enabled chrony-wait.service systemd-time-wait-sync.service | grep -x enabled; }
report ordered "$(waits_for > /dev/null 2>&1 && echo yes || echo no)"
report uptime "$(cut -d. -f1 /proc/uptime)"
report throttled "$(vcgencmd get_throttled 2> /dev/null | sed -n 's/^throttled=//p')"
report sudo "$([ "$(id -u)" = 0 ] || sudo -n true 2> /dev/null && echo yes || echo no)"
report user "$(id -un)"
report docker "$(engine version --format '{{.Server.Version}}' 2>&1 | tail -n 1)"
data=$(engine info --format '{{.DockerRootDir}}' 2> /dev/null)
case $data in /*) ;; *) data=/var/lib/docker ;; esac
while [ ! -e "$data" ]; do data=$(dirname "$data"); done
report disk "$(df -B1 --output=avail,itotal,iavail,used "$data" | tail -n 1)"
report data "$(engine exec @site@-influxdb cat @sizeFile@ 2> /dev/null)"
created=$(engine volume inspect --format '{{.CreatedAt}}' @site@-influxdb-data 2> /dev/null) && report since "$(date -d "$created" +%s)"
ss -Hltn | awk '{ print $4 }' | report_lines listens
engine ps --format '{{.Label "bess-telemetry.site"}}|{{.Names}}|{{.Ports}}' 2> /dev/null | report_lines container
#: each images
engine image inspect --format x @image@ > /dev/null 2>&1 || report lacks @image@
#: end
report end yes
