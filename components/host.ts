import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { HostConfig } from "../configs/host";
import {
  evaluatePreflight,
  type HostRequirements,
  preflightErrorMessage,
  preflightScript,
  unreachableMarker,
} from "../configs/preflight";
import {
  bootScript,
  clockScript,
  dockerScript,
  rebootMarker,
  udevRemoval,
  udevScript,
  updatesScript,
} from "../configs/prepare";
import {
  destination,
  type Forward,
  forwardArguments,
  quoted,
  type SshTarget,
  remoteLine,
  sharedOptions,
  sshLine,
} from "../configs/ssh";
import { Refused } from "./refused";

/** A host that is reached over SSH, and what the site asks of it. */
export interface HostArgs extends SshTarget {
  /**
   * Whether and how the host is prepared before it is checked.
   * @example
   * ```ts
   * { host: { prepare: true, reboot: true, updates: false, udev: [] } }
   * ```
   */
  host: HostConfig;
  /**
   * What the host must have: free ports, disk, memory, images.
   * @example
   * ```ts
   * {
   *   required: {
   *     site: "kiel-1",
   *     ports: [{ key: "mqtt.port", port: 1883, address: "0.0.0.0" }],
   *     storage: storage(model, profiles.pi, "90d"),
   *     budget: 40e9,
   *     images: [],
   *     memoryMiB: 2944,
   *   },
   * }
   * ```
   */
  required: Omit<HostRequirements, "preparing">;
  /**
   * The tunnel to Grafana's API.
   * @default none: the program reaches the API without one
   * @example
   * ```ts
   * { tunnel: { local: 23208, remote: 3000 } }
   * ```
   */
  tunnel?: Forward | undefined;
}

/** Command line that runs a command at the host as root. Default: a script by standard input. */
const asRoot = (reach: SshTarget, run = "bash -s") =>
  remoteLine(reach, `$([ "$(id -u)" = 0 ] || echo sudo -n) ${run}`);

/**
 * The host of a site: prepared where the stack says so, and checked in every preview and update
 * before anything is made on it.
 */
export class Host extends pulumi.ComponentResource {
  /** The host's Docker engine, known once the host can carry the site; the tunnel is open then. */
  readonly engine: pulumi.Output<string>;
  /** Options of OpenSSH by which the Docker provider reaches the host. */
  readonly sshOptions: string[];

  // OpenSSH itself, and not command.remote: that takes any host key unless one is given, reads no
  // ssh config, and opens a connection for each command.
  constructor(
    private readonly name: string,
    private readonly args: HostArgs,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    super("bess:index:Host", name, {}, opts);
    this.sshOptions = sharedOptions(args);
    const { prepare } = args.host;
    const checked = this.preflight(prepare);
    this.engine = prepare ? this.preflight(false, this.prepare(checked)) : checked;
    this.registerOutputs({});
  }

  /**
   * Reads the host in one go, opens the tunnel, and refuses a host that cannot carry the site. It
   * is an invoke, and not a resource: a host's state is not the stack's.
   * @param preparing whether prepare is still to come.
   * @param after what it waits for: a preview that makes one of these cannot look yet.
   * @returns the host's engine.
   */
  private preflight(
    preparing: boolean,
    after: command.local.Command[] = [],
  ): pulumi.Output<string> {
    const args = {
      command: this.preflightCommand(),
      stdin: preflightScript(this.args.required),
      logging: "none",
    } as const;
    return pulumi
      .all(after.map((step) => step.stdout))
      .apply(() => command.local.run(args, { parent: this }))
      .apply((answer) => this.evaluate(answer, preparing));
  }

  private preflightCommand(): string {
    const { tunnel } = this.args;
    const read = remoteLine(this.args, "bash -s");
    const forward = tunnel
      ? ` && ${sshLine(forwardArguments(this.args, [tunnel]))} < /dev/null`
      : "";
    return `${read}${forward} || printf '${unreachableMarker}\\t%s\\n' $?`;
  }

