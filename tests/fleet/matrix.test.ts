import { splitIntoShards } from "../../fleet/matrix";

describe("shards", () => {
  const sites = Array.from({ length: 10 }, (_, i) => ({ name: `s${i}` }));
  test("hold each site once, in order", () =>
    expect(splitIntoShards(sites, 4).flatMap((shard) => shard.sites.split(","))).toEqual(
      sites.map(({ name }) => name),
    ));
  test("are even", () =>
    expect(
      splitIntoShards(sites, 4)
        .map((shard) => shard.sites.split(",").length)
        .sort(),
    ).toEqual([2, 2, 3, 3]));
  test("are no more than there are sites", () =>
    expect(splitIntoShards(sites.slice(0, 2), 4)).toEqual([
      { shard: 1, shards: 2, sites: "s0" },
      { shard: 2, shards: 2, sites: "s1" },
    ]));
});
