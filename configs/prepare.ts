import { bootLines, type HostConfig, type UdevRule } from "./host";
import { quoted } from "./ssh";

/** Fingerprint of the key that signs Docker's packages, as https://docs.docker.com/engine/install/debian/ states it. */
export const dockerFingerprint = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";

/** What a host's daemon.json must say; whatever else it says stays. */
export const daemonSettings = {
  "live-restore": true,
  "log-opts": { "max-size": "10m", "max-file": "3" },
} as const;

/** A script's first lines: each change is one line of output, so that no output means no change. */
const head = `set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"
changed() { echo "changed: $*"; }
give_up() { echo "$*" >&2; exit 1; }
install_packages() {
  local missing=()
  for package in "$@"; do dpkg-query -W -f '\${Status}' "$package" 2> /dev/null | grep -q ' installed' || missing+=("$package"); done
  [ \${#missing[@]} = 0 ] && return
  apt-get update -qq > /dev/null
  apt-get install -y -qq --no-install-recommends "\${missing[@]}" > /dev/null
  changed "installed \${missing[*]}"
}
`;

/**
 * Docker Engine from Docker's package source where there is none, its group for `user`, and daemon.json with
 * {@link daemonSettings} merged in. An engine that is there stays the one it is.
 */
export function dockerScript(user: string): string {
  return `${head}
keyring=/etc/apt/keyrings/docker.asc
if ! command -v dockerd > /dev/null; then
  install_packages ca-certificates curl gpg
  fetched=$(mktemp)
  trap 'rm -f "$fetched"' EXIT
  curl -fsS --retry 3 -m 60 -o "$fetched" https://download.docker.com/linux/debian/gpg
  prints=$(gpg --batch --show-keys --with-colons "$fetched" | awk -F: '$1 == "pub" { key = 1 } $1 == "fpr" && key { print $10; key = 0 }')
  [ "$prints" = ${dockerFingerprint} ] || give_up "the key of Docker's package source has the fingerprint $prints, and not ${dockerFingerprint}: nothing is installed"
  install -D -m 0644 "$fetched" "$keyring"
  . /etc/os-release
  echo "deb [arch=$(dpkg --print-architecture) signed-by=$keyring] https://download.docker.com/linux/debian $VERSION_CODENAME stable" > /etc/apt/sources.list.d/docker.list
  apt-get update -qq > /dev/null
  install_packages docker-ce docker-ce-cli containerd.io
fi
if ! id -nG ${quoted(user)} | tr ' ' '\\n' | grep -qx docker; then
  groupadd -f docker
  usermod -aG docker ${quoted(user)}
  changed "added ${user} to the group docker"
fi
install_packages jq
file=/etc/docker/daemon.json
wanted=${quoted(JSON.stringify(daemonSettings))}
[ -s "$file" ] || { mkdir -p /etc/docker; echo '{}' > "$file"; }
# Another log driver has options of its own, and would not start with these.
merged=$(jq --argjson wanted "$wanted" '. as $old
  | (if ($old["log-driver"] // "json-file") == "json-file" then $wanted else $wanted | del(.["log-opts"]) end) as $new
  | $old * $new' "$file") || give_up "$file is no JSON; it is left as it is"
if [ "$(jq -S . <<< "$merged")" != "$(jq -S . "$file")" ]; then
  cp -p "$file" "$file.before-bess"
  printf '%s\\n' "$merged" > "$file.new"
  mv "$file.new" "$file"
  changed "merged live-restore and log limits into $file"
  # Live restore is taken by a reload, and lets the containers live through the restart that the log limits need.
  systemctl reload docker 2> /dev/null || true
  systemctl restart docker || { mv "$file.before-bess" "$file"; systemctl restart docker; give_up "Docker does not start with the merged $file; it is as it was"; }
fi
`;
}

/** Printed by {@link bootScript} where only a reboot makes its change work. */
export const rebootSign = "a reboot is needed";

/** The kernel's pages and memory cgroup, by a Raspberry Pi's boot files. Where the kernel has both already, nothing is touched. */
export const bootScript = `${head}
boot=/boot/firmware
controllers() { cat /sys/fs/cgroup/cgroup.controllers 2> /dev/null || awk '$4 == 1 { print $1 }' /proc/cgroups; }
needed=
if [ "$(getconf PAGESIZE)" != 4096 ]; then
  [ -f $boot/config.txt ] || give_up "its kernel has pages of $(getconf PAGESIZE) bytes, and there is no $boot/config.txt to change that by"
  grep -qx '${bootLines.config}' $boot/config.txt || { printf '\\n[all]\\n${bootLines.config}\\n' >> $boot/config.txt; changed "${bootLines.config} in $boot/config.txt"; }
  needed=yes
fi
if ! controllers | tr ' ' '\\n' | grep -qx memory; then
  [ -f $boot/cmdline.txt ] || give_up "its kernel has no memory cgroup, and there is no $boot/cmdline.txt to change that by"
  grep -q 'cgroup_enable=memory' $boot/cmdline.txt || { sed -i '1s/$/ ${bootLines.cmdline}/' $boot/cmdline.txt; changed "${bootLines.cmdline} in $boot/cmdline.txt"; }
  needed=yes
fi
[ -z "$needed" ] || { sync; echo "${rebootSign}"; }
`;

/** File of a site's udev rules; nothing else is ever removed from a host. */
export const udevFile = (site: string) => `/etc/udev/rules.d/99-bess-${site}.rules`;

function ruleLine({ symlink, vendor, product, serial }: UdevRule): string {
  const matches = [
    `SUBSYSTEM=="tty"`,
    `ATTRS{idVendor}=="${vendor}"`,
    `ATTRS{idProduct}=="${product}"`,
    ...(serial ? [`ATTRS{serial}=="${serial}"`] : []),
  ];
  return [...matches, `SYMLINK+="${symlink}"`].join(", ");
}

const applyRules =
  "{ udevadm control --reload && udevadm trigger --subsystem-match=tty; } || echo 'udev does not run: the change works from the next start on'";

/** Writes the rules, and applies them to what is plugged in. */
export function udevScript(site: string, rules: HostConfig["udev"]): string {
  const file = udevFile(site);
  return `${head}
wanted=$(cat << 'RULES'
# Written by bess-telemetry for the site ${site}.
${rules.map(ruleLine).join("\n")}
RULES
)
if [ "$wanted" != "$(cat ${file} 2> /dev/null)" ]; then
  printf '%s\\n' "$wanted" > ${file}
  ${applyRules}
  changed ${file}
fi
`;
}

/** Removes the rules. */
export const udevRemoval = (site: string) => `rm -f ${udevFile(site)} && ${applyRules}`;

/** Unattended security updates, as Debian's own package sets them up. */
export const updatesScript = `${head}
install_packages unattended-upgrades
file=/etc/apt/apt.conf.d/20auto-upgrades
wanted=$(printf 'APT::Periodic::Update-Package-Lists "1";\\nAPT::Periodic::Unattended-Upgrade "1";')
if [ "$wanted" != "$(cat $file 2> /dev/null)" ]; then
  printf '%s\\n' "$wanted" > $file
  changed $file
fi
`;
