import { createHash } from "node:crypto";
import { versionOf } from "./packages";
import type { Provider, ResourceType } from "./provider";
import type { Values } from "./wire";

const digest = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;

// prettier-ignore
const container: ResourceType = {
  replaces: [
    "capabilities", "cgroupParent", "cgroupnsMode", "command", "cpus", "deviceRequests", "devices", "dns", "dnsOpts", "dnsSearches", "domainname",
    "entrypoints", "envs", "gpus", "groupAdds", "hostname", "hosts", "image", "ipcMode", "labels", "logDriver", "logOpts", "mounts", "name",
    "networkMode", "networksAdvanced", "pidMode", "platform", "ports", "privileged", "publishAllPorts", "readOnly", "runtime", "securityOpts",
    "shmSize", "stdinOpen", "stopSignal", "stopTimeout", "storageOpts", "sysctls", "tty", "ulimits", "uploads", "user", "usernsMode", "volumes",
    "workingDir",
  ],
  computed: ["bridge", "containerLogs", "exitCode", "networkDatas"],
  completedBy: "networkDatas",
  create(inputs, { config, engine, faults }, resource) {
    const { name, image, wait, healthcheck, readOnly = false, uploads = [], networksAdvanced = [], ports = [], volumes = [] } = inputs as {
      name: string; image: string; wait?: boolean; healthcheck?: Values; readOnly?: boolean; uploads?: unknown[];
      networksAdvanced?: { name: string; aliases?: string[] }[]; ports?: { external: number; ip?: string }[]; volumes?: { volumeName?: string }[];
    };
    if (wait && !healthcheck) throw new Error(`${name} has wait and no health check, so nothing tells when it answers`);
    const healthy = !faults.unhealthy(resource);
    const { id, networks } = engine(config.host).run(
      name,
      {
        image,
        healthy,
        networks: networksAdvanced.map((network) => network.name),
        aliases: networksAdvanced.flatMap((network) => network.aliases ?? []),
        ports: ports.map((port) => `${port.ip ?? "0.0.0.0"}:${port.external}`),
        volumes: volumes.flatMap((volume) => volume.volumeName ?? []),
      },
      { readOnly, uploads: uploads.length },
    );
    if (wait && !healthy) return { id, outputs: {}, failed: "container failed to be in healthy state" };
    return { id, outputs: { bridge: "", containerLogs: "", exitCode: 0, networkDatas: networks.map((networkName) => ({ networkName })) } };
  },
  present: (id, state, { config, engine }) => engine(config.host).held.containers[state.name as string]?.id === id,
  remove: (_, state, { config, engine }) => engine(config.host).removeContainer(state.name as string),
};

const network: ResourceType = {
  replaces: "all",
  computed: ["driver", "internal", "ipamConfigs", "options", "scope"],
  create({ name }, { config, engine }) {
    const { id } = engine(config.host).createNetwork(name as string);
    return {
      id,
      outputs: { driver: "bridge", internal: false, ipamConfigs: [], options: {}, scope: "local" },
    };
  },
  present: (id, state, { config, engine }) =>
    engine(config.host).held.networks[state.name as string]?.id === id,
  remove: (_, state, { config, engine }) => engine(config.host).removeNetwork(state.name as string),
};

const volume: ResourceType = {
  replaces: ["driver", "driverOpts", "labels", "name"],
  computed: ["driver", "mountpoint"],
  create({ name }, { config, engine }) {
    engine(config.host).createVolume(name as string);
    return {
      id: name as string,
      outputs: { driver: "local", mountpoint: `/var/lib/docker/volumes/${name}/_data` },
    };
  },
  present: (id, _, { config, engine }) => id in engine(config.host).held.volumes,
  remove: (id, _, { config, engine }) => engine(config.host).removeVolume(id),
};

const remoteImage: ResourceType = {
  replaces: ["name", "platform", "pullTriggers", "triggers"],
  computed: ["imageId", "repoDigest"],
  create({ name }) {
    const [imageId, repository] = [
      digest(name as string),
      (name as string).replace(/[:@][^/]*$/, ""),
    ];
    return {
      id: `${imageId}${name}`,
      outputs: { imageId, repoDigest: `${repository}@${imageId}` },
    };
  },
};

/** Docker, on a simulated engine. */
export const docker: Provider = {
  package: "docker",
  version: versionOf("@pulumi/docker"),
  async configure({ config, engine, faults }) {
    await faults.meet("engine").catch(() => {
      throw new Error(
        `${engine(config.host).held.host}: failed to connect to any docker daemon (rehearsed fault)`,
      );
    });
  },
  types: {
    "docker:index/container:Container": container,
    "docker:index/network:Network": network,
    "docker:index/volume:Volume": volume,
    "docker:index/remoteImage:RemoteImage": remoteImage,
  },
  functions: {
    // A simulated engine has every image.
    "docker:index/getRemoteImage:getRemoteImage": ({ name }) => ({
      id: digest(name as string),
      name,
      repoDigest: "",
    }),
  },
};
