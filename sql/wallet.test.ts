import assert from "node:assert/strict";
import { test } from "node:test";
import { plantGrants } from "../bench/harness/coupons.ts";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, today, user, coupon, issue, use, expire, grantedBefore } = await testDatabase();

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

/** Pages that a look reads of tables and indexes, in a session that knows their catalogue and has its plans. */
const pagesOf = (user_id: number): Promise<number> =>
  owner.begin(async (sql) => {
    await sql`select from wallet(${user_id}), generate_series(1, 2)`;
    const [[[plan]]] = (await rows(sql`
      explain (analyze, buffers, format json) select from wallet(${user_id})`)) as [[[{ Plan: Pages }]]];
    return plan.Plan["Shared Hit Blocks"] + plan.Plan["Shared Read Blocks"];
  });
type Pages = Record<"Shared Hit Blocks" | "Shared Read Blocks", number>;

test("as cheap after ten years of days as after two months", async () => {
  const [holder, lunch] = [
    await user(),
    await coupon({ from: "-5000 days", until: "1 day", count: 100_000 }),
  ];
  await grantedBefore(4_500, holder, lunch);
  let next = 1_000_000;
  /** Ten others get one on each of these days. */
  const plant = (days: number, before: number) => {
    const others = Array.from({ length: days * 10 }, () => next++);
    return plantGrants(owner, lunch, others, `local - (${before} + u.place / 10) * interval '1 day'`);
  };
  const fold = async () => {
    while ((await value(admin`select fold_grants(100000)`)) !== 0);
  };
  await plant(60, 0);
  await fold();
  const few = await pagesOf(holder);
  await plant(3_590, 60);
  // Looked for day by day, as before the days are folded.
  await owner`update coupon.folded set issued_on = default, user_id = default`;
  const unfolded = await pagesOf(holder);
  await fold();
  const many = await pagesOf(holder);
  assert.deepEqual(
    (await wallet(holder)).map((row) => row[2]),
    [4_500],
  );
  assert.ok(many <= few + 30, `${many} pages, after two months ${few}`);
  assert.ok(unfolded > few + 60, `${unfolded} pages`);
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from wallet(null)`, "user_id", "22004");
  for (const size of [null, 0, 1001])
    await refusesArgument(admin`select from wallet(1, null, ${size}::integer)`, "page_size", "22023");
});
