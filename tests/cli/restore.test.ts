import { siteToLookAt } from "../../cli/restore";
import { parseSite } from "../../configs/site";

test("a copy to look at sends to no hub, tells nobody, and is not backed up", () => {
  const site = parseSite({
    name: "kiel-1",
    profile: "pi",
    uplink: { url: "https://hub.lan:8427/api/v1/write", token: "token-of-kiel-1" },
    alerts: { contacts: { duty: { pagerduty: { key: "0123456789abcdef" } } } },
    backup: { to: "/mnt/usb", password: "a password of twelve" },
    simulator: { enabled: true },
  });
  const copy = parseSite(siteToLookAt(site, "kiel-1-old", 86_400));
  expect(copy).toMatchObject({ name: "kiel-1-old", profile: "pi", alerts: { contacts: {} } });
  expect([copy.uplink, copy.backup, copy.alerts.deadMan]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(copy.simulator.enabled).toBe(false);
});
