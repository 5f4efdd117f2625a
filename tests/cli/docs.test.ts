import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadModel } from "../../configs/model";
import { modelReference, outdated, pages } from "../../cli/docs";
import { temporaryFolder } from "../support/programs";

const rowOf = (path: string, key: string) =>
  pages()
    [path].split("\n")
    .find((line) => line.startsWith(`| \`${key}\` |`));

test("the committed pages are what the schemas and the model say; npm run docs renews them", () => {
  expect(outdated()).toEqual([]);
});

test("a page that was edited and one that is missing are named", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, "docs"));
  for (const [path, text] of Object.entries(pages())) writeFileSync(join(folder.path, path), text);
  expect(outdated(folder.path)).toEqual([]);
  writeFileSync(join(folder.path, "docs/telemetry.md"), "edited");
  rmSync(join(folder.path, "docs/configuration.md"));
  expect(outdated(folder.path)).toEqual(["docs/configuration.md", "docs/telemetry.md"]);
  folder.remove();
});

describe("a key's row tells what is allowed, its default and its meaning", () => {
  test.each([
    [
      "docs/configuration.md",
      "mqtt.port",
      "| `mqtt.port` | integer; 1 to 65535 | `1883` | Port of MQTT on the host. |",
    ],
    [
      "docs/configuration.md",
      "mqtt.tls.certificate",
      "| `mqtt.tls.certificate` | string; paste it in PEM form, from -----BEGIN to -----END | required |",
    ],
    ["docs/configuration.md", "profile", '| `profile` | `dev`, `pi`, `server` | `"dev"` |'],
    [
      "docs/configuration.md",
      "retention",
      "| `retention` | string; a duration such as 90d; keep at least 1h | none |",
    ],
    ["docs/configuration.md", "rotate", "| `rotate` | object of strings; its keys: `gateway`, "],
    [
      "docs/telemetry-model.md",
      "measurements[].tags",
      "| `measurements[].tags` | list; name at least one tag that tells the units apart; in each, give either path or segment | required |",
    ],
    [
      "docs/telemetry-model.md",
      "measurements[].tags[].segment",
      "| `measurements[].tags[].segment` | integer; 0 or more | none |",
    ],
    [
      "docs/telemetry-model.md",
      "measurements[].fields[].range",
      "| `measurements[].fields[].range` | [number, number]; the first must be less than the second | none |",
    ],
  ])("%s: %s", (path, key, start) => {
    expect(rowOf(path, key)?.slice(0, start.length)).toBe(start);
  });
});

describe("a model's reference", () => {
  test("tells how a payload's value is stored", () => {
    expect(modelReference(loadModel("configs/telemetry.yaml"))).toContain(
      "| `voltage` | `voltage` | × 0.001 → V | float | 650 to 850 | DC voltage at the terminals. |",
    );
  });

  test("names a tag's segment of the topic", () => {
    expect(modelReference(loadModel("configs/models/m5bat.yaml"))).toContain(
      "| `unit` | segment 1 of the topic, counted from 0 | Identifier of the battery unit. |",
    );
  });
});
