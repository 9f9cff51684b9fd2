import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "postgres";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";

const { owner, admin, crowd, user, watch } = await testDatabase();

const add = (group_name: string, user_ids: number[]) =>
  rows(admin`select outcome, user_id::integer from add_to_group(${group_name}, ${user_ids}::bigint[])`);
const members = (group_name: string) =>
  rows(
    owner`select user_id::integer from coupon.group_members where group_name = ${group_name} order by user_id`,
  );

test("added, already_member, user_not_found: a row each, in the order given", async () => {
  const [a, b, c] = (await crowd(3)) as [number, number, number];
  assert.deepEqual(await add("vip", [b, a]), [
    ["added", b],
    ["added", a],
  ]);
  assert.deepEqual(await add("vip", [c, 999_999, b]), [
    ["added", c],
    ["user_not_found", 999_999],
    ["already_member", b],
  ]);
  assert.deepEqual(await members("vip"), [[a], [b], [c]]);
  assert.deepEqual(await add("VIP", [a]), [["added", a]], "another group");
  assert.deepEqual(await add("vip", []), []);
});

test("the audit tells how many, and nobody's number; nothing for a replay", async () => {
  const [a, b] = (await crowd(2)) as [number, number];
  await admin`select from add_to_group('audited', ${[a, b, 999_999]}::bigint[], 'loyal guests', 'admin:ops')`;
  await add("audited", [a, b]);
  const audit = owner`
    select actor, reason, user_id, coupon_id, new_values from coupon.audit
    where command = 'add_to_group' and new_values->>'group_name' = 'audited'`;
  assert.deepEqual(await rows(audit), [
    ["admin:ops", "loyal guests", null, null, { group_name: "audited", added: 2 }],
  ]);
});

test("who is forgotten is in no group, and comes into none", async () => {
  const [ann, ben] = [await user(), await user()];
  await add("vip2", [ann, ben]);
  assert.equal(await value(admin`select outcome from forget_user(${ann})`), "forgotten");
  assert.deepEqual(await members("vip2"), [[ben]]);
  assert.deepEqual(await add("vip2", [ann]), [["user_not_found", ann]]);
  assert.equal(
    await value(owner`
      select count(*)::integer from coupon.audit where coalesce(old_values, '{}') || coalesce(new_values, '{}') ? ${`${ann}`}`),
    0,
  );
});

test("forget_user and add_to_group: whoever comes second waits, and no member is left without its user", async () => {
  const [ann, ben] = [await user(), await user()];
  const late = await owner.begin(async (sql) => {
    await sql`select from forget_user(${ann})`;
    const answer = add("vip3", [ann, ben]);
    await waiting(watch);
    return { answer };
  });
  assert.deepEqual(await late.answer, [
    ["user_not_found", ann],
    ["added", ben],
  ]);
});

test("refuses bad arguments", async () => {
  const call = (name: string, ids: string) =>
    admin.unsafe<Row[]>(`select from add_to_group(${name}, ${ids})`);
  await refusesArgument(call("null", "'{1}'"), "group_name", "22004");
  await refusesArgument(call("'vip'", "null"), "user_ids", "22004");
  for (const name of ["''", "'v i p'", "repeat('a', 65)"])
    await refusesArgument(call(name, "'{1}'"), "group_name", "22023");
  for (const ids of [
    "'{{1},{2}}'",
    "'{1,null}'",
    "'{0}'",
    "'{9007199254740992}'",
    "'{1,2,1}'",
    "array(select generate_series(1, 100001)::bigint)",
  ])
    await refusesArgument(call("'vip'", ids), "user_ids", "22023");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
