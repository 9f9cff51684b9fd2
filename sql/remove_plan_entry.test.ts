import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin } = await testDatabase();

const remove = (weekday: number | null, slot: number | null) =>
  admin`select outcome from remove_plan_entry(${weekday}, ${slot}, 'holiday', 'admin:ann')`;

test("removed: the entry, with what it was in the audit; then not_planned", async () => {
  await admin`
    select from set_plan_entry(3, 2, 'A-{date}', 'm', 'd', '10:00', '11:00', 5) a,
      set_plan_entry(3, 1, 'B-{date}', 'm', '', '9:00', '11:00', 6) b`;
  assert.equal(await value(remove(3, 2)), "removed");
  assert.deepEqual(await rows(admin`select slot, code_pattern from list_plan()`), [[1, "B-{date}"]]);
  assert.equal(await value(remove(3, 2)), "not_planned");
  const audit = await rows(admin`
    select command, old_values->>'code_pattern', new_values, reason, actor from audit_trail(page_size => 1)`);
  assert.deepEqual(audit, [["remove_plan_entry", "A-{date}", null, "holiday", "admin:ann"]]);
  assert.equal(
    await value(owner`select count(*)::integer from coupon.audit where command = 'remove_plan_entry'`),
    1,
  );
});

test("the audit takes no removal of what is there", () =>
  assert.rejects(
    owner`insert into coupon.audit (command, old_values)
      select 'remove_plan_entry', to_jsonb(p) from coupon.plan p where (p.weekday, p.slot) = (3, 1)`,
    { constraint_name: "audit_tells_what_is" },
  ));

test("arguments that no entry has", async () => {
  await refusesArgument(remove(null, 1), "weekday", "22004");
  await refusesArgument(remove(1, null), "slot", "22004");
  await refusesArgument(remove(8, 1), "weekday", "22023");
  await refusesArgument(remove(1, 4), "slot", "22023");
});
