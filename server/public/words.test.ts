import assert from "node:assert/strict";
import { test } from "node:test";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { DONE, inWords, moment } from "./words.js";

test("each command that writes the audit has words", async (t) => {
  const { owner, drop } = await scratchDatabase();
  t.after(drop);
  const commands = await owner`select unnest(enum_range(null::coupon.audited_command))::text as name`;
  assert.deepEqual(Object.keys(DONE).sort(), commands.map(({ name }) => name).sort());
});

test("a moment has its year when that is not this one", () => {
  const now = new Date(2026, 11, 31, 12).getTime();
  const at = (year: number) => moment(new Date(year, 5, 1, 18, 30).toISOString(), now);
  // Versions of Node.js differ in their commas.
  const plain = [2025, 2026, 2027].map((year) => at(year).replaceAll(",", ""));
  assert.deepEqual(plain, ["Sun 1 Jun 2025 18:30", "Mon 1 Jun 18:30", "Tue 1 Jun 2027 18:30"]);
});

test("a duration: the two largest units, whole seconds, and never nothing", () => {
  for (const [total, words] of [
    [-1, "0 s"],
    [0, "0 s"],
    [0.001, "1 s"],
    [60, "1 min"],
    [3_661, "1 h 1 min"],
    [86_401, "1 d"],
  ] as const)
    assert.equal(inWords(total), words);
});
