import { readFileSync } from "node:fs";
import { images } from "../configs/images";

const linter = require("../.dependency-cruiser.js") as {
  forbidden: { name: string; comment?: string }[];
};
const rooms = linter.forbidden.flatMap(({ name, comment = "" }) =>
  name.endsWith("-imports") ? [{ room: name.replace("-imports", ""), comment }] : [],
);

const renovate = JSON.parse(readFileSync("renovate.json", "utf8")) as {
  customManagers: { managerFilePatterns: string[]; matchStrings: string[] }[];
};

test("Renovate finds the image of every service, with its tag", () => {
  const found = renovate.customManagers.flatMap(({ managerFilePatterns, matchStrings }) => {
    expect(managerFilePatterns).toEqual([String.raw`/^configs\/images\.ts$/`]);
    const text = readFileSync("configs/images.ts", "utf8");
    return matchStrings.flatMap((pattern) =>
      [...text.matchAll(new RegExp(pattern, "g"))].map(
        ({ groups }) => `${groups?.depName}:${groups?.currentValue}`,
      ),
    );
  });
  expect(found).toEqual(Object.values(images));
});

describe("CONTRIBUTING.md says what the linter lets each room import", () => {
  const rows = readFileSync("CONTRIBUTING.md", "utf8").split("\n");

  test.each(rooms)("$room", ({ room, comment }) => {
    const [, list = ""] = /may import (.*)\.$/.exec(comment) ?? [];
    const allowed = list === "no other room" ? [] : list.split(", ");
    const cell =
      rows
        .find((row) => row.startsWith(`| \`${room}/\` |`))
        ?.split(" | ")
        .at(-1) ?? "";
    expect([...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name)).toEqual(allowed);
  });
});
