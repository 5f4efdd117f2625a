import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { temporaryFolder } from "../support/programs";

const folder = temporaryFolder();
afterAll(() => folder.remove());

test("a program that fails is told by its own stack, and by none that runs beside it", () => {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ["cli/bess.js", "../tests/support/beside", folder.path],
    { cwd: join(__dirname, "../.."), encoding: "utf8" },
  );
  expect(JSON.parse(stdout)).toEqual({
    bad: expect.stringContaining("the host of bad is refused"),
    good: "succeeded",
  });
  expect(stderr).toBe("");
}, 60_000);
