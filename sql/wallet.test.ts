import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { admin, today, user, coupon, issue, use, expire, grantedBefore } = await testDatabase();

/** State, coupon and age in days of what a user holds. */
const wallet = (user_id: number, before: string | null = null, page_size = 50) =>
  rows(admin`
    select state, coupon_id::integer, ${today} - issued_on
    from wallet(${user_id}, ${before}::text::date, ${page_size})`);

test("issued, used, expired", async () => {
  const [holder, fresh, used, ended] = [
    await user(),
    await coupon(),
    await coupon({ from: "-30 days" }),
    await coupon({ from: "-40 days" }),
  ];
  await grantedBefore(2, holder, ended);
  await grantedBefore(1, holder, used);
  await issue(holder, fresh);
  await use(holder, used, "r");
  await expire(ended);
  assert.deepEqual(await wallet(holder), [
    ["issued", fresh, 0],
    ["used", used, 1],
    ["expired", ended, 2],
  ]);
  await expire(used);
  assert.deepEqual((await wallet(holder))[1], ["used", used, 1]);
});

test("every member is the grant's and its coupon's", async () => {
  const [first, holder, lunch] = [await user(), await user(), await coupon()];
  await issue(first, lunch);
  await issue(holder, lunch);
  await use(holder, lunch, "order 1");
  assert.deepEqual(
    await rows(admin`
      select w.position, w.use_reference
      from wallet(${holder}) w
      join coupon.coupons c
        on (c.id, c.code, c.message, c.description, c.expiry) = (w.coupon_id, w.code, w.message, w.description, w.expiry)
      join coupon.user_coupons g
        on (g.coupon_id, g.user_id, g.issued_on, g.issued_at, g.used_date)
          = (w.coupon_id, ${holder}, w.issued_on, w.issued_at, w.used_date)`),
    [[2, "order 1"]],
  );
});

test("page by page: each coupon once, the newest first", async () => {
  const holder = await user();
  const coupons: number[] = [];
  for (const days of [1, 2, 3, 4, 5]) {
    // Days on which only others got something lie between.
    const lunch = await coupon({ from: `-${50 + days} days` });
    await grantedBefore(days * 2, holder, lunch);
    await grantedBefore(days * 2 + 1, await user(), lunch);
    coupons.push(lunch);
  }
  const seen: unknown[] = [];
  let before: string | null = null;
  for (let page = 1; page <= 4; page++) {
    const part = await rows(admin`
      select coupon_id::integer, issued_on::text from wallet(${holder}, ${before}::text::date, 2)`);
    assert.equal(part.length, [2, 2, 1, 0][page - 1]);
    seen.push(...part.map((row) => row[0]));
    before = (part.at(-1)?.[1] as string) ?? before;
  }
  assert.deepEqual(seen, coupons);
});

test("days far apart: each once, whichever statement finds it", async () => {
  const holder = await user();
  const ages = [0, 31, 32, 33, 94, 95, 96, 97, 223, 224, 225, 900, 3650];
  for (const age of ages)
    await grantedBefore(age, holder, await coupon({ from: `-${4000 + age} days`, until: "1 day" }));
  assert.deepEqual(
    (await wallet(holder)).map((row) => row[2]),
    ages,
  );
  assert.deepEqual(
    (await wallet(holder, null, 7)).map((row) => row[2]),
    ages.slice(0, 7),
  );
  const before = await value(admin`select (${today} - 94)::text`);
  assert.deepEqual(
    (await wallet(holder, before as string, 4)).map((row) => row[2]),
    [95, 96, 97, 223],
  );
});

test("nothing held, user unknown: no row", async () => {
  assert.deepEqual(await wallet(await user()), []);
  assert.deepEqual(await wallet(999_999), []);
});

test("nothing before the first: no row", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await issue(holder, lunch);
  assert.deepEqual(await wallet(holder, "1970-01-01"), []);
  assert.deepEqual(await wallet(holder, "infinity"), [["issued", lunch, 0]]);
});

test("writes and locks nothing: a standby answers too", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await issue(holder, lunch);
  const told = await admin.begin("read only", (sql) =>
    rows(sql`select coupon_id::integer from wallet(${holder})`),
  );
  assert.deepEqual(told, [[lunch]]);
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from wallet(null)`, "user_id", "22004");
  for (const size of [null, 0, 1001])
    await refusesArgument(admin`select from wallet(1, null, ${size}::integer)`, "page_size", "22023");
});
