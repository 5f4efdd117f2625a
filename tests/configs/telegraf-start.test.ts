import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startScript, voltageConf } from "../../configs/telegraf";
import { program, temporaryFolder } from "../support/programs";

describe("a voltage of the host", () => {
  const folder = temporaryFolder();
  const at = (file: string) => join(folder.path, file);
  const files = { sensors: at("hwmon*/in*_lcrit_alarm"), voltage: at("voltage.conf") };
  afterAll(() => folder.remove());

  /** What the real Telegraf reads once, as its container's entrypoint starts it. */
  function read(): string {
    writeFileSync(at("telegraf.conf"), "[agent]\nomit_hostname = true\n[[inputs.mem]]\n");
    writeFileSync(files.voltage, voltageConf(files));
    writeFileSync(at("start.sh"), startScript(0, files));
    const { status, stdout, stderr } = spawnSync(
      "/bin/sh",
      [at("start.sh"), program("telegraf"), "--config", at("telegraf.conf"), "--test"],
      { encoding: "utf8", cwd: folder.path },
    );
    expect({ status, errors: stderr.match(/ E! .*/g) }).toEqual({ status: 0, errors: null });
    return stdout.replaceAll(folder.path, "");
  }

  test("is not asked for where no driver tells of one", () => {
    const told = read();
    expect(told).toContain("> mem ");
    expect(told).not.toContain("internal_voltage");
  });

  test("is told by sensor where a driver does", () => {
    for (const [sensor, value] of [
      ["hwmon1", 1],
      ["hwmon2", 0],
    ] as const) {
      mkdirSync(at(sensor));
      writeFileSync(at(`${sensor}/in0_lcrit_alarm`), `${value}\n`);
    }
    const told = read();
    expect(told).toContain("> internal_voltage,sensor=/hwmon1/in0_lcrit_alarm value=1i ");
    expect(told).toContain("> internal_voltage,sensor=/hwmon2/in0_lcrit_alarm value=0i ");
  });
});
