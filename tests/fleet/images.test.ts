import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bringImages, Throttle } from "../../fleet/images";
import { standInForDocker } from "../support/docker";
import { temporaryFolder } from "../support/programs";

let folder: ReturnType<typeof temporaryFolder>;
const path = process.env.PATH;
beforeEach(() => {
  folder = temporaryFolder();
  process.env.PATH = `${folder.path}:${path}`;
});
afterEach(() => {
  process.env.PATH = path;
  folder.remove();
});
const at = (file: string) => join(folder.path, file);
const asked = () => readFileSync(at("asked"), "utf8").trim().split("\n");
const site = { ssh: {} };
const quick = { pauseSeconds: 0.01, attempts: 3 };

test("a site that has all images is left alone", async () => {
  standInForDocker(folder.path, {});
  expect(await bringImages(site, ["telegraf:1"])).toBeUndefined();
  expect(asked()).toEqual(["version", "image inspect telegraf:1"]);
});

test("it pulls what it lacks, and goes on where a pull breaks off", async () => {
  standInForDocker(folder.path, {
    "image inspect grafana": "exit 0",
    "image inspect": "exit 1",
    pull: `[ -f ${at("once")} ] || { touch ${at("once")}; echo unexpected EOF >&2; exit 1; }`,
  });
  const images = ["telegraf:1", "grafana:2"];
  expect(await bringImages(site, images, quick)).toEqual({ images: 1 });
  expect(asked().filter((line) => line.startsWith("pull"))).toEqual([
    "pull -q telegraf:1",
    "pull -q telegraf:1",
  ]);
});

test("one that cannot be pulled is told in Docker's words", async () => {
  standInForDocker(folder.path, {
    "image inspect": "exit 1",
    pull: "echo manifest unknown >&2; exit 1",
  });
  await expect(bringImages(site, ["telegraf:1"], quick)).rejects.toThrow("manifest unknown");
});

describe("with a rate, from this machine", () => {
  const content = randomBytes(100_000);
  const part = `/var/tmp/bess-image-${createHash("sha256").update(content).digest("hex").slice(0, 24)}`;
  beforeEach(() => {
    writeFileSync(at("image"), content);
    standInForDocker(folder.path, {
      "version -f": "echo linux/arm64",
      "image inspect -f": "echo linux/arm64",
      "image inspect": "exit 1",
      save: `cp ${at("image")} "$3"`,
      load: `cp ${part} ${at("loaded")}`,
    });
  });
  const bring = ({ rate = 1e9, sends = true } = {}) =>
    bringImages(site, ["telegraf:1"], { ...quick, rate, sends, folder: folder.path });

  test("the image arrives whole, and nothing of it stays behind", async () => {
    expect(await bring()).toEqual({ images: 1, bytes: content.length });
    expect(readFileSync(at("loaded")).equals(content)).toBe(true);
    expect(existsSync(part)).toBe(false);
  });

  test("one with a digest is pulled all the same, for it would have none once loaded", async () => {
    const image = `telegraf:1@sha256:${"a".repeat(64)}`;
    const brought = await bringImages(site, [image], { ...quick, rate: 1e9, folder: folder.path });
    expect(brought).toEqual({ images: 1 });
    expect(asked().at(-1)).toBe(`pull -q ${image}`);
  });

  test("nothing is sent while another runner may send it too", async () => {
    expect(await bring({ sends: false })).toBeUndefined();
    expect(existsSync(at("loaded"))).toBe(false);
  });

  test("what had come before the link broke is not sent again", async () => {
    writeFileSync(part, content.subarray(0, 60_000));
    // The rest takes 0.4 s at this rate, and the whole would take 1 s.
    const start = performance.now();
    await bring({ rate: 100_000 });
    expect(performance.now() - start).toBeGreaterThan(200);
    expect(readFileSync(at("loaded")).equals(content)).toBe(true);
    expect(asked().filter((line) => line.startsWith("load"))).toHaveLength(1);
  });

  test("what came wrong is not loaded, but sent anew", async () => {
    writeFileSync(part, randomBytes(60_000));
    await bring();
    expect(readFileSync(at("loaded")).equals(content)).toBe(true);
    expect(asked().filter((line) => line.startsWith("load"))).toHaveLength(1);
  });
});

test("a throttle lets no more pass than its rate, whoever asks", async () => {
  let now = 0;
  const pauses: number[] = [];
  const throttle = new Throttle(
    1000,
    () => now,
    async (ms) => void pauses.push(ms),
  );
  await Promise.all([throttle.take(500), throttle.take(500), throttle.take(1000)]);
  expect(pauses).toEqual([500, 1000]);
  now = 5000;
  await throttle.take(500);
  expect(pauses).toEqual([500, 1000]);
});
