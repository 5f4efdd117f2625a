import { readFileSync } from "node:fs";
import { images } from "../configs/images";

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
