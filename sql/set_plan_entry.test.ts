import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin } = await testDatabase();

const LUNCH = {
  ...{ weekday: 1, slot: 1, code_pattern: "LUNCH-{date}", message: "Free lunch", description: "One soup" },
  ...{ local_start: "11:00", local_expiry: "14:30", count: 25, expiry_days: 0, metadata: `{"a": 1}` },
};
type Entry = { [K in keyof typeof LUNCH]: (typeof LUNCH)[K] | null };

const set = (other: Partial<Entry> = {}) => {
  const e: Entry = { ...LUNCH, ...other };
  return admin`
    select outcome, taken_by_slot from set_plan_entry(
      ${e.weekday}, ${e.slot}, ${e.code_pattern}, ${e.message}, ${e.description}, ${e.local_start}::text::time,
      ${e.local_expiry}::text::time, ${e.count}, ${e.expiry_days}, ${e.metadata}::text::jsonb, 'asked', 'admin:ann')`;
};
const plan = () => rows(admin`select * from list_plan()`);

test("planned: a new entry, then another one in its place; the audit has both", async () => {
  assert.deepEqual(await rows(set()), [["planned", null]]);
  assert.deepEqual(await plan(), [
    [1, 1, "LUNCH-{date}", "Free lunch", "One soup", "11:00:00", "14:30:00", 0, 25, { a: 1 }],
  ]);
  assert.equal(await value(set({ count: 30, local_expiry: "11:00", expiry_days: 1 })), "planned");
  assert.deepEqual(await plan(), [
    [1, 1, "LUNCH-{date}", "Free lunch", "One soup", "11:00:00", "11:00:00", 1, 30, { a: 1 }],
  ]);
  const audit = await rows(admin`
    select command, coupon_id, old_values->>'count', new_values->>'count', reason, actor from audit_trail()`);
  assert.deepEqual(audit, [
    ["set_plan_entry", null, "25", "30", "asked", "admin:ann"],
    ["set_plan_entry", null, null, "25", "asked", "admin:ann"],
  ]);
});

test("unchanged: the same again writes nothing", async () => {
  await rows(set());
  const before = await value(owner`select count(*) from coupon.audit`);
  assert.deepEqual(await rows(set({ metadata: `{"a": 1.0}` })), [["unchanged", null]]);
  assert.equal(await value(owner`select count(*) from coupon.audit`), before);
});

test("planned, with a warning: on a usual day it can be had for less than a minute", async () => {
  const warned = async (local_expiry: string, expiry_days = 0) =>
    rows(admin`
      select outcome, warning from set_plan_entry(6, 1, 'W-{date}', 'm', '', '23:59:01', ${local_expiry}::text::time, 5, ${expiry_days})`);
  assert.deepEqual(await warned("23:59:02"), [["planned", "short_lived"]]);
  assert.deepEqual(await warned("23:59:59.999999"), [["planned", "short_lived"]]);
  assert.deepEqual(await warned("00:00:00.999999", 1), [["planned", "short_lived"]]);
  // As of a coupon that was made already, it was said when it was done.
  assert.deepEqual(await warned("00:00:00.999999", 1), [["unchanged", null]]);
  assert.deepEqual(await warned("00:00:01", 1), [["planned", null]]);
  assert.deepEqual(await warned("23:59:01", 1), [["planned", null]]);
  await admin`select from remove_plan_entry(6, 1)`;
});

test("metadata that is not given stays, and is empty at first", async () => {
  const metadata = async () =>
    value(admin`select metadata::text from list_plan() where (weekday, slot) = (4, 1)`);
  await rows(set({ weekday: 4, metadata: null }));
  assert.equal(await metadata(), "{}");
  await rows(set({ weekday: 4, metadata: `{"a": 12345678901234567890}` }));
  assert.equal(await value(set({ weekday: 4, metadata: null })), "unchanged");
  assert.equal(await value(set({ weekday: 4, metadata: null, count: 3 })), "planned");
  assert.equal(await metadata(), `{"a": 12345678901234567890}`);
  await admin`select from remove_plan_entry(4, 1)`;
});

test("code_taken, start_time_taken, count_taken: by which entry of that weekday, in this order", async () => {
  await rows(set());
  const other = { slot: 3, code_pattern: "DINNER-{date}", local_start: "13:00", count: 26 };
  assert.deepEqual(await rows(set({ slot: 3 })), [["code_taken", 1]]);
  assert.deepEqual(await rows(set({ ...other, code_pattern: "lunch-{date}" })), [["code_taken", 1]]);
  assert.deepEqual(await rows(set({ ...other, local_start: "11:00", count: 25 })), [["start_time_taken", 1]]);
  assert.deepEqual(await rows(set({ ...other, count: 25 })), [["count_taken", 1]]);
  assert.deepEqual(await rows(set({ weekday: 2 })), [["planned", null]]);
  assert.deepEqual(await rows(set(other)), [["planned", null]]);
  assert.deepEqual(
    (await plan()).map((row) => row.slice(0, 2)),
    [
      [1, 1],
      [1, 3],
      [2, 1],
    ],
  );
});

