import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import {
  type HostConfig,
  judge,
  preflightScript,
  refusal,
  type Required,
  unreachedSign,
} from "../configs/host";
import {
  bootScript,
  dockerScript,
  rebootSign,
  udevRemoval,
  udevScript,
  updatesScript,
} from "../configs/prepare";
import {
  destination,
  type Forward,
  forwardArguments,
  quoted,
  type Reach,
  remoteLine,
  sharedOptions,
  sshLine,
} from "../configs/ssh";

/** A host that is reached over SSH, and what the site asks of it. */
export interface HostArgs extends Reach {
  host: HostConfig;
  required: Omit<Required, "preparing">;
  /** The tunnel to Grafana's API, where the program needs one. */
  tunnel?: Forward;
}

/** A host that is refused. */
class HostRefused extends pulumi.ResourceError {
  constructor(message: string, host: pulumi.Resource) {
    super(message, host, true);
    // Pulumi writes every property that the error passes through into its message; a person needs the reasons alone.
    Object.defineProperty(this, "message", { get: () => message, set: () => undefined });
  }
}

/** Shell command line that runs a command at the host as root; by default, a script from standard input. */
const asRoot = (reach: Reach, run = "bash -s") =>
  remoteLine(reach, `$([ "$(id -u)" = 0 ] || echo sudo -n) ${run}`);

/** The host of a site: prepared where the stack says so, and checked in every preview and update before anything is made on it. */
export class Host extends pulumi.ComponentResource {
  /** The host's Docker engine, known once the host can carry the site; the tunnel is open then. */
  readonly engine: pulumi.Output<string>;
  /** How ssh reaches it. */
  readonly sshOptions: string[];

  // OpenSSH itself, and not command.remote: that takes any host key unless one is given, reads no ssh config, and opens a
  // connection for each command. The preflight is an invoke, and not a resource: a host's state is not the stack's.
  constructor(
    private readonly name: string,
    private readonly args: HostArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("bess:index:Host", name, {}, opts);
    this.sshOptions = sharedOptions(args);
    const { prepare } = args.host;
    const found = this.preflight(prepare);
    this.engine = prepare ? this.preflight(false, this.prepare(found)) : found;
    this.registerOutputs({});
  }

  /**
   * Reads the host in one go, opens the tunnel, and refuses a host that cannot carry the site.
   * @param preparing whether prepare is still to come.
   * @param after what it waits for: a preview that makes one of these cannot look yet.
   */
  private preflight(
    preparing: boolean,
    after: command.local.Command[] = [],
  ): pulumi.Output<string> {
    const { required, tunnel, engine } = this.args;
    const forward = tunnel
      ? ` && ${sshLine(forwardArguments(this.args, [tunnel]))} < /dev/null`
      : "";
    const line = `${remoteLine(this.args, "bash -s")}${forward} || printf '${unreachedSign}\\t%s\\n' $?`;
    const args = { command: line, stdin: preflightScript(required), logging: "none" } as const;
    const read = pulumi
      .all(after.map((part) => part.stdout))
      .apply(() => command.local.run(args, { parent: this }));
    return read.apply((answer) => {
      const { refused, noted } = judge(
        answer,
        this.args,
        { ...required, preparing },
        Date.now() / 1000,
      );
      if (refused.length > 0) throw new HostRefused(refusal(engine, required.site, refused), this);
      for (const note of noted) void pulumi.log.warn(`The host ${engine}: ${note}`, this);
      return engine;
    });
  }

  /** Makes the host ready; each part is a resource of its own, so that a preview shows its script. */
  private prepare(found: pulumi.Output<string>): command.local.Command[] {
    const { host, required } = this.args;
    const user = new URL(this.args.engine).username;
    const docker = this.part("docker", dockerScript(user), found, { create: this.joinGroup() });
    const boot = this.part("boot", bootScript(), found, {
      create: this.boot(),
      dependsOn: [docker],
    });
    // A reboot would break off what runs beside it.
    const dependsOn = [boot];
    const udev =
      host.udev.length > 0
        ? [
            this.part("udev", udevScript(required.site, host.udev), found, {
              delete: udevRemoval(required.site),
              dependsOn,
            }),
          ]
        : [];
    const updates = host.updates
      ? [this.part("updates", updatesScript(), found, { dependsOn })]
      : [];
    return [docker, boot, ...udev, ...updates];
  }

  private part(
    part: string,
    script: string,
    found: pulumi.Output<string>,
    own: { create?: string; delete?: string; dependsOn?: pulumi.Resource[] },
  ) {
    const undo = own.delete ? asRoot(this.args, `sh -c ${quoted(own.delete)}`) : undefined;
    return new command.local.Command(
      `${this.name}-${part}`,
      { create: found.apply(() => own.create ?? asRoot(this.args)), delete: undo, stdin: script },
      { parent: this, dependsOn: own.dependsOn },
    );
  }

  /** Runs the Docker script; a connection from before the user joined the group would not have it. */
  private joinGroup(): string {
    const close = sshLine([...sharedOptions(this.args), "-O", "exit", ...destination(this.args)]);
    return `said=$(${asRoot(this.args)}) || exit
printf '%s\\n' "$said"
case $said in *"to the group docker"*) ${close} 2> /dev/null || true ;; esac`;
  }

  /** Runs the boot script, and reboots the host where it asks for that and may. */
  private boot(): string {
    const boots = remoteLine(this.args, "cat /proc/sys/kernel/random/boot_id");
    const ready = remoteLine(
      this.args,
      "docker version > /dev/null && cat /proc/sys/kernel/random/boot_id",
    );
    const restart = this.args.host.reboot
      ? `${asRoot(this.args, "systemctl reboot")} < /dev/null || true
tries=60
until now=$(${ready} < /dev/null 2> /dev/null) && [ "$now" != "$before" ]; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || { echo "the host did not come back from its reboot" >&2; exit 1; }
  sleep 5
done`
      : `echo "its kernel lines work after a reboot: run sudo reboot there and then up again, or set host.reboot: true" >&2; exit 1`;
    return `before=$(${boots} < /dev/null) || exit
said=$(${asRoot(this.args)}) || exit
printf '%s\\n' "$said"
case $said in *"${rebootSign}"*) ;; *) exit 0 ;; esac
${restart}`;
  }
}
