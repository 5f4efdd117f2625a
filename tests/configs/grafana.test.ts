import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { callScript, inheritScript } from "../../configs/grafana";
import { freePort, temporaryFolder } from "../support/programs";

const folder = temporaryFolder();
const at = { marker: "", seed: "", password: "", port: 0 };
let server: Server;
let calls: { line: string; body: string; user: string }[];

/** What a Grafana of another stack holds; `mine` is a person's. */
const held: Record<string, unknown> = {
  "/api/v1/provisioning/contact-points": [
    { uid: "u1", name: "bess-duty", type: "webhook", settings: { url: "https://a/b?x={1}" } },
    { disableResolveMessage: false, name: "mine", settings: { addresses: "a@b.de" }, uid: "u2" },
    { uid: "u3", name: "bess-office", type: "email", settings: {} },
  ],
  "/api/v1/provisioning/mute-timings": [
    { name: "bess-always", time_intervals: [{ times: [{ start_time: "00:00" }] }] },
    { name: "holidays", time_intervals: [] },
  ],
  "/api/users/lookup?loginOrEmail=bess-reader": { id: 7, email: "", login: "bess-reader" },
};

beforeAll(async () => {
  at.marker = join(folder.path, ".stack");
  at.seed = join(folder.path, "seed");
  at.password = join(folder.path, "password");
  at.port = await freePort();
  writeFileSync(at.password, "s3cret");
  writeFileSync(at.seed, "this-stack");
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const encoded = request.headers.authorization?.replace("Basic ", "") ?? "";
    const user = Buffer.from(encoded, "base64").toString();
    calls.push({ line: `${request.method} ${request.url}`, body, user });
    response.end(JSON.stringify(held[request.url ?? ""] ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(at.port, "127.0.0.1", resolve));
});
afterAll(() => {
  server.close();
  folder.remove();
});
beforeEach(() => {
  calls = [];
});

/** Runs a script as `docker exec` does in Grafana's container. */
async function run(script: string): Promise<string> {
  const child = spawn("busybox", ["sh", "-s"], { stdio: ["pipe", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stdin.end(script);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  expect(code).toBe(0);
  return stdout;
}

describe("what a volume holds of a former stack", () => {
  const inherit = () => run(inheritScript(["source-1"], at));

  test("is left where the volume is new, or of a version that left no mark", async () => {
    await inherit();
    expect(calls).toEqual([]);
    expect(readFileSync(at.marker, "utf8")).toBe("this-stack");
  });

  test("is left where it is this stack's own", async () => {
    await inherit();
    expect(calls).toEqual([]);
  });

  test("goes where it is another's, and what a person made stays", async () => {
    writeFileSync(at.marker, "another-stack");
    await inherit();
    expect(calls.map(({ line }) => line)).toEqual([
      "DELETE /api/folders/bess-alerts?forceDeleteRules=true",
      "DELETE /api/v1/provisioning/policies",
      "GET /api/v1/provisioning/contact-points",
      "DELETE /api/v1/provisioning/contact-points/u1",
      "DELETE /api/v1/provisioning/contact-points/u3",
      "GET /api/v1/provisioning/mute-timings",
      "DELETE /api/v1/provisioning/mute-timings/bess-always",
      "DELETE /api/v1/provisioning/templates/bess",
      "GET /api/users/lookup?loginOrEmail=bess-reader",
      "DELETE /api/admin/users/7",
      "DELETE /api/folders/bess?forceDeleteRules=true",
      "DELETE /api/datasources/uid/source-1",
    ]);
    expect(new Set(calls.map(({ user }) => user))).toEqual(new Set(["admin:s3cret"]));
    expect(readFileSync(at.marker, "utf8")).toBe("this-stack");
    expect(existsSync(`${at.marker}.new`)).toBe(false);
  });
});

test("a call sends a body with any signs in it, as the admin, and tells the status", async () => {
  const body = { comment: 'fan\'s "filter" $HOME @file `x`' };
  const answer = await run(callScript("POST", "/api/annotations", body, at));
  expect(calls).toEqual([
    { line: "POST /api/annotations", body: JSON.stringify(body), user: "admin:s3cret" },
  ]);
  expect(answer.trimEnd().split("\n").at(-1)).toBe("200");
});
