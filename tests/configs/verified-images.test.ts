import { parseHub } from "../../configs/hub";
import { deployedImage, images } from "../../configs/images";
import { parseSite, siteImageIds, siteImages } from "../../configs/site";
import { violations } from "../../policy/rules";

const digest = (text: string) => `sha256:${text.repeat(64)}`;

// What `bess images pin` would have recorded of some.
jest.mock("../../configs/registry.json", () => {
  const actual = jest.requireActual<{ images: Record<string, object> }>(
    "../../configs/registry.json",
  );
  const records = Object.keys(actual.images)
    .filter((image) => !image.startsWith("restic/") && !image.startsWith("victoriametrics/vmauth"))
    .map((image) => [
      image,
      {
        digest: `sha256:${"a".repeat(64)}`,
        architectures: {
          arm64: { manifest: `sha256:${"b".repeat(64)}`, config: `sha256:${"c".repeat(64)}` },
        },
      },
    ]);
  return { ...actual, images: Object.fromEntries(records) as object };
});

const record = { pull: "missing", verify: "digest" } as const;

test.each([
  ["a pinned image", images.telegraf, record, `${images.telegraf}@${digest("a")}`],
  [
    "one of a mirror",
    images.telegraf,
    { ...record, mirror: "mirror.lan" },
    `mirror.lan/library/${images.telegraf}@${digest("a")}`,
  ],
  ["one that has a digest", `own/x:1@${digest("d")}`, record, `own/x:1@${digest("d")}`],
  [
    "one that is loaded, by its tag",
    images.telegraf,
    { ...record, pull: "never" as const },
    images.telegraf,
  ],
  [
    "one that nobody verifies",
    images.telegraf,
    { ...record, verify: "none" as const },
    images.telegraf,
  ],
])("the engine is asked for %s", (_, image, source, expected) => {
  expect(deployedImage(image, source)).toBe(expected);
});

const site = (more: object, settings: object = {}) =>
  parseSite({ name: "kiel-1", images: { verify: "digest", ...more }, ...settings });

test("a site that verifies its images names each by its digest", () => {
  const { simulator, ...used } = siteImages(site({}));
  expect(simulator).toMatch(/@sha256:/);
  expect(used.copier).toBe(used.influxdb);
  expect(siteImageIds(site({}))).toEqual({});
});
test("one that pulls nothing verifies what the engine calls them: index, manifest or config", () => {
  const loaded = site({ pull: "never" });
  expect(siteImages(loaded).grafana).toBe(images.grafana);
  expect(siteImageIds(loaded).grafana).toEqual([digest("a"), digest("b"), digest("c")]);
});

const backup = { backup: { to: "/mnt/usb/bess", password: "a-long-password" } };
test.each<[string, () => unknown, string]>([
  [
    "an image of one's own by its tag",
    () => site({ grafana: "own/grafana:1" }),
    "no digest of own/grafana:1: run",
  ],
  ["a service that is not recorded", () => site({}, backup), `no digest of ${images.backup}: run`],
  [
    "a digest of one's own, where the engine pulls nothing",
    () => site({ pull: "never", grafana: `own/grafana:1@${digest("d")}` }),
    "no digest of own/grafana:1: run",
  ],
  [
    "an image of the hub",
    () => parseHub({ name: "hub", images: { verify: "digest" } }),
    "no digest of victoriametrics/vmauth:v1.145.0: run npx bess images pin",
  ],
])("%s is refused without a digest", (_, parse, message) => {
  expect(parse).toThrow(`configs/registry.json has ${message}`);
});
test("what a site does not run needs none", () => {
  expect(() => site({ backup: "own/restic:1" })).not.toThrow();
});

describe("the policy", () => {
  const image = (name: string, inputs: object = {}) => ({
    type: "docker:index/remoteImage:RemoteImage",
    name: "kiel-1-grafana",
    inputs: { name, ...inputs },
  });
  const marked = image(`own/x:1@${digest("d")}`, { triggers: { verify: "digest" } });
  const broken = (
    ...resources: Parameters<typeof violations>[0] extends Iterable<infer R> ? R[] : never
  ) =>
    violations(resources)
      .filter(({ rule }) => rule === "image-digest")
      .map(({ message }) => message);

  test("refuses every image of a verified site that has no digest", () => {
    expect(broken(marked)).toEqual([]);
    expect(broken(image("own/y:1"))).toEqual([]);
    expect(broken(marked, image("own/y:1"))).toEqual([
      'the image is "own/y:1", and images.verify is digest: add its @sha256:…, which npx bess images pin records',
    ]);
    expect(broken(image("own/y:1", { triggers: { verify: "digest" } }))).toHaveLength(1);
    expect(
      broken(image("own/y:1", { triggers: { verify: "digest" } }), { ...marked, deleted: true }),
    ).toHaveLength(1);
  });
  test("takes a container's id, and refuses its tag", () => {
    const container = (name: string) => ({
      type: "docker:index/container:Container",
      name: "kiel-1-grafana",
      inputs: { image: name },
    });
    expect(broken(marked, container(digest("e")))).toEqual([]);
    expect(broken(marked, container("own/y:1"))).toHaveLength(1);
  });
});
