import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { bundledPrograms, bundleOf } from "../../components/bundles";
import recorded from "../../configs/registry.json";
import {
  fromMirror,
  hubImages,
  imageLicence,
  imageRecord,
  images,
  repositoryOf,
} from "../../configs/images";
import { parseSite, siteImages, siteServices } from "../../configs/site";

const root = join(__dirname, "../..");

describe("images", () => {
  test.each([
    ["telegraf:1.39.3-alpine", "mirror.lan:5000/library/telegraf:1.39.3-alpine"],
    ["grafana/grafana:13.1.1", "mirror.lan:5000/grafana/grafana:13.1.1"],
    ["ghcr.io/grafana/grafana:13.1.1", "ghcr.io/grafana/grafana:13.1.1"],
    ["localhost/grafana:1", "localhost/grafana:1"],
  ])("%s comes from a mirror as %s", (image, expected) => {
    expect(fromMirror("mirror.lan:5000", image)).toBe(expected);
  });
  test("come from where the stack says, for the services that it runs", () => {
    const site = parseSite({
      name: "pi",
      explorer: { enabled: false },
      images: { mirror: "mirror.lan", grafana: "ghcr.io/g/g:1" },
    });
    expect(siteServices(site)).toEqual(["mosquitto", "telegraf", "influxdb", "rollup", "grafana"]);
    expect(siteImages(site)).toMatchObject({
      telegraf: `mirror.lan/library/${images.telegraf}`,
      grafana: "ghcr.io/g/g:1",
    });
  });
  test.each(Object.values({ ...images, ...hubImages }))(
    "%s has a recorded manifest for a Raspberry Pi and for a server",
    (image) => {
      expect(Object.keys(imageRecord(image)?.architectures ?? {})).toEqual(
        expect.arrayContaining(["arm64", "amd64"]),
      );
    },
  );
  test("that are recorded are the pinned ones, and no others", () => {
    const pinned = new Set<string>(Object.values({ ...images, ...hubImages }));
    expect(Object.keys(recorded.images).sort()).toEqual([...pinned].sort());
    // Every licence is of an image that is used.
    const repositories = [...pinned].filter((image) => imageLicence(image)).map(repositoryOf);
    expect(Object.keys(recorded.licences).sort()).toEqual([...new Set(repositories)].sort());
  });
});

describe("nothing that a site runs is of one processor alone:", () => {
  test("only the check of the host and the choice of images to save name one", () => {
    const sources = [
      "components",
      "configs",
      "dashboards",
      "automation",
      "cli",
      "simulator",
      "rollup",
    ].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => /\.(ts|sh|star)$/.test(file))
        .map((file) => join(folder, file)),
    );
    const named = sources.filter((file) =>
      /x86|amd64|i386|aarch64|arm64/.test(readFileSync(join(root, file), "utf8")),
    );
    expect(named.sort()).toEqual(["cli/images.ts", "configs/preflight.ts"]);
  });

  test("the rollups' program is without schemas that it does not use: links are slow", () => {
    expect(Buffer.byteLength(bundleOf("rollup"))).toBeLessThan(350_000);
  });

  test.each(bundledPrograms)("the program of %s holds no native code", (program) => {
    const { metafile } = buildSync({
      entryPoints: [join(root, program, "main.ts")],
      bundle: true,
      platform: "node",
      write: false,
      metafile: true,
      outdir: "out",
    });
    expect(
      Object.keys(metafile.inputs).filter((file) => !/\.(ts|js|mjs|cjs|json)$/.test(file)),
    ).toEqual([]);
  });
});
