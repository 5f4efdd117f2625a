import type { ContainerStatus } from "../configs/containers";
import { type SiteConfig, siteServices } from "../configs/site";
import { clonesAt, dataRenewed, unfitting } from "./clones";
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

/** What an update does again, though nothing of it changes. */
export interface Repeated {
  /** Patterns of URNs. */
  urns: string[];
  /** To be called once the update is done. */
  done(): Promise<void>;
}

/**
 * What an update must do again: the checks of services that are not well now, each of which restarts
 * its container first, and what does not fit data that a rollback has put back.
 * @returns nothing where the site cannot be looked at, which the update itself tells.
 */
export async function toRepeat(
  site: Pick<SiteConfig, "name" | "engine" | "ssh">,
): Promise<Repeated> {
  const [containers, data] = await Promise.all([
    containersAt(site).catch(() => []),
    clonesAt(site).catch(() => []),
  ]);
  const checks = containers.flatMap(({ report, service }) =>
    report ? [`**-${service}-ready`] : [],
  );
  const anew = unfitting(data);
  return {
    urns: [...new Set([...checks, ...anew])],
    // Nothing is lost by a failure: the next update makes them once more.
    done: async () => void (anew.length > 0 && (await dataRenewed(site).catch(() => undefined))),
  };
}
