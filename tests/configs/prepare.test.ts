import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import {
  bootScript,
  clockScript,
  dockerScript,
  rebootMarker,
  udevFile,
  udevRemoval,
  udevScript,
  updatesScript,
} from "../../configs/prepare";
import { temporaryFolder } from "../support/programs";

/**
 * A host's /etc, /boot and /sys in a folder, with stand-ins for the programs that would change the
 * machine itself, and without those that it is to lack.
 */
class FakeHost {
  readonly folder = temporaryFolder();

  constructor(standIns: Record<string, string>, missing: string[] = []) {
    const all = {
      systemctl: "",
      udevadm: "",
      usermod: "",
      groupadd: "",
      sync: "",
      dockerd: "",
      "apt-get": "",
      "dpkg-query": "echo 'install ok installed'",
      ...standIns,
    };
    for (const [name, body] of Object.entries(all))
      this.write(
        `/bin/${name}`,
        `#!/bin/sh\necho "${name} $*" >> ${this.at("/calls")}\n${body}\n`,
        0o755,
      );
    for (const path of ["/etc/udev/rules.d", "/etc/apt/apt.conf.d", "/boot", "/sys"])
      mkdirSync(this.at(path), { recursive: true });
    // Debian finds awk by a link in there.
    cpSync("/etc/alternatives", this.at("/etc/alternatives"), {
      recursive: true,
      verbatimSymlinks: true,
    });
    // The machine may have what the host is to lack, and the script extends the PATH.
    const lacks = missing.map((name) => `"-v ${name}") return 1 ;;`).join(" ");
    this.write("/bashrc", `command() { case "$*" in ${lacks} esac; builtin command "$@"; }\n`);
  }

  at(path: string): string {
    return join(this.folder.path, path);
  }

  write(path: string, text: string, mode = 0o644): void {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    writeFileSync(this.at(path), text);
    chmodSync(this.at(path), mode);
  }

  read(path: string): string {
    return readFileSync(this.at(path), "utf8");
  }

  calls(): string {
    return existsSync(this.at("/calls")) ? this.read("/calls") : "";
  }

  /** Runs a script in a mount namespace that has the folder's parts in place of the machine's. */
  run(script: string): { status: number | null; stdout: string; stderr: string } {
    const mount = 'for f in etc boot sys; do mount --bind "$0/$f" "/$f"; done; exec bash -s';
    const user = process.getuid?.() === 0 ? [] : ["--map-root-user"];
    const env = {
      ...process.env,
      BASH_ENV: this.at("/bashrc"),
      PATH: [this.at("/bin"), process.env.PATH].join(delimiter),
    };
    return spawnSync("unshare", [...user, "--mount", "sh", "-euc", mount, this.folder.path], {
      input: script,
      env,
      encoding: "utf8",
      timeout: 30000,
    });
  }
}

let host: FakeHost;
const start = (standIns: Record<string, string> = {}, missing: string[] = []) =>
  (host = new FakeHost(standIns, missing));
afterEach(() => host.folder.remove());
const json = (path: string) => JSON.parse(host.read(path));

