import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { bess } from "../cli/program";
import { hubImages, images } from "../configs/images";

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
  // Services may share one.
  expect(new Set(found)).toEqual(new Set(Object.values({ ...images, ...hubImages })));
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
    expect([...cell.matchAll(/`([\w/]+)`/g)].map(([, name]) => name)).toEqual(allowed);
  });
});

const inDocs = ["docs", "docs/decisions"].flatMap((folder) =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".md"))
    .map((file) => join(folder, file)),
);
const pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...inDocs];

test.each(inDocs)("a reader finds %s by a link of another page", (page) => {
  const targets = pages
    .filter((other) => other !== page)
    .flatMap((other) =>
      [...readFileSync(other, "utf8").matchAll(/\]\(([^)#:]+)/g)].map(([, target = ""]) =>
        join(dirname(other), target),
      ),
    );
  expect(targets).toContain(page);
});

// A generated page is made from the commands themselves.
const written = pages.filter((page) => !readFileSync(page, "utf8").startsWith("<!-- Generated"));

/** Every command line that a page shows, without its comment. */
const commandLines = written.flatMap((page) =>
  [...readFileSync(page, "utf8").matchAll(/(?<=npx )bess [^\n`#]+/g)].map(([line]) => ({
    page,
    line: line.trim(),
  })),
);

describe("a command that a page shows is one, with options that it has", () => {
  test("and there are many", () => expect(commandLines.length).toBeGreaterThan(30));

  test.each(commandLines)("$page: $line", ({ line }) => {
    const [, ...words] = line.split(/\s+/);
    const program = bess();
    const commands = program.commands.map((command) => command.name());
    expect(commands.concat("--help")).toContain(words[0]);
    let command: Command = program;
    for (const word of words.filter((part) => !part.startsWith("-")))
      command = command.commands.find((sub) => sub.name() === word) ?? command;
    const options = command.options.map(({ long }) => long).concat("--help");
    const shown = words.filter((word) => word.startsWith("--")).map((word) => word.split("=")[0]);
    expect(options).toEqual(expect.arrayContaining(shown));
  });
});

const { longest } = require("./sequencer") as { longest: string[] };

test.each(longest)("Jest finds tests/%s.test.ts, to begin with it", (name) => {
  expect(existsSync(`tests/${name}.test.ts`)).toBe(true);
});
