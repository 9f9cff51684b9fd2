import assert from "node:assert/strict";
import { test } from "node:test";
import { retryAfterOf } from "./retry-after.ts";

const NOW = Date.UTC(2026, 10, 30, 1, 0, 0);

for (const [given, seconds] of [
  [null, null],
  ["", null],
  ["soon", null],
  ["0", 0],
  ["7", 7],
  ["1.5", 2],
  ["7, 3", 7],
  ["99999999", 86_400],
  ["Mon, 30 Nov 2026 01:00:07 GMT", 7],
  ["Monday, 30-Nov-26 01:00:07 GMT", 7],
  ["Mon Nov 30 01:00:07 2026", 7],
  ["Mon, 30 Nov 2026 00:00:00 GMT", 0],
] as const)
  test(`Retry-After: ${given}`, (t) => {
    const zone = process.env["TZ"];
    t.after(() => {
      if (zone === undefined) delete process.env["TZ"];
      else process.env["TZ"] = zone;
    });
    for (const TZ of ["UTC", "Asia/Seoul", "America/New_York"]) {
      process.env["TZ"] = TZ;
      assert.equal(retryAfterOf(given, NOW), seconds, TZ);
    }
  });
