import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { keepingStackFile } from "../../automation";
import { temporaryFolder } from "../support/programs";

const folder = temporaryFolder();
afterAll(() => folder.remove());
const file = join(folder.path, "Pulumi.pi.yaml");
beforeEach(() => rmSync(file, { force: true }));

const written = "# My site.\nconfig:\n  a:b: { c: 1 }\n";
const reformatted = "config:\n  a:b:\n    c: 1\n";
const salt = "encryptionsalt: v1:x=:v1:y\n";

/** The file once Pulumi has written it in its own way. */
async function after(before: string | undefined, wrote: string | undefined, keys = true) {
  if (before !== undefined) writeFileSync(file, before);
  await keepingStackFile(
    "acme/bess/pi",
    keys,
    async () => (wrote === undefined ? undefined : writeFileSync(file, wrote)),
    folder.path,
  );
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

test.each([
  ["keeps its text where nothing is written", written, undefined, written],
  ["keeps its text where only the format changes", written, reformatted, written],
  ["gets Pulumi's own line", written, reformatted + salt, written + salt],
  ["gets it on a line of its own", written.trimEnd(), reformatted + salt, written + salt],
  [
    "gets it anew",
    `${salt}${written}`,
    `${reformatted}encryptionsalt: z\n`,
    `${written}encryptionsalt: z\n`,
  ],
  ["loses it where Pulumi took it away", written + salt, reformatted, written],
  ["stays as Pulumi has changed its config", written, "config:\n  a:b: 2\n", "config:\n  a:b: 2\n"],
  ["is made where there was none", undefined, salt, salt],
])("a stack's file %s", async (_, before, wrote, expected) => {
  expect(await after(before, wrote)).toBe(expected);
});

test.each([
  ["keeps its text", written, written],
  ["is not made", undefined, undefined],
])("at a preview it %s", async (_, before, expected) => {
  expect(await after(before, reformatted + salt, false)).toBe(expected);
});

test("it keeps its text where the work fails", async () => {
  writeFileSync(file, written);
  const failing = keepingStackFile(
    "pi",
    true,
    async () => {
      writeFileSync(file, reformatted);
      throw new Error("pulumi failed");
    },
    folder.path,
  );
  await expect(failing).rejects.toThrow("pulumi failed");
  expect(readFileSync(file, "utf8")).toBe(written);
});