describe("Docker on a host", () => {
  const member = { id: "echo pi docker" };
  const limits = { "live-restore": true, "log-opts": { "max-size": "10m", "max-file": "3" } };
  const file = "/etc/docker/daemon.json";
  const curl = 'while [ "$1" != -o ]; do shift; done; echo key > "$2"';
  /** gpg, as it shows a file with a key of this fingerprint and a sub-key of another. */
  const gpgShows = (fingerprint: string) =>
    `for line in pub:-:4096 fpr:::::::::${fingerprint}: sub:-:4096 fpr:::::::::${"1".repeat(40)}:
     do echo "$line"; done`;

  test.each<[what: string, before: string | undefined, after: object]>([
    ["none", undefined, limits],
    ["an empty one", "", limits],
    [
      "one with other settings",
      '{"dns":["10.0.0.1"],"log-opts":{"tag":"x","max-size":"1g"}}',
      {
        dns: ["10.0.0.1"],
        "live-restore": true,
        "log-opts": { tag: "x", "max-size": "10m", "max-file": "3" },
      },
    ],
    [
      "one with another log driver",
      '{"log-driver":"journald"}',
      { "log-driver": "journald", "live-restore": true },
    ],
  ])("gets its log limits merged into daemon.json: %s", (_, before, after) => {
    start(member);
    if (before !== undefined) host.write(file, before);
    expect(host.run(dockerScript("pi"))).toMatchObject({ status: 0, stderr: "" });
    expect(json(file)).toEqual(after);
    expect(host.calls()).toContain("systemctl restart docker");
  });

  test("is left alone the second time", () => {
    start(member);
    host.run(dockerScript("pi"));
    host.write("/calls", "");
    expect(host.run(dockerScript("pi"))).toMatchObject({ status: 0, stdout: "" });
    expect(host.calls()).not.toMatch(/systemctl|usermod|apt-get/);
  });

  test("keeps a daemon.json that is no JSON, and says so", () => {
    start(member);
    host.write(file, "{ dns: }");
    const { status, stderr } = host.run(dockerScript("pi"));
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining("is no JSON; it is left as it is"),
    ]);
    expect(host.read(file)).toBe("{ dns: }");
  });

  test("gets its former daemon.json back if it does not start with the merged one", () => {
    start({
      ...member,
      systemctl:
        'case "$*" in restart*) [ -e "$0.tried" ] || { touch "$0.tried"; exit 1; } ;; esac',
    });
    host.write(file, '{"dns":["10.0.0.1"]}');
    const { status, stderr } = host.run(dockerScript("pi"));
    expect([status, stderr]).toEqual([
      1,
      expect.stringContaining("Docker does not start with the merged"),
    ]);
    expect(json(file)).toEqual({ dns: ["10.0.0.1"] });
  });

  test("lets the user in, who is in no group yet", () => {
    start({ id: "echo pi" });
    expect(host.run(dockerScript("pi")).stdout).toContain(
      "changed: added pi to the group docker\n",
    );
    expect(host.calls()).toContain("usermod -aG docker pi");
  });

  test("is not installed with another key than Docker's own", () => {
    start({ ...member, curl, gpg: gpgShows("0".repeat(40)) }, ["dockerd"]);
    const { status, stderr } = host.run(dockerScript("pi"));
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(
        /has the fingerprint 0{40}, and not 9DC858229FC7DD38854AE2D88D81803C0EBFCD88: nothing is installed/,
      ),
    ]);
    expect(host.calls()).not.toContain("apt-get install");
  });

  test("is installed from Docker's source with the key that has its fingerprint", () => {
    const gpg = gpgShows("9DC858229FC7DD38854AE2D88D81803C0EBFCD88");
    start({ ...member, "dpkg-query": "exit 1", dpkg: "echo arm64", curl, gpg }, ["dockerd"]);
    host.write("/etc/os-release", "VERSION_CODENAME=trixie\n");
    mkdirSync(host.at("/etc/apt/sources.list.d"));
    expect(host.run(dockerScript("pi"))).toMatchObject({ status: 0, stderr: "" });
    expect(host.read("/etc/apt/sources.list.d/docker.list")).toMatch(
      /^deb \[arch=arm64 signed-by=\S+docker\.asc\] https:\/\/download\.docker\.com\/linux\/debian trixie stable\n$/,
    );
    expect(host.calls()).toContain(
      "apt-get install -y -qq --no-install-recommends docker-ce docker-ce-cli containerd.io",
    );
  });
});

describe("a Raspberry Pi's boot files", () => {
  const prepareFiles = (page: string, controllers: string) => {
    start({ getconf: `echo ${page}` });
    host.write("/boot/firmware/config.txt", "dtparam=audio=on\n");
    host.write("/boot/firmware/cmdline.txt", "console=tty1 root=PARTUUID=1 rootwait\n");
    host.write("/sys/fs/cgroup/cgroup.controllers", controllers);
  };

  test("get the lines that are missing, once, and ask for a reboot until it is done", () => {
    prepareFiles("16384", "cpuset cpu io pids");
    expect(host.run(bootScript()).stdout).toMatch(
      new RegExp(
        `^changed: kernel=kernel8.img .*\nchanged: cgroup_enable=memory .*\n${rebootMarker}\n$`,
      ),
    );
    expect(host.run(bootScript()).stdout).toBe(`${rebootMarker}\n`);
    expect(host.read("/boot/firmware/config.txt")).toBe(
      "dtparam=audio=on\n\n[all]\nkernel=kernel8.img\n",
    );
    expect(host.read("/boot/firmware/cmdline.txt")).toBe(
      "console=tty1 root=PARTUUID=1 rootwait cgroup_enable=memory cgroup_memory=1\n",
    );
  });

  test("stay as they are where the kernel is right", () => {
    prepareFiles("4096", "cpuset cpu io memory pids");
    expect(host.run(bootScript())).toMatchObject({ status: 0, stdout: "" });
    expect(host.read("/boot/firmware/config.txt")).toBe("dtparam=audio=on\n");
  });

  test("that are not there are no Raspberry Pi's", () => {
    start({ getconf: "echo 16384" });
    expect(host.run(bootScript())).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("its kernel has pages of 16384 bytes, and there is no"),
    });
  });
});

