import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, issue, use, expire } = await testDatabase();

/** A user and the coupon it used. */
async function used(reference = "order 1") {
  const [holder, lunch] = [await user(), await coupon()];
  assert.equal(await issue(holder, lunch), "issued");
  assert.equal(await use(holder, lunch, reference), "used");
  return { holder, lunch };
}

const undo = (user_id: number, coupon_id: number) =>
  admin`select outcome, used_date::text, use_reference from undo_use(${user_id}, ${coupon_id}, 'cancelled')`;

test("restored: tells the use that was, leaves a trace, and the coupon can be used again", async () => {
  const { holder, lunch } = await used();
  const [was = []] = await rows(
    owner`select used_date::text, use_reference from coupon.user_coupons where coupon_id = ${lunch}`,
  );
  assert.deepEqual(await rows(undo(holder, lunch)), [["restored", ...was]]);
  assert.deepEqual(
    await rows(owner`
      select user_id::integer, used_date::text, old_values, reason, login, at > used_date
      from coupon.audit where coupon_id = ${lunch} and command = 'undo_use'`),
    [[holder, was[0], { use_reference: was[1] }, "cancelled", "coupon_admin", true]],
  );
  assert.deepEqual(
    await rows(
      owner`select is_used, used_date, use_reference from coupon.user_coupons where coupon_id = ${lunch}`,
    ),
    [[false, null, null]],
  );
  assert.equal(await use(holder, lunch, "order 2"), "used");
});

test("restored: under the same reference again, twice, with two traces", async () => {
  const { holder, lunch } = await used();
  assert.equal(await value(undo(holder, lunch)), "restored");
  assert.equal(await use(holder, lunch, "order 1"), "used");
  assert.equal(await value(undo(holder, lunch)), "restored");
  assert.equal(
    await value(
      owner`select count(*)::integer from coupon.audit where coupon_id = ${lunch} and command = 'undo_use'`,
    ),
    2,
  );
});

test("restored: after expiry too, but then it can't be used", async () => {
  const { holder, lunch } = await used();
  await expire(lunch);
  assert.equal(await value(undo(holder, lunch)), "restored");
  assert.equal(await use(holder, lunch, "order 2"), "expired");
});

test("not_used: a late repetition names the use that it took back, and leaves a later one alone", async () => {
  const { holder, lunch } = await used();
  const usedDate = async () =>
    String(await value(owner`select used_date::text from coupon.user_coupons where coupon_id = ${lunch}`));
  const undoThat = (used_date: string) =>
    rows(admin`
      select outcome, used_date::text, use_reference
      from undo_use(${holder}, ${lunch}, 'cancelled', only_used_date => ${used_date}::text::timestamptz)`);
  const first = await usedDate();
  assert.deepEqual(await undoThat(first), [["restored", first, "order 1"]]);
  assert.deepEqual(await undoThat(first), [["not_used", null, null]]);
  assert.equal(await use(holder, lunch, "order 1"), "used");
  assert.deepEqual(await undoThat(first), [["not_used", null, null]]);
  const second = await usedDate();
  assert.notEqual(second, first);
  assert.deepEqual(await undoThat(second), [["restored", second, "order 1"]]);
});

test("coupon_not_found", async () => {
  assert.deepEqual(await rows(undo(await user(), 999_999)), [["coupon_not_found", null, null]]);
});

test("not_issued: the holder is somebody else, whose use stays", async () => {
  const { lunch } = await used();
  assert.deepEqual(await rows(undo(await user(), lunch)), [["not_issued", null, null]]);
  assert.equal(await value(owner`select is_used from coupon.user_coupons where coupon_id = ${lunch}`), true);
});

test("not_used: never, or not any more", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await issue(holder, lunch);
  assert.deepEqual(await rows(undo(holder, lunch)), [["not_used", null, null]]);
  await use(holder, lunch, "r");
  await undo(holder, lunch);
  assert.deepEqual(await rows(undo(holder, lunch)), [["not_used", null, null]]);
});

test("coupon_not_found before not_issued", async () => {
  assert.equal(await value(undo(999_999, 999_999)), "coupon_not_found");
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from undo_use(null, 1, 'r')`, "user_id", "22004");
  await refusesArgument(admin`select from undo_use(1, null, 'r')`, "coupon_id", "22004");
  await refusesArgument(admin`select from undo_use(1, 1, null)`, "reason", "22004");
  await refusesArgument(admin`select from undo_use(1, 1, '')`, "reason", "22023");
  await refusesArgument(admin`select from undo_use(1, 1, repeat('r', 501))`, "reason", "22023");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
