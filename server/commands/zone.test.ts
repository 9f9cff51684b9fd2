import assert from "node:assert/strict";
import { after, test } from "node:test";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { describeZone } from "./zone.ts";

const { owner, drop } = await scratchDatabase();
after(drop);

const NODE = `tzdata ${process.versions["tz"]} of Node.js`;
const NEW_YEAR = new Date("2025-01-01T12:00:00Z");

for (const zone of ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Etc/GMT-14"])
  test(`the same rules: ${zone}`, async () => {
    assert.equal(
      await describeZone(owner, zone, NEW_YEAR),
      `${zone}, by PostgreSQL's rules, which are those of ${NODE} for two years`,
    );
  });

test("other rules: the first day that differs", async () => {
  assert.equal(
    await describeZone(owner, "America/Winnipeg", NEW_YEAR, "America/Regina"),
    `America/Winnipeg, by PostgreSQL's rules: UTC-05:00 on 2025-03-10, where ${NODE} says UTC-06:00. One of them is out of date`,
  );
});

test("a zone that one of them does not know", async () => {
  assert.equal(
    await describeZone(owner, "Gone/Zone"),
    "Gone/Zone, which PostgreSQL does not know: call set_time_zone()",
  );
  assert.equal(
    await describeZone(owner, "UTC", NEW_YEAR, "Gone/Zone"),
    `UTC, by PostgreSQL's rules; ${NODE} does not know it`,
  );
});
