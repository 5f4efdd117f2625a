import { Checkout } from "../support/checkout";

// Every step is a rollout on simulated sites, with a commit of its own.
jest.setTimeout(300_000);

const checkout = new Checkout();
afterAll(() => checkout.remove());

const up = () =>
  checkout.bess("fleet", "up", "--rehearse", "--yes", "--soak", "0", "--site", "aachen-2");

/** Commits a change of the inventory. */
function commit(from: string, to: string): void {
  checkout.change("fleet/fleet.yaml", from, to);
  checkout.git("commit", "-q", "-a", "-m", "change");
}

test("a rollout that loses data needs a confirmation, which is used up by it", async () => {
  expect((await up()).code).toBe(0);

  const engine = "engine: ssh://bess@aachen-2.example\n";
  commit(engine, `${engine}    retention: 10d\n`);
  const refused = await up();
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(
    "the policy is refused:\n  - aachen-2: retention 90d -> 10d: Rows older than `10d` are lost",
  );
  const line = '- { sites: [aachen-2], change: "retention 90d -> 10d" }';
  expect(refused.stderr).toContain(line);

  commit("\nwaves:", `\nconfirm:\n  ${line}\n\nwaves:`);
  expect(await up()).toMatchObject({ code: 0, stdout: expect.stringContaining("1 verified") });
  // The same commit again, as for a site that was not reached.
  expect((await up()).code).toBe(0);

  commit("retention: 10d", "retention: 20d");
  expect(await up()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(
      "confirm[0] is for retention 90d -> 10d, which none of its sites has before it: remove it",
    ),
  });
  commit(`confirm:\n  ${line}\n`, "");
  expect((await up()).code).toBe(0);
});
