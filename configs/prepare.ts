import { bootLines, type HostConfig, type UdevRule } from "./host";
import { renderScript } from "./scripts";
import { quoted } from "./ssh";

/** Fingerprint of the key that signs Docker's packages, as https://docs.docker.com/engine/install/debian/ states it. */
export const dockerFingerprint = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";

/** What a host's daemon.json must say; whatever else it says stays. */
export const daemonSettings = {
  "live-restore": true,
  "log-opts": { "max-size": "10m", "max-file": "3" },
} as const;

/**
 * Docker Engine from Docker's package source where there is none, its group for `user`, and daemon.json with
 * {@link daemonSettings} merged in. An engine that is there stays the one it is.
 */
export const dockerScript = (user: string): string =>
  renderScript("host-docker.sh", {
    fingerprint: dockerFingerprint,
    user: quoted(user),
    name: user,
    settings: quoted(JSON.stringify(daemonSettings)),
  });

/** Printed by {@link bootScript} where only a reboot makes its change work. */
export const rebootSign = "a reboot is needed";

/** The kernel's pages and memory cgroup, by a Raspberry Pi's boot files. Where the kernel has both already, nothing is touched. */
export const bootScript = (): string => renderScript("host-boot.sh", { ...bootLines, rebootSign });

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