describe("Docker's wait for the clock", () => {
  const waits = {
    timesyncd: "/etc/systemd/system/systemd-time-wait-sync.service.d/bess-clock.conf",
    chrony: "/etc/systemd/system/chrony-wait.service.d/bess-clock.conf",
  };
  const docker = "/etc/systemd/system/docker.service.d/bess-clock.conf";
  /** systemctl, on a host that has these units; what was enabled stays enabled. */
  const systemctl = (...units: string[]) => `enabled=$0.enabled; for unit; do :; done
    case $1 in
      cat) case " ${units.join(" ")} " in *" $unit "*) ;; *) exit 1 ;; esac ;;
      is-enabled) grep -qx "$unit" "$enabled" 2> /dev/null ;;
      enable) echo "$unit" >> "$enabled" ;;
    esac`;
  const timesyncd = ["systemd-timesyncd.service", "systemd-time-wait-sync.service"];
  const installed = (provides: string) =>
    `case "$*" in *Provides*) echo 'installed ${provides}' ;; *) echo 'install ok installed' ;; esac`;

  test("is bounded and ordered by drop-ins, once, where systemd keeps the time", () => {
    start({ systemctl: systemctl(...timesyncd), "dpkg-query": installed("time-daemon") });
    expect(host.run(clockScript())).toMatchObject({
      status: 0,
      stderr: "",
      stdout:
        "changed: enabled systemd-timesyncd.service\nchanged: enabled systemd-time-wait-sync.service\n" +
        `changed: ${waits.timesyncd}\nchanged: ${docker}\n`,
    });
    expect(host.read(waits.timesyncd)).toMatch(/^\[Service\]\nTimeoutStartSec=180$/m);
    expect(host.read(docker)).toMatch(
      /^\[Unit\]\nWants=time-sync.target\nAfter=time-sync.target$/m,
    );
    expect(host.calls()).toMatch(
      /enable --quiet --now systemd-timesyncd.service\n[^]*daemon-reload\nsystemctl start systemd-time-wait-sync.service\n$/,
    );
    host.write("/calls", "");
    expect(host.run(clockScript())).toMatchObject({ status: 0, stdout: "" });
    expect(host.calls()).not.toMatch(/systemctl (enable|start|daemon-reload)|apt-get/);
  });

  test("is chrony's own where chrony keeps the time", () => {
    start({ systemctl: systemctl("chrony.service", "chrony-wait.service", ...timesyncd) });
    expect(host.run(clockScript()).stdout).toBe(
      `changed: enabled chrony-wait.service\nchanged: ${waits.chrony}\nchanged: ${docker}\n`,
    );
    expect(host.calls()).not.toMatch(/timesyncd|apt-get/);
  });

  test("has a time service installed where there is none", () => {
    const query =
      'case "$*" in *Provides*) echo "installed mail-transport-agent" ;; *) exit 1 ;; esac';
    start({ systemctl: systemctl(...timesyncd), "dpkg-query": query });
    expect(host.run(clockScript()).stdout).toMatch(/^changed: installed systemd-timesyncd\n/);
  });

  test("leaves another time service alone, and says where it cannot wait", () => {
    start({ systemctl: systemctl(), "dpkg-query": installed("ntp, time-daemon") });
    expect(host.run(clockScript())).toMatchObject({
      status: 0,
      stdout: "",
      stderr: expect.stringContaining("Docker does not wait for the clock"),
    });
    expect(host.calls()).not.toMatch(/apt-get/);
  });

  const analyze = spawnSync("systemd-analyze", ["--version"]).status === 0;
  (analyze ? test : test.skip)("is taken by the real systemd", () => {
    start({ systemctl: systemctl(...timesyncd), "dpkg-query": installed("time-daemon") });
    host.run(clockScript());
    host.write("/etc/systemd/system/docker.service", "[Service]\nExecStart=/bin/true\n");
    const verify = (change = "") =>
      host.run(`${change}
        exec systemd-analyze verify --man=no docker.service systemd-time-wait-sync.service`);
    expect(verify()).toMatchObject({ status: 0, stdout: "", stderr: "" });
    // It is asked in earnest: it reads the drop-ins.
    expect(verify(`sed -i 's/=180/=3 moons/' ${waits.timesyncd}`).stderr).toMatch(/3 moons/);
  });
});

describe("udev rules", () => {
  const rules = [
    { symlink: "bms", vendor: "0403", product: "6001", serial: "A50285BI" },
    { symlink: "meter", vendor: "10c4", product: "ea60" },
  ];

  test("are written once, and removed alone", () => {
    start();
    host.write("/etc/udev/rules.d/70-other.rules", "other\n");
    expect(host.run(udevScript("pi", rules))).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^changed: \S+99-bess-pi\.rules\n$/),
    });
    expect(host.read(udevFile("pi"))).toBe(`# Written by bess-telemetry for the site pi.
SUBSYSTEM=="tty", ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6001", ATTRS{serial}=="A50285BI", SYMLINK+="bms"
SUBSYSTEM=="tty", ATTRS{idVendor}=="10c4", ATTRS{idProduct}=="ea60", SYMLINK+="meter"
`);
    expect(host.run(udevScript("pi", rules)).stdout).toBe("");
    expect(host.run(udevRemoval("pi")).status).toBe(0);
    expect([
      existsSync(host.at(udevFile("pi"))),
      host.read("/etc/udev/rules.d/70-other.rules"),
    ]).toEqual([false, "other\n"]);
  });
});

test("unattended updates are turned on once", () => {
  start();
  expect(host.run(updatesScript()).stdout).toMatch(/^changed: /);
  expect(host.run(updatesScript()).stdout).toBe("");
  expect(host.read("/etc/apt/apt.conf.d/20auto-upgrades")).toBe(
    'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n',
  );
});
