import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "postgres";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";

const { owner, admin, crowd } = await testDatabase();

const remove = (group_name: string, user_ids: number[]) =>
  rows(admin`select outcome, user_id::integer from remove_from_group(${group_name}, ${user_ids}::bigint[])`);

test("removed, not_member: a row each, in the order given", async () => {
  const [a, b, c] = (await crowd(3)) as [number, number, number];
  for (const name of ["vip", "other"]) await admin`select from add_to_group(${name}, ${[a, b]}::bigint[])`;
  assert.deepEqual(await remove("vip", [c, b, 999_999]), [
    ["not_member", c],
    ["removed", b],
    ["not_member", 999_999],
  ]);
  assert.deepEqual(await remove("vip", [b]), [["not_member", b]]);
  assert.deepEqual(await remove("none", [a]), [["not_member", a]]);
  assert.deepEqual(await remove("vip", []), []);
  assert.deepEqual(
    await rows(owner`select group_name, user_id::integer from coupon.group_members order by 1, 2`),
    [
      ["other", a],
      ["other", b],
      ["vip", a],
    ],
  );
});

test("the audit tells how many, and nothing of a replay", async () => {
  const [a] = (await crowd(1)) as [number];
  await admin`select from add_to_group('audited', ${[a]}::bigint[])`;
  for (let i = 0; i < 2; i++)
    await admin`select from remove_from_group('audited', ${[a]}::bigint[], 'gone', 'admin:ops')`;
  const audit = owner`
    select actor, reason, user_id, coupon_id, new_values from coupon.audit where command = 'remove_from_group'
      and new_values->>'group_name' = 'audited'`;
  assert.deepEqual(await rows(audit), [
    ["admin:ops", "gone", null, null, { group_name: "audited", removed: 1 }],
  ]);
});

test("refuses bad arguments", async () => {
  const call = (name: string, ids: string) =>
    admin.unsafe<Row[]>(`select from remove_from_group(${name}, ${ids})`);
  await refusesArgument(call("null", "'{1}'"), "group_name", "22004");
  await refusesArgument(call("'vip'", "null"), "user_ids", "22004");
  await refusesArgument(call("'v i p'", "'{1}'"), "group_name", "22023");
  for (const ids of ["'{{1},{2}}'", "'{1,null}'", "'{0}'", "'{1,2,1}'"])
    await refusesArgument(call("'vip'", ids), "user_ids", "22023");
});
