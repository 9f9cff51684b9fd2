import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, upcoming, issue, expire } = await testDatabase();

const ids = async (args: string) =>
  (await rows(admin.unsafe(`select coupon_id::integer from list_coupons(${args})`))).flat() as number[];
const rename = (id: number, code: string) => owner`update coupon.coupons set code = ${code} where id = ${id}`;
const startOf = async (id: number) =>
  (
    await rows(owner`select quote_literal(start_time::text) from coupon.coupons where id = ${id}`)
  ).flat()[0] as string;

test("nothing: no row", async () => assert.deepEqual(await ids(""), []));

test("each state, the last to start first, as coupon_status() has it", async () => {
  const [live, paused, ended] = [await coupon(), await coupon(), await coupon()];
  const soldOut = await coupon({ count: 1 });
  const [soon, later] = [await upcoming(1), await upcoming(2)];
  await issue(await user(), soldOut);
  await admin`select from pause_coupon(${paused})`;
  await admin`select from pause_coupon(${later})`;
  await expire(ended);
  assert.deepEqual(await ids(""), [later, soon, live, paused, ended, soldOut]);
  assert.deepEqual(await rows(admin`select state, coupon_id::integer from list_coupons()`), [
    ["upcoming", later],
    ["upcoming", soon],
    ["live", live],
    ["paused", paused],
    ["ended", ended],
    ["sold_out", soldOut],
  ]);
  for (const [state, those] of [
    ["upcoming", [later, soon]],
    ["live", [live]],
    ["paused", [paused]],
    ["ended", [ended]],
    ["sold_out", [soldOut]],
  ] as const)
    assert.deepEqual(await ids(`'${state}'`), those, state);
  assert.deepEqual(
    await rows(admin`select from coupon_status() s join list_coupons() l using (coupon_id, state)`),
    Array(5).fill([]),
    "all but the one that has ended",
  );
});

test("every member is the coupon's", async () => {
  const same = await rows(admin`
    select l.remaining = c.count - c.issued
    from list_coupons() l
    join coupon.coupons c on (c.id, c.code, c.message, c.description, c.start_time, c.expiry, c.live_on, c.slot, c.count,
        c.issued, c.paused, c.metadata)
      = (l.coupon_id, l.code, l.message, l.description, l.start_time, l.expiry, l.live_on, l.slot, l.count, l.issued,
        l.paused, l.metadata)`);
  assert.deepEqual(same, Array(6).fill([true]));
});

test("those that start from since on, and before before", async () => {
  const all = await ids("");
  const [, b = 0, c = 0, d = 0] = all;
  const [startB, startD] = [await startOf(b), await startOf(d)];
  assert.deepEqual(await ids(`since => ${startD}, before => ${startB}`), [c, d]);
  assert.deepEqual(await ids(`since => ${startB}, before => ${startD}`), []);
  assert.deepEqual(await ids("since => '-infinity', before => 'infinity'"), all);
});

test("by the beginning of the code, whatever its case; % and _ mean themselves", async () => {
  const [a, b, c, d] = (await ids("")) as [number, number, number, number];
  for (const [id, code] of [
    [a, "LUNCH-1"],
    [b, "lunch_2"],
    [c, "Lunch"],
    [d, "lunch-zz"],
  ] as const)
    await rename(id, code);
  for (const [prefix, those] of [
    ["lunch", [a, b, c, d]],
    ["LUNCH-", [a, d]],
    ["lunch_", [b]],
    ["lunch-zz", [d]],
    ["lunch-zzz", []],
    ["unch", []],
    ["%", []],
    ["_", []],
    ["~", []],
    ["lunch~", []],
    ["lunçh", []],
    ["\u{10ffff}", []],
  ] as const)
    assert.deepEqual(
      (await rows(admin`select coupon_id::integer from list_coupons(code_prefix => ${prefix})`)).flat(),
      those,
      prefix,
    );
  assert.deepEqual(await ids("code_prefix => ''"), await ids(""));
});

test("page by page: who stays where it is comes once, whatever happens to the others", async () => {
  const [a, b, c, d, e, f] = (await ids("")) as [number, number, number, number, number, number];
  const [startA, startB, startD] = [await startOf(a), await startOf(b), await startOf(d)];
  assert.deepEqual(await ids("page_size => 2"), [a, b]);
  await owner`delete from coupon.coupons where id = ${b}`;
  const between = await coupon({ from: "-1 hour" });
  assert.deepEqual(await ids(`before => ${startB}, page_size => 2`), [between, c]);
  // It goes from the next page to the one that is read already.
  await owner`update coupon.coupons set start_time = start_time + interval '5 days', expiry = 'now'::timestamptz + interval '50 days' where id = ${d}`;
  assert.deepEqual(await ids(`before => ${await startOf(c)}, page_size => 9`), [e, f]);
  assert.deepEqual(await ids(`since => ${startA}`), [d, a]);
  assert.deepEqual(await ids(`before => ${startD}`), [e, f]);
});

test("refuses bad arguments", async () => {
  for (const size of [null, 0, 1001])
    await refusesArgument(
      admin`select from list_coupons(page_size => ${size}::integer)`,
      "page_size",
      "22023",
    );
});
