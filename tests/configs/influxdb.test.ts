import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import {
  createTokenScript,
  queryScript,
  revokeTokenScript,
  schema,
  schemaScript,
} from "../../configs/influxdb";
import { loadModel } from "../../configs/model";
import { retentionOf } from "../../configs/retention";
import { freePort, temporaryFolder } from "../support/programs";

const folder = temporaryFolder();
const at = (file: string) => join(folder.path, file);
const api = { adminToken: at("admin-token"), port: 0 };

/** What InfluxDB's API was asked, and what it answers: by method and path, else 200. */
let requests: { line: string; body: string; authorization: string | undefined }[];
let answers: Record<string, [status: number, body: string][]>;
let server: Server;

beforeAll(async () => {
  writeFileSync(api.adminToken, '{"token":"apiv3_admin","name":"_admin"}');
  api.port = await freePort();
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    const line = `${request.method} ${request.url}`;
    requests.push({ line, body, authorization: request.headers.authorization });
    const [status, text] = answers[line]?.shift() ?? [200, ""];
    response.writeHead(status).end(text);
  });
  await new Promise<void>((resolve) => server.listen(api.port, "127.0.0.1", resolve));
});
afterAll(() => {
  server.close();
  folder.remove();
});
beforeEach(() => {
  requests = [];
  answers = {};
});

/** Runs a script as `docker exec` does in InfluxDB's container. */
async function run(
  script: string,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn("bash", ["-s"], { env: { ...process.env, TOKEN_NAME: "grafana-ab12" } });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  child.stdin.end(script);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, stdout, stderr };
}

const lines = () => requests.map(({ line }) => line);

describe("the databases and tables", () => {
  const wanted = schema(loadModel("configs/telemetry.yaml"), retentionOf({ profile: "pi" }));
  const databases = "/api/v3/configure/database";
  const tables = "/api/v3/configure/table";

  test("are made as they are declared, with the admin token", async () => {
    expect(await run(schemaScript(wanted, api))).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(requests.map(({ body }) => JSON.parse(body))).toEqual([
      ...wanted.databases,
      ...wanted.tables,
    ]);
    expect(new Set(requests.map(({ authorization }) => authorization))).toEqual(
      new Set(["Bearer apiv3_admin"]),
    );
  });

  test("that are there stay, and a database takes the new retention", async () => {
    answers = { [`POST ${databases}`]: [[409, ""]], [`POST ${tables}`]: [[409, ""]] };
    expect(await run(schemaScript(wanted, api))).toMatchObject({ code: 0, stderr: "" });
    expect(lines().slice(0, 3)).toEqual([
      `POST ${databases}`,
      `PUT ${databases}`,
      `POST ${databases}`,
    ]);
  });

  test.each([
    [`POST ${databases}`, "InfluxDB refused database bess with 400: no such period\n"],
    [`POST ${tables}`, "InfluxDB refused table bess with 400: no such period\n"],
  ])("that are refused at %s end the script with InfluxDB's answer", async (line, stderr) => {
    answers = { [line]: [[400, "no such period"]] };
    expect(await run(schemaScript(wanted, api))).toEqual({ code: 1, stdout: "", stderr });
  });
});

describe("a token", () => {
  const create = "POST /api/v3/configure/token/named_admin";
  const revoke = "DELETE /api/v3/configure/token?token_name=grafana-ab12";
  const made: [number, string] = [201, '{"id":1,"token":"apiv3_new","name":"grafana-ab12"}'];

  test("is made, and printed alone", async () => {
    answers = { [create]: [made] };
    expect(await run(createTokenScript(api))).toEqual({
      code: 0,
      stdout: "apiv3_new",
      stderr: "",
    });
    expect(requests.map(({ body }) => body)).toEqual(['{"token_name":"grafana-ab12"}']);
  });

  test("that an interrupted update made, and nobody holds, is made again", async () => {
    answers = { [create]: [[409, ""], made] };
    expect(await run(createTokenScript(api))).toMatchObject({ code: 0, stdout: "apiv3_new" });
    expect(lines()).toEqual([create, revoke, create]);
  });

  test("that is refused ends the script", async () => {
    answers = { [create]: [[401, "no"]] };
    expect(await run(createTokenScript(api))).toEqual({
      code: 1,
      stdout: "",
      stderr: "InfluxDB refused token grafana-ab12 with 401: no\n",
    });
  });

  test.each([
    [200, 0],
    [404, 0],
    [500, 1],
  ])("is revoked; with the answer %d, the script ends with %d", async (status, code) => {
    answers = { [revoke]: [[status, ""]] };
    expect(await run(revokeTokenScript(api))).toMatchObject({ code, stdout: "" });
    expect(lines()).toEqual([revoke]);
  });
});

describe("a query", () => {
  const query = "POST /api/v3/query_sql";
  const sql = `SELECT "a" FROM t WHERE b = 'it''s'`;

  test("is asked as it is written, and its answer printed", async () => {
    answers = { [query]: [[200, '[{"a":1}]']] };
    expect(await run(queryScript("pipeline", sql, api))).toEqual({
      code: 0,
      stdout: '[{"a":1}]\n',
      stderr: "",
    });
    expect(JSON.parse(requests[0]?.body ?? "")).toEqual({ db: "pipeline", q: sql });
  });

  test("that is refused ends the script", async () => {
    answers = { [query]: [[500, "table\nnot found"]] };
    expect(await run(queryScript("pipeline", sql, api))).toEqual({
      code: 1,
      stdout: "",
      stderr: "InfluxDB refused the query with 500: table not found\n",
    });
  });
});
