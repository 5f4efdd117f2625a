import type { HostConfig, UdevRule } from "./host";
import { renderScript } from "./scripts";
import { quoted } from "./ssh";

/**
 * Fingerprint of the key that signs Docker's packages, from
 * https://docs.docker.com/engine/install/debian/.
 */
const dockerFingerprint = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";

/** Settings that a host's daemon.json must have; its other settings stay. */
const daemonSettings = {
  "live-restore": true,
  "log-opts": { "max-size": "10m", "max-file": "3" },
} as const;

/**
 * Installs Docker Engine from Docker's package source where there is none, lets `user` use it, and
 * merges {@link daemonSettings} into daemon.json. An engine that is there is not replaced.
 */
export const dockerScript = (user: string): string =>
  renderScript("host-docker.sh", {
    fingerprint: dockerFingerprint,
    user: quoted(user),
    name: user,
    settings: quoted(JSON.stringify(daemonSettings)),
  });

/** Lines that a Raspberry Pi's boot files need: a kernel with pages of 4 KiB, and memory limits. */
export const bootLines = {
  config: "kernel=kernel8.img",
  cmdline: "cgroup_enable=memory cgroup_memory=1",
} as const;

/** Printed by {@link bootScript} if its change works only after a reboot. */
export const rebootMarker = "a reboot is needed";

/** Adds {@link bootLines} to a Raspberry Pi's boot files, unless the kernel has both already. */
export const bootScript = (): string =>
  renderScript("host-boot.sh", { ...bootLines, rebootMarker });

/** Longest time that Docker waits for a synchronised clock at a start, in seconds. */
const clockWaitSeconds = 180;

/**
 * Has Docker wait at a start until the host's clock is synchronised, by the service that waits for
 * it: chrony's where there is one, else systemd's. Docker starts without, and says so in the
 * journal, after {@link clockWaitSeconds}.
 */
export const clockScript = (): string =>
  renderScript("host-clock.sh", { seconds: clockWaitSeconds, file: "bess-clock.conf" });

/** File of a site's udev rules. Nothing else is ever removed from a host. */
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
  "{ udevadm control --reload && udevadm trigger --subsystem-match=tty; } || " +
  "echo 'udev does not run: the change works from the next start on'";

/** Writes the rules, and applies them to what is plugged in. */
export const udevScript = (site: string, rules: HostConfig["udev"]): string =>
  renderScript("host-udev.sh", {
    site,
    file: udevFile(site),
    rules: rules.map(ruleLine).join("\n"),
    apply: applyRules,
  });

/** Removes the rules. */
export const udevRemoval = (site: string) => `rm -f ${udevFile(site)} && ${applyRules}`;

/** Unattended security updates, as Debian's own package sets them up. */
export const updatesScript = (): string => renderScript("host-updates.sh");