  /** @throws Refused with every reason, where the host cannot carry the site. */
  private evaluate(answer: command.local.RunResult, preparing: boolean): string {
    const { engine, required } = this.args;
    const now = Date.now() / 1000;
    const requirements = { ...required, preparing };
    const { errors, warnings } = evaluatePreflight(answer, this.args, requirements, now);
    if (errors.length > 0) throw new Refused(preflightErrorMessage(engine, required.site, errors));
    for (const warning of warnings) void pulumi.log.warn(`The host ${engine}: ${warning}`, this);
    return engine;
  }

  /** Makes the host ready. Each step is a resource, so that a preview shows its script. */
  private prepare(checked: pulumi.Output<string>): command.local.Command[] {
    const { host, required } = this.args;
    const user = new URL(this.args.engine).username;
    const docker = this.step("docker", dockerScript(user), checked, { create: this.joinGroup() });
    const boot = this.step("boot", bootScript(), checked, {
      create: this.boot(),
      dependsOn: [docker],
    });
    // A reboot would break off what runs beside it.
    const dependsOn = [boot];
    const clock = this.step("clock", clockScript(), checked, { dependsOn });
    const steps = [docker, boot, clock];
    if (host.udev.length > 0) {
      const script = udevScript(required.site, host.udev);
      const undo = udevRemoval(required.site);
      steps.push(this.step("udev", script, checked, { delete: undo, dependsOn }));
    }
    if (host.updates) steps.push(this.step("updates", updatesScript(), checked, { dependsOn }));
    return steps;
  }

  /**
   * One step of prepare: a script that runs at the host as root.
   * @param own command lines other than the usual ones, and the steps that must be done before.
   */
  private step(
    step: string,
    script: string,
    checked: pulumi.Output<string>,
    own: { create?: string; delete?: string; dependsOn?: pulumi.Resource[] },
  ): command.local.Command {
    const undo = own.delete && asRoot(this.args, `sh -c ${quoted(own.delete)}`);
    return new command.local.Command(
      `${this.name}-${step}`,
      {
        create: checked.apply(() => own.create ?? asRoot(this.args)),
        stdin: script,
        ...(undo && { delete: undo }),
      },
      { parent: this, ...(own.dependsOn && { dependsOn: own.dependsOn }) },
    );
  }

  /**
   * Runs the Docker script. Where the user joined Docker's group by it, closes the shared
   * connection, which has no part in the group.
   */
  private joinGroup(): string {
    const close = sshLine([...sharedOptions(this.args), "-O", "exit", ...destination(this.args)]);
    return `said=$(${asRoot(this.args)}) || exit
printf '%s\\n' "$said"
case $said in *"to the group docker"*) ${close} 2> /dev/null || true ;; esac`;
  }

  /** Runs the boot script, and reboots the host where the script asks for it and may. */
  private boot(): string {
    const bootId = remoteLine(this.args, "cat /proc/sys/kernel/random/boot_id");
    return `before=$(${bootId} < /dev/null) || exit
said=$(${asRoot(this.args)}) || exit
printf '%s\\n' "$said"
case $said in *"${rebootMarker}"*) ;; *) exit 0 ;; esac
${this.args.host.reboot ? this.reboot() : refuseReboot}`;
  }

  /** Reboots the host, and waits five minutes at most until Docker answers after it. */
  private reboot(): string {
    const ready = remoteLine(
      this.args,
      "docker version > /dev/null && cat /proc/sys/kernel/random/boot_id",
    );
    return `${asRoot(this.args, "systemctl reboot")} < /dev/null || true
tries=60
until now=$(${ready} < /dev/null 2> /dev/null) && [ "$now" != "$before" ]; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || { echo "the host did not come back from its reboot" >&2; exit 1; }
  sleep 5
done`;
  }
}

const refuseReboot =
  'echo "its kernel lines work after a reboot: run sudo reboot there and then up again, ' +
  'or set host.reboot: true" >&2; exit 1';
