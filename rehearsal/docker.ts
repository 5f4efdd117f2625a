import { imageIds } from "../configs/images";
import { paths as mosquitto } from "../configs/mosquitto";
import { hostPort } from "../configs/site";
import { pairFindings } from "../configs/tls";
import { imageId as digest } from "./engine";
import { packageVersion, type Provider, type ProviderContext, type ResourceType } from "./provider";
import type { PropertyMap } from "./wire";

/** The id of an image that was loaded from a file; by a mirror's name too. */
function loadedId(name: string): string {
  const parts = name.split("/");
  const names = parts.map((_, i) => parts.slice(i).join("/"));
  return names.flatMap(imageIds).at(-1) ?? digest(name);
}

/** The simulated engine that a provider instance is configured for. */
const engineOf = ({ config, engine }: ProviderContext) => engine(config.host);

// oxfmt-ignore
const containerReplaceOnChanges = [
  "capabilities", "cgroupParent", "cgroupnsMode", "command", "cpus", "deviceRequests", "devices",
  "dns", "dnsOpts", "dnsSearches", "domainname", "entrypoints", "envs", "gpus", "groupAdds",
  "hostname", "hosts", "image", "ipcMode", "labels", "logDriver", "logOpts", "mounts", "name",
  "networkMode", "networksAdvanced", "pidMode", "platform", "ports", "privileged",
  "publishAllPorts", "readOnly", "runtime", "securityOpts", "shmSize", "stdinOpen", "stopSignal",
  "stopTimeout", "storageOpts", "sysctls", "tty", "ulimits", "uploads", "user", "usernsMode",
  "volumes", "workingDir",
];

/** The inputs of a container that the simulated engine acts on. */
interface ContainerInputs {
  name: string;
  image: string;
  readOnly?: boolean;
  uploads?: { file: string; content?: string }[];
  networksAdvanced?: { name: string; aliases?: string[] }[];
  ports?: { external: number; ip?: string }[];
  volumes?: { volumeName?: string }[];
}

/** Why a broker with these files would end at its start: a pair of certificate and key it refuses. */
function brokerFault(uploads: NonNullable<ContainerInputs["uploads"]>): string | undefined {
  const text = (path: string) => uploads.find(({ file }) => file === path)?.content;
  const [certificate, key] = [text(mosquitto.certificate), text(mosquitto.key)];
  if (certificate === undefined || key === undefined) return undefined;
  const [finding] = pairFindings({ certificate, key });
  return finding && `its TLS ${finding.key} is refused: ${finding.message}`;
}

const container: ResourceType = {
  replaceOnChanges: containerReplaceOnChanges,
  computed: ["bridge", "containerLogs", "exitCode", "networkDatas"],
  completedBy: "networkDatas",
  create(inputs, context, resource) {
    const {
      name,
      image,
      readOnly = false,
      uploads = [],
      networksAdvanced = [],
      ports = [],
      volumes = [],
    } = inputs as PropertyMap & ContainerInputs;
    const fault = brokerFault(uploads);
    const healthy = fault === undefined && !context.faults.isUnhealthy(resource);
    const { id, networks } = engineOf(context).runContainer(
      name,
      {
        image,
        healthy,
        fault,
        networks: networksAdvanced.map((network) => network.name),
        aliases: networksAdvanced.flatMap((network) => network.aliases ?? []),
        ports: ports.map((port) => hostPort(port.ip ?? "0.0.0.0", port.external)),
        volumes: volumes.flatMap((volume) => volume.volumeName ?? []),
      },
      { readOnly, uploads: uploads.length },
    );
    const networkDatas = networks.map((networkName) => ({ networkName }));
    return { id, outputs: { bridge: "", containerLogs: "", exitCode: 0, networkDatas } };
  },
  exists: (id, { name }, context) => engineOf(context).state.containers[name as string]?.id === id,
  remove: (_, { name }, context) => engineOf(context).removeContainer(name as string),
};

const network: ResourceType = {
  replaceOnChanges: "all",
  computed: ["driver", "internal", "ipamConfigs", "options", "scope"],
  create({ name }, context) {
    const { id } = engineOf(context).createNetwork(name as string);
    return {
      id,
      outputs: { driver: "bridge", internal: false, ipamConfigs: [], options: {}, scope: "local" },
    };
  },
  exists: (id, { name }, context) => engineOf(context).state.networks[name as string]?.id === id,
  remove: (_, { name }, context) => engineOf(context).removeNetwork(name as string),
};

const volume: ResourceType = {
  replaceOnChanges: ["driver", "driverOpts", "labels", "name"],
  computed: ["driver", "mountpoint"],
  create({ name }, context) {
    engineOf(context).createVolume(name as string);
    return {
      id: name as string,
      outputs: { driver: "local", mountpoint: `/var/lib/docker/volumes/${name}/_data` },
    };
  },
  exists: (id, _, context) => id in engineOf(context).state.volumes,
  remove: (id, _, context) => engineOf(context).removeVolume(id),
};

const remoteImage: ResourceType = {
  replaceOnChanges: ["name", "platform", "pullTriggers", "triggers"],
  computed: ["imageId", "repoDigest"],
  create({ name }) {
    const imageId = digest(name as string);
    const repository = (name as string).replace(/[:@][^/]*$/, "");
    return {
      id: `${imageId}${name}`,
      outputs: { imageId, repoDigest: `${repository}@${imageId}` },
    };
  },
};

/** The provider of `@pulumi/docker`, on simulated engines. */
export const docker: Provider = {
  package: "docker",
  version: packageVersion("@pulumi/docker"),
  async configure(context) {
    const { host } = engineOf(context).state;
    await context.faults.inject("engine").catch(() => {
      throw new Error(`${host}: failed to connect to any docker daemon (rehearsed fault)`);
    });
  },
  types: {
    "docker:index/container:Container": container,
    "docker:index/network:Network": network,
    "docker:index/volume:Volume": volume,
    "docker:index/remoteImage:RemoteImage": remoteImage,
  },
  functions: {
    // A simulated engine has every image, with the content that is recorded.
    "docker:index/getRemoteImage:getRemoteImage": ({ name }) => ({
      id: loadedId(name as string),
      name,
      repoDigest: "",
    }),
  },
};
