import type { ContainerStatus } from "../configs/containers";
import { type SiteConfig, siteServices } from "../configs/site";
import { containersAt } from "./engine";

/** How a service of a site is; `missing` is the state of one without a container. */
export type ServiceStatus = Omit<ContainerStatus, "exitCode"> & {
  /** None while it runs, and of one that is missing. */
  exitCode?: number;
};

/**
 * How each service is that a site must have.
 * @throws Error where the site's engine cannot be reached.
 */
export async function servicesAt(site: SiteConfig): Promise<ServiceStatus[]> {
  const found = new Map((await containersAt(site)).map((status) => [status.service, status]));
  return siteServices(site).map((service) => {
    const status = found.get(service);
    if (!status) return missing(service, `${site.name}-${service}`);
    const { exitCode, ...others } = status;
    return { ...others, ...(status.state !== "running" && { exitCode }) };
  });
}

const missing = (service: string, container: string): ServiceStatus => ({
  service,
  container,
  state: "missing",
  health: "",
  restarts: 0,
  outOfMemory: false,
  since: "",
  revision: "",
  report:
    `${service} is missing: there is no container ${container}\n` +
    "  next: run up, with --refresh if it was there before",
});

/**
 * The checks that an update must repeat, though nothing of them changes: those of services that are
 * not well now. Each restarts its container first.
 * @returns patterns of URNs; none where the site cannot be looked at, which the update itself tells.
 */
export const checksToRepeat = (site: Pick<SiteConfig, "name" | "engine" | "ssh">) =>
  containersAt(site).then(
    (found) => found.flatMap(({ report, service }) => (report ? [`**-${service}-ready`] : [])),
    () => [],
  );