test("one pattern for a whole weekday: its {slot} makes other codes of it", async () => {
  const nth = (slot: number) =>
    set({ weekday: 3, slot, code_pattern: "L{slot}-{date}", local_start: `1${slot}:00`, count: slot });
  for (const slot of [1, 2, 3]) assert.deepEqual(await rows(nth(slot)), [["planned", null]]);
  const same = { weekday: 3, slot: 3, local_start: "10:00", count: 9 };
  assert.deepEqual(await rows(set({ ...same, code_pattern: "l1-{date}" })), [["code_taken", 1]]);
  assert.deepEqual(await rows(set({ ...same, code_pattern: "l{slot}-{date}" })), [["planned", null]]);
});

test("what no entry can have is refused by its name, here and by a constraint", async () => {
  const parts = "-".repeat(64 - 8);
  assert.equal(await value(set({ weekday: 7, code_pattern: `{date}${parts}` })), "planned");
  assert.equal(
    await value(set({ weekday: 7, code_pattern: "{year}_{month}_{day}_{weekday}_{slot}" })),
    "planned",
  );
  const wrong: [keyof Entry, Partial<Entry>][] = [
    ["weekday", { weekday: 0 }],
    ["weekday", { weekday: 8 }],
    ["slot", { slot: 0 }],
    ["slot", { slot: 4 }],
    ["code_pattern", { code_pattern: "LUNCH" }],
    ["code_pattern", { code_pattern: "LUNCH-{weekday}" }],
    ["code_pattern", { code_pattern: "LUNCH-{day}{month}" }],
    ["code_pattern", { code_pattern: "LUNCH-{date" }],
    ["code_pattern", { code_pattern: "LUNCH-{date}}" }],
    ["code_pattern", { code_pattern: "LUNCH-{Date}" }],
    ["code_pattern", { code_pattern: "LUNCH-{date}{hour}" }],
    ["code_pattern", { code_pattern: "LUNCH {date}" }],
    ["code_pattern", { code_pattern: "MITTAGSMENÜ-{date}" }],
    ["code_pattern", { code_pattern: "{date}\n" }],
    ["code_pattern", { code_pattern: "" }],
    ["code_pattern", { code_pattern: `{date}${parts}-` }],
    ["message", { message: "" }],
    ["message", { message: "a".repeat(201) }],
    ["description", { description: "a".repeat(2001) }],
    ["local_start", { local_start: "24:00" }],
    ["local_expiry", { local_expiry: "24:00" }],
    ["local_expiry", { local_expiry: "11:00" }],
    ["expiry_days", { expiry_days: -1 }],
    ["expiry_days", { expiry_days: 366 }],
    ["count", { count: 0 }],
    ["count", { count: 100_000_001 }],
    ["metadata", { metadata: "[]" }],
    ["metadata", { metadata: `{"a": "${"x".repeat(4096)}"}` }],
    ["metadata", { metadata: `{"a": {"b": {"c": {"d": {"e": {}}}}}}` }],
  ];
  for (const [name, other] of wrong) {
    await refusesArgument(set(other), name, "22023");
    const e: Entry = { ...LUNCH, weekday: 5, slot: 2, ...other };
    await assert.rejects(
      owner`insert into coupon.plan values (
        ${e.weekday}, ${e.slot}, ${e.code_pattern}, ${e.message}, ${e.description}, ${e.local_start}::text::time,
        ${e.local_expiry}::text::time, ${e.expiry_days}, ${e.count}, ${e.metadata}::text::jsonb)`,
      { code: "23514" },
      JSON.stringify(other),
    );
  }
  for (const name of Object.keys(LUNCH) as (keyof Entry)[])
    if (name !== "metadata") await refusesArgument(set({ [name]: null }), name, "22004");
});

test("entries of a weekday differ, also by hand", async () => {
  await rows(set());
  for (const [constraint, other] of [
    ["plan_one_per_code", "replace(p.code_pattern, 'LUNCH', 'lunch'), time '10:00', 1"],
    ["plan_one_per_start", "'X-{date}', p.local_start, 1"],
    ["plan_one_per_count", "'X-{date}', time '10:00', p.count"],
    ["plan_pkey", "'X-{date}', time '10:00', 1"],
  ])
    await assert.rejects(
      owner.unsafe(`
        insert into coupon.plan (weekday, slot, code_pattern, local_start, count, message, description, local_expiry,
          expiry_days, metadata)
        select p.weekday, ${constraint === "plan_pkey" ? 1 : 2}, ${other}, 'm', '', time '20:00', 0, '{}'
        from coupon.plan p where (p.weekday, p.slot) = (1, 1)`),
      { code: "23505", constraint_name: constraint },
    );
});

test("a column that was dropped and added again stands elsewhere in its table", async () => {
  await owner`delete from coupon.plan`;
  await owner`alter table coupon.plan drop column description, add column description text not null`;
  assert.deepEqual(await rows(set()), [["planned", null]]);
  assert.deepEqual(await plan(), [
    [1, 1, "LUNCH-{date}", "Free lunch", "One soup", "11:00:00", "14:30:00", 0, 25, { a: 1 }],
  ]);
  assert.deepEqual(await rows(set()), [["unchanged", null]]);
});
