import assert from "node:assert/strict";
import { test } from "node:test";
import { type Mark, type Place, unfit } from "./standby.ts";

const primary: Mark = {
  at: 1_000,
  until: 1_010,
  lsn: 500,
  clock: 70_000,
  system: "7",
  database: "d",
  timeline: 2,
};
const standby: Place = { ...primary, at: 1_200, until: 1_210, clock: 70_200, is_standby: "true" };

for (const [what, differs, reason] of [
  ["as far as the primary was", {}, undefined],
  ["further", { lsn: 501 }, undefined],
  ["a byte behind", { lsn: 499 }, "behind"],
  ["another system", { system: "8" }, "other_database"],
  ["another database", { database: "e" }, "other_database"],
  ["promoted", { is_standby: "false", lsn: 501 }, "no_standby"],
  ["it has replayed nothing", { lsn: null }, "no_standby"],
  ["further on another timeline", { timeline: 1, lsn: 900 }, "timeline"],
  ["a clock that may be right, for all that is known", { clock: 70_310 }, undefined],
  ["a clock that is ahead", { clock: 70_311 }, "clock"],
  ["a clock that is behind", { clock: 70_089 }, "clock"],
  ["a slow answer says less about the clock", { until: 1_300, clock: 70_400 }, undefined],
] as const)
  test(`a standby: ${what}`, () => assert.equal(unfit({ ...standby, ...differs }, primary), reason));
