import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { outdated, pages } from "../../cli/docs";
import { bess } from "../../cli/program";
import { temporaryFolder } from "../support/programs";

const program = bess();

const rowOf = (path: string, key: string) =>
  pages(program)
    [path]?.split("\n")
    .find((line) => line.startsWith(`| \`${key}\` |`));

test("the committed files are up to date; npx bess docs renews them", () => {
  expect(outdated(program)).toEqual([]);
});

test("a file that was edited and one that is missing are named", () => {
  const folder = temporaryFolder();
  for (const [path, text] of Object.entries(pages(program))) {
    mkdirSync(join(folder.path, dirname(path)), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  }
  expect(outdated(program, folder.path)).toEqual([]);
  writeFileSync(join(folder.path, "docs/telemetry.md"), "edited");
  rmSync(join(folder.path, "docs/schemas/stack.json"));
  expect(outdated(program, folder.path)).toEqual(["docs/telemetry.md", "docs/schemas/stack.json"]);
  folder.remove();
});

test.each([
  [
    "docs/configuration.md",
    "mqtt.port",
    "| integer; 1 to 65535 | `1883` | `1884` | TCP port of the host for MQTT. |",
  ],
  [
    "docs/configuration.md",
    "retention.raw",
    "| string; a duration such as 90d; keep from 1h to 36500d; unit: ms, s, m, h, d or w | none |",
  ],
  ["docs/configuration.md", "rotate", "| map of names to strings; allowed names: `gateway`, "],
  [
    "docs/telemetry-model.md",
    "measurements[].tags[].segment",
    "| integer or string | none | `1` |",
  ],
  ["docs/inventory.md", "sites.<name>.engine", "| string; unix:///path, ssh://user@host or "],
])("%s describes %s", (path, key, text) => expect(rowOf(path, key)).toContain(text));
