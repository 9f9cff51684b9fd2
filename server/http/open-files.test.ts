import assert from "node:assert/strict";
import { test } from "node:test";
import { connectionsFor } from "./open-files.ts";

const limits = (
  files: number | string,
) => `Limit                     Soft Limit           Hard Limit           Units
Max processes             96458                96458                processes
Max open files            ${`${files}`.padEnd(20)} 1048576              files
`;

for (const [files, connections] of [
  [1_048_576, 20_000],
  [20_200, 20_000],
  [20_000, 19_800],
  [1_024, 824],
  [256, 128],
  ["unlimited", 20_000],
] as const)
  test(`${files} open files: ${connections} connections`, () =>
    assert.equal(connectionsFor(20_000, limits(files)), connections));

test("where nothing says how many: all", () => assert.equal(connectionsFor(20_000, ""), 20_000));

test("here it is known", { skip: process.platform !== "linux" && "needs Linux" }, () => {
  assert.ok(connectionsFor(Number.POSITIVE_INFINITY) > 0);
});
