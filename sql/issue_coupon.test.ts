import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, today, user, coupon, upcoming, issue, expire, grantedBefore } = await testDatabase();

/** In the order of precedence: what makes a coupon refuse everybody, on top of what it refuses for already. */
const states = {
  not_started: async (coupon_id: number) => {
    await owner.begin(async (sql) => {
      await sql`alter table coupon.coupons disable trigger coupons_start_time_is_fixed_once_issued`;
      await sql`
        update coupon.coupons set start_time = start_time + interval '100 days', expiry = expiry + interval '100 days'
        where id = ${coupon_id}`;
      await sql`alter table coupon.coupons enable trigger coupons_start_time_is_fixed_once_issued`;
    });
  },
  ended: expire,
  paused: (coupon_id: number) => admin`select from pause_coupon(${coupon_id})`,
  sold_out: async (coupon_id: number) => {
    assert.equal(await issue(await user(), coupon_id), "issued");
    await admin`
      select from set_coupon_count(${coupon_id}, (select issued from coupon.coupons where id = ${coupon_id}))`;
  },
} as const;
const stateNames = Object.keys(states) as (keyof typeof states)[];

/** In the order of precedence: what makes a coupon refuse one user. */
const users = {
  user_not_found: () => Promise.resolve(999_999),
  daily_limit_reached: async () => {
    const spent = await user();
    assert.equal(await issue(spent, await coupon()), "issued");
    return spent;
  },
} as const;
const userNames = Object.keys(users) as (keyof typeof users)[];

test("issued: the next position, today, by the database clock", async () => {
  const lunch = await coupon({ count: 2 });
  for (const position of [1, 2]) {
    const holder = await user();
    const answer = await rows(admin`
      select outcome, position, issued_on = ${today},
        issued_at between statement_timestamp() and clock_timestamp(), starts_in
      from issue_coupon(${holder}, ${lunch})`);
    assert.deepEqual(answer, [["issued", position, true, true, null]]);
    assert.deepEqual(
      await rows(owner`
        select g.position, g.used_date, g.is_used, g.expiry = c.expiry, c.issued
        from coupon.user_coupons g join coupon.coupons c on c.id = g.coupon_id
        where (user_id, coupon_id) = (${holder}, ${lunch})`),
      [[position, null, false, true, position]],
    );
  }
});

test("issued: yesterday's coupon doesn't count for today", async () => {
  const holder = await user();
  await coupon();
  await grantedBefore(1, holder, await coupon());
  assert.equal(await issue(holder, await coupon()), "issued");
});

test("coupon_not_found", async () => {
  const nothing = [["coupon_not_found", null, null, null, null, null, null]];
  assert.deepEqual(await rows(admin`select * from issue_coupon(${await user()}, 999999)`), nothing);
});

test("already_issued: same position, same instant", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  const first = await rows(
    admin`select position, issued_on::text, issued_at::text from issue_coupon(${holder}, ${lunch})`,
  );
  const again = await rows(
    admin`select position, issued_on::text, issued_at::text, outcome from issue_coupon(${holder}, ${lunch})`,
  );
  assert.deepEqual(again, [[...(first[0] ?? []), "already_issued"]]);
});

test("already_issued: on another day, with the day of the grant", async () => {
  const [holder, lunch] = [await user(), await coupon({ from: "-60 days" })];
  await grantedBefore(2, holder, lunch);
  assert.deepEqual(
    await rows(admin`
      select outcome, position, ${today} - issued_on
      from issue_coupon(${holder}, ${lunch})`),
    [["already_issued", 1, 2]],
  );
});

test("not_started: starts_in says how long", async () => {
  const lunch = await upcoming(1);
  assert.deepEqual(
    await rows(admin`
      select outcome, position, issued_at, starts_in between interval '23:59' and interval '24:00'
      from issue_coupon(${await user()}, ${lunch})`),
    [["not_started", null, null, true]],
  );
});

test("sold_out: since when, and how long after the start", async () => {
  const lunch = await coupon({ count: 2 });
  for (const _ of [1, 2]) await issue(await user(), lunch);
  assert.deepEqual(
    await rows(admin`
      select i.outcome, i.position, i.issued_at, i.starts_in, i.sold_out_at = g.issued_at,
        i.time_to_sell_out = g.issued_at - c.start_time
      from issue_coupon(${await user()}, ${lunch}) i, coupon.coupons c, coupon.user_coupons g
      where c.id = ${lunch} and (g.coupon_id, g.position) = (${lunch}, 2)`),
    [["sold_out", null, null, null, true, true]],
  );
});

for (const state of ["ended", "paused"] as const) {
  test(`${state}: and nothing else is told`, async () => {
    const lunch = await coupon();
    await states[state](lunch);
    const answer = await rows(admin`select * from issue_coupon(${await user()}, ${lunch})`);
    assert.deepEqual(answer, [[state, null, null, null, null, null, null]]);
  });
}

for (const name of userNames) {
  test(`${name}: and nothing else is told`, async () => {
    const answer = await rows(admin`select * from issue_coupon(${await users[name]()}, ${await coupon()})`);
    assert.deepEqual(answer, [[name, null, null, null, null, null, null]]);
  });
}

for (const name of userNames) {
  test(`coupon_not_found before ${name}`, async () => {
    assert.equal(await issue(await users[name](), 999_999), "coupon_not_found");
  });
}

for (const state of stateNames) {
  test(`already_issued before ${state}`, async () => {
    const [holder, lunch] = [await user(), await coupon()];
    assert.equal(await issue(holder, lunch), "issued");
    await states[state](lunch);
    assert.equal(await issue(holder, lunch), "already_issued");
  });

  for (const name of userNames) {
    test(`${state} before ${name}`, async () => {
      const lunch = await coupon();
      await states[state](lunch);
      assert.equal(await issue(await users[name](), lunch), state);
    });
  }
}

test("already_issued before daily_limit_reached: today's coupon is the one asked for", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  assert.equal(await issue(holder, lunch), "issued");
  assert.equal(await issue(holder, await coupon()), "daily_limit_reached");
  assert.equal(await issue(holder, lunch), "already_issued");
});

/** Sold out and paused come about while a coupon is live; time goes on and one operator turns it back. */
const pairs = [
  ["not_started", "paused"],
  ["not_started", "sold_out"],
  ["ended", "paused"],
  ["ended", "sold_out"],
  ["paused", "sold_out"],
] as const;
for (const [first, second] of pairs) {
  test(`${first} before ${second}`, async () => {
    const lunch = await coupon();
    await states[second](lunch);
    await states[first](lunch);
    assert.equal(await issue(await user(), lunch), first);
  });
}

test("refuses a null", async () => {
  await refusesArgument(admin`select from issue_coupon(null, 1)`, "user_id", "22004");
  await refusesArgument(admin`select from issue_coupon(1, null)`, "coupon_id", "22004");
});

test("all of this left the data whole", async () => {
  // But for the coupons that were issued and then made to start later.
  const broken = admin`select distinct invariant from reconcile()`;
  assert.deepEqual(await rows(broken), [["issued_from_start_until_expiry"]]);
  assert.equal(
    await value(owner`
    select count(*)::integer from coupon.user_coupons g join coupon.coupons c on c.id = g.coupon_id
    where c.start_time < clock_timestamp() and g.issued_at not between c.start_time and c.expiry`),
    0,
  );
});
