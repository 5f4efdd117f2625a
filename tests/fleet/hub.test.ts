import { sitesAtHub } from "../../fleet";
import { loadModel } from "../../configs/model";
import { siteMetrics } from "../../configs/uplink";
import { RunningHub } from "../support/hub";
import { importLine, simulatedSeries } from "../support/hub-fleet";

const model = loadModel("configs/telemetry.yaml");
const reader = "token-that-reads";
let hub: RunningHub;

/** Hands the hub's database some minutes of a site. @param ago how many minutes ago the last one was. */
async function fill(site: string, ago: number): Promise<void> {
  const last = Math.floor(Date.now() / 60_000 - ago) * 60;
  const lines = simulatedSeries(model, site).map((one) => {
    const isMute = one.labels.__name__ === siteMetrics.muteEnds && ago > 0;
    const value = isMute ? () => last + 7200 : one.value;
    return importLine({ ...one, value }, last, 3);
  });
  const answer = await fetch(`${hub.database.url}/api/v1/import`, {
    method: "POST",
    body: lines.join("\n"),
  });
  expect(answer.status).toBe(204);
}

beforeAll(async () => {
  hub = await RunningHub.start({ "kiel-1": "token-of-kiel-1" }, reader);
  await fill("kiel-1", 0);
  await fill("kiel-2", 20);
  await hub.database.flush();
});
afterAll(() => hub.remove());

const sites = ["kiel-1", "kiel-2", "kiel-3"].map((name) => ({ name, wave: "rest" }));
const access = (token: string) => ({ url: hub.url, token, ca: hub.certificate });

test("what the hub knows of each site of the inventory is read by its reader's token", async () => {
  const [first, second, third] = await sitesAtHub(sites, access(reader), [model]);
  expect(first).toEqual({
    site: "kiel-1",
    wave: "rest",
    age: expect.any(Number),
    alerts: 1,
    muted: false,
    soc: expect.any(Number),
    power: expect.any(Number),
    version: "0.2.0",
  });
  expect(first?.age).toBeLessThan(300);
  expect(second).toEqual({ site: "kiel-2", wave: "rest", age: expect.any(Number), muted: true });
  expect(second?.age).toBeGreaterThan(1190);
  expect(third).toEqual({ site: "kiel-3", wave: "rest", muted: false });
});

test("a site's own token reads nothing, and the error does not tell it", async () => {
  const reading = sitesAtHub(sites, access("token-of-kiel-1"), [model]);
  await expect(reading).rejects.toThrow(/answers 40[0-9]/);
  await expect(reading).rejects.not.toThrow(/token-of/);
});

test("a hub whose certificate is not known is not trusted", async () => {
  const reading = sitesAtHub(sites, { url: hub.url, token: reader }, [model]);
  await expect(reading).rejects.toThrow(/is not reached: self-signed certificate/);
});
