import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, upcoming, issue, use, expire, offset } = await testDatabase();

const withdraw = async (coupon_id: number) =>
  (await rows(admin`select outcome, issued from withdraw_coupon(${coupon_id})`))[0];
const isThere = async (coupon_id: number) =>
  (await rows(owner`select from coupon.coupons where id = ${coupon_id}`)).length === 1;

test("withdrawn: before its start, after it, paused, ended", async () => {
  const [soon, live, paused, ended] = [await upcoming(1), await coupon(), await coupon(), await coupon()];
  await admin`select from pause_coupon(${paused})`;
  await expire(ended);
  for (const id of [soon, live, paused, ended]) {
    assert.deepEqual(await withdraw(id), ["withdrawn", 0]);
    assert.equal(await isThere(id), false);
  }
});

test("withdrawn: no list has it, and no command finds it", async () => {
  const [lunch, someone] = [await coupon(), await user()];
  await withdraw(lunch);
  for (const list of [
    admin`select coupon_id from live_coupons() where coupon_id = ${lunch}`,
    admin`select coupon_id from coupon_status() where coupon_id = ${lunch}`,
    admin`select coupon_id from find_coupon(${lunch})`,
    admin`select code from coupon_stats(${lunch})`,
  ])
    assert.deepEqual(await rows(list), []);
  assert.equal(await issue(someone, lunch), "coupon_not_found");
  assert.equal(await use(someone, lunch, "r"), "coupon_not_found");
  for (const call of [
    `pause_coupon(${lunch})`,
    `resume_coupon(${lunch})`,
    `set_coupon_count(${lunch}, 9)`,
    `set_coupon_expiry(${lunch}, '2069-01-01Z')`,
    `set_coupon_start(${lunch}, '2068-01-01Z')`,
    `edit_coupon(${lunch}, message => 'm')`,
  ])
    assert.equal(await value(admin.unsafe(`select outcome from ${call}`)), "coupon_not_found", call);
  assert.deepEqual(await rows(owner`select from coupon.leases where coupon_id = ${lunch}`), []);
});

test("withdrawn: its code, its start, its count and its place are free, and its id is not given again", async () => {
  const create = (code: string, hour: number, count: number) => admin`
    select outcome, coupon_id::integer, slot
    from create_coupon(${code}, 'm', 'd', ${`2059-01-01 1${hour}:00${offset}`}::text::timestamptz, '2060-01-01Z', ${count})`;
  const made: number[] = [];
  for (const n of [0, 1, 2]) made.push((await rows(create(`N${n}`, n, n + 1)))[0]?.[1] as number);
  const [, second = 0, third = 0] = made;
  assert.deepEqual(await withdraw(second), ["withdrawn", 0]);
  assert.deepEqual(await rows(create("n1", 1, 2)), [["created", third + 1, 2]]);
});

test("withdrawn: the audit keeps what it was", async () => {
  const made = admin`
    select coupon_id::integer from create_coupon('KEPT', 'm', 'd', '2061-01-01 12:00+02', '2062-01-01Z', 3, '{"a": 1}')`;
  const id = (await value(made)) as number;
  await admin.begin(async (sql) => {
    await sql`set local timezone = 'Asia/Kathmandu'`;
    await sql`select from withdraw_coupon(${id}, reason => 'a slip', actor => 'admin:root')`;
  });
  const [of] = await admin`
    select command, old_values, new_values, reason, actor from audit_trail(coupon_id => ${id}) limit 1`;
  const times = { start_time: "2061-01-01T10:00:00+00:00", expiry: "2062-01-01T00:00:00+00:00" };
  assert.deepEqual(
    { ...of },
    {
      command: "withdraw_coupon",
      old_values: { code: "KEPT", message: "m", description: "d", ...times, count: 3, metadata: { a: 1 } },
      new_values: null,
      reason: "a slip",
      actor: "admin:root",
    },
  );
});

test("already_withdrawn: again, and nothing more is in the audit", async () => {
  const lunch = await upcoming(2);
  await withdraw(lunch);
  assert.deepEqual(await withdraw(lunch), ["already_withdrawn", null]);
  const count = owner`select count(*)::integer from coupon.audit
    where coupon_id = ${lunch} and command = 'withdraw_coupon'`;
  assert.equal(await value(count), 1);
});

test("has_grants: it stays as it was", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await issue(holder, lunch);
  await issue(await user(), lunch);
  assert.deepEqual(await withdraw(lunch), ["has_grants", 2]);
  assert.equal(await use(holder, lunch, "r"), "used");
  assert.equal(await issue(await user(), lunch), "issued");
});

test("coupon_not_found: there never was one, or it is deleted by hand", async () => {
  assert.deepEqual(await withdraw(999_999), ["coupon_not_found", null]);
  const lunch = await coupon();
  await owner`delete from coupon.coupons where id = ${lunch}`;
  assert.deepEqual(await withdraw(lunch), ["coupon_not_found", null]);
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from withdraw_coupon(null)`, "coupon_id", "22004");
  await refusesArgument(admin`select from withdraw_coupon(1, reason => '')`, "reason", "22023");
});

test("all of this left the data whole, and says so if an id could be given again", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
  const last = await coupon();
  await withdraw(last);
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
  await owner`select setval('coupon.coupons_id_seq', ${last}, false)`;
  assert.deepEqual(await rows(admin`select * from reconcile()`), [
    ["next_id_is_free", null, null, `coupons: next ${last}, highest ${last}`],
  ]);
});
