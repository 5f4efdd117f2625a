import { outdated, pages } from "../../tools/docs";

test("the generated pages are what the schemas and the model say; npm run docs renews them", () => {
  expect(outdated()).toEqual([]);
});

test("a key's default, allowed values and meaning stand in its row", () => {
  expect(pages()["docs/configuration.md"]).toMatch(/\| `mqtt\.port` \| integer \| `1883` \| Port of MQTT on the host\. \|/);
  expect(pages()["docs/configuration.md"]).toMatch(/\| `profile` \| `dev`, `pi`, `server` \| `"dev"` \|/);
});
