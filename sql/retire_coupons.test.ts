import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";

const { owner, admin, watch, coupon, crowd, user, issue, use, grantedBefore, today } = await testDatabase();

const day = async (ago: number) => String(await value(admin`select (${today} - ${ago}::integer)::text`));

/** From the first day on: grants of days that fold_grants() has passed are planted here. */
const foldAnew = () => owner`update coupon.folded set issued_on = default, user_id = default`;

const fold = async () => {
  while ((await value(admin`select fold_grants()`)) !== 0);
};

/** A coupon that is over since so many days, with grants of two days, every third of them used; early: an hour for a group. */
async function past(
  over: number,
  count = 10,
  units = count,
  early = false,
): Promise<[id: number, users: number[]]> {
  await foldAnew();
  const id = await coupon({ from: `-${over + 40 + count / 1000} days`, count: units });
  if (early)
    await owner`
      update coupon.coupons set eligible_group = 'regulars', eligible_from = start_time - interval '1 hour' where id = ${id}`;
  const users = await crowd(count);
  for (const [i, user_id] of users.entries())
    await grantedBefore(over + (i < count / 2 ? 6 : 5), user_id, id);
  await usedBefore(
    id,
    users.filter((_, i) => i % 3 === 2),
  );
  await owner`update coupon.coupons set expiry = clock_timestamp() - ${over} * interval '1 day' where id = ${id}`;
  return [id, users];
}

/** Uses of an hour after the grants. */
async function usedBefore(coupon_id: number, users: number[]): Promise<void> {
  await owner.begin(async (sql) => {
    await sql`alter table coupon.user_coupons disable trigger user_coupons_check_use`;
    await sql`
      update coupon.user_coupons set used_date = issued_at + interval '1 hour', use_reference = 'order ' || position
      where coupon_id = ${coupon_id} and user_id = any (${users}::bigint[])`;
    await sql`alter table coupon.user_coupons enable trigger user_coupons_check_use`;
  });
}

const step = async (before: string, at_most = 4) =>
  (
    await rows(admin`
      select outcome, coupon_id::integer, grants, grants_left, coupons_left::integer
      from retire_coupons(${before}::text::date, ${at_most}, 'spring cleaning', 'admin:root')`)
  )[0];

/** Until it is done. */
async function retire(before: string): Promise<void> {
  while ((await step(before, 1000))?.[0] === "going_on");
}

const whole = async () => assert.deepEqual(await rows(admin`select * from reconcile()`), []);

test("going_on, done: a coupon is out at once, and its grants by and by; sums stay", async () => {
  const [id, users] = await past(50);
  const [younger] = await past(45);
  await fold();
  // From the day of its start to that of its last grants.
  const [firstDay, lastDay] = [await day(91), await day(50)];
  const sums = async () => [
    await rows(admin`select * from coupon_stats(${id})`),
    await rows(admin`select * from daily_summary(${firstDay}::text::date, ${lastDay}::text::date)`),
  ];
  const code = await value(owner`
    select coupon.claim_code(s.id, s.key, ${id}, 1) from coupon.claim_secrets s where s.retired_at is null order by s.id limit 1`);
  assert.equal(await value(admin`select outcome from use_claim(${code as string}, 'r')`), "expired");
  const sumsBefore = await sums();
  assert.equal(sumsBefore[0]?.[0]?.[4], "3");
  const before = await day(48);
  for (const wanted of [
    ["going_on", id, 0, 10, 1],
    ["going_on", id, 4, 6, 1],
    ["going_on", id, 4, 2, 1],
    ["going_on", id, 2, 0, 0],
    ...Array(5).fill(["going_on", null, 0, null, 0]),
    ["done", null, 0, null, 0],
    ["done", null, 0, null, 0],
  ]) {
    assert.deepEqual(await step(before), wanted);
    await whole();
    assert.deepEqual(await sums(), sumsBefore);
    const [someone = 0] = users;
    assert.equal(await issue(someone, id), "coupon_not_found");
    assert.equal(await use(someone, id, "r"), "coupon_not_found");
    for (const call of ["use_claim", "undo_claim"]) {
      const told = await rows(admin`select * from ${admin.unsafe(call)}(${code as string}, 'why')`);
      assert.deepEqual(told, [["claim_not_found", ...Array(8).fill(null)]], call);
    }
    assert.equal(
      await value(admin`select outcome from undo_use(${someone}, ${id}, 'why')`),
      "coupon_not_found",
    );
    for (const list of [
      admin`select from wallet(${someone})`,
      admin`select from list_grants(${id})`,
      admin`select from find_coupon(${id})`,
      admin`select from list_coupons('ended') where coupon_id = ${id}`,
      admin`select from coupon_timeline(${id})`,
      owner`select from coupon.leases where coupon_id = ${id}`,
    ])
      assert.deepEqual(await rows(list), []);
  }
  assert.deepEqual(await rows(owner`select from coupon.user_coupons where coupon_id = ${id}`), []);
  assert.deepEqual(await rows(owner`select from coupon.past_grants where coupon_id = ${id}`), []);
  assert.equal((await rows(admin`select from list_grants(${younger})`)).length, 10);
  const told = admin`
    select command, reason, actor, old_values->>'issued' from audit_trail(coupon_id => ${id}) limit 1`;
  assert.deepEqual(await rows(told), [["retire_coupons", "spring cleaning", "admin:root", "10"]]);
  await retire(await day(40));
});

test("of a coupon that started earlier for a group: its time to sell out stays, and the audit tells the group", async () => {
  const [early] = await past(51, 3, 3, true);
  const [plain] = await past(49, 3);
  const both = [early, plain];
  const toSellOut = () =>
    rows(
      admin`select s.time_to_sell_out from unnest(${both}::bigint[]) c (id), coupon_stats(c.id) s order by c.id`,
    );
  const wanted = owner`
    select sold_out_at - start_time + case id when ${early} then interval '1 hour' else interval '0' end
    from coupon.coupons where id = any (${both}) order by id`;
  const before = await rows(wanted);
  assert.deepEqual(await toSellOut(), before);
  const coupons = await owner.begin(async (sql) => {
    await sql`set local timezone = 'UTC'`;
    return rows(sql`select to_jsonb(c) from coupon.coupons c where id = any (${both}) order by id`);
  });
  await retire(await day(48));
  assert.deepEqual(await toSellOut(), before);
  const terms = ["code", "message", "description", "start_time", "expiry", "count", "metadata", "issued"];
  const ofGroup = ["eligible_group", "eligible_from"];
  assert.deepEqual(
    await rows(owner`
      select old_values from coupon.audit where coupon_id = any (${both}) and command = 'retire_coupons' order by coupon_id`),
    coupons.map(([coupon], i) => {
      const wanted = i === 0 ? [...terms, ...ofGroup] : terms;
      return [Object.fromEntries(wanted.map((key) => [key, (coupon as Record<string, unknown>)[key]]))];
    }),
  );
  await whole();
});

test("done: the oldest first, those without a grant too, and none that ended later", async () => {
  const empty = await coupon({ from: "-130 days", until: "-60 days" });
  const [old] = await past(70);
  const [young] = await past(40);
  const before = await day(50);
  assert.deepEqual((await step(before))?.slice(0, 2), ["going_on", old]);
  await retire(before);
  const left = owner`select id::integer from coupon.coupons where id in (${old}, ${empty}, ${young})`;
  assert.deepEqual((await rows(left)).flat(), [young]);
  assert.deepEqual(
    await rows(owner`
      select coupon_id::integer, issued, grants_left from coupon.retired_coupons where coupon_id in (${old}, ${empty})
      order by 1`),
    [
      [empty, 0, 0],
      [old, 10, 0],
    ],
  );
  await whole();
});

test("its code is free, its id and its day are not", async () => {
  const [id] = await past(41);
  const [code, start] = (
    await rows(owner`select code, start_time::text from coupon.coupons where id = ${id}`)
  )[0] as [string, string];
  const create = (code: string, shift: string) => admin`
    select outcome, coupon_id::integer from create_coupon(
      ${code}, 'm', 'd', ${start}::text::timestamptz + ${shift}::text::interval, clock_timestamp() + interval '1 day', 99)`;
  await retire(await day(35));
  assert.deepEqual(await rows(create(code, "1 minute")), [["day_full", null]]);
  const [[outcome, next]] = (await rows(create(code, "-1 day"))) as [[string, number]];
  assert.equal(outcome, "created");
  assert.ok(next > id);
  await whole();
});

test("copies of its grants are swept once all are moved out, also where another coupon is retired meanwhile", async () => {
  const copies = async () =>
    (
      await rows(owner`
        select count(*) filter (where c.id is null)::integer, count(c.id)::integer
        from coupon.past_grants p left join coupon.coupons c on c.id = p.coupon_id`)
    )[0];
  const [, users] = await past(65);
  await past(53);
  const [stays] = await past(43, 10, 15);
  // Somebody with a copy that goes, between two that stay.
  for (const [i, user_id] of users.slice(0, 5).entries()) await grantedBefore(44 + i, user_id, stays);
  await fold();
  const [, all] = (await copies()) as [number, number];
  const first = await day(60);
  for (let n = 0; n < 4; n++) await step(first);
  assert.deepEqual(await copies(), [10, all - 10]);
  assert.deepEqual(await step(first, 3), ["going_on", null, 0, null, 0]);
  await whole();
  const second = await day(48);
  assert.equal((await step(second, 20))?.[0], "going_on");
  await whole();
  await retire(second);
  assert.deepEqual(await copies(), [0, all - 20]);
  await whole();
  await retire(await day(35));
  assert.deepEqual(await copies(), [0, 0]);
});

test("reconcile() names a copy of a retired coupon that the sweep has left behind", async () => {
  const [id, users] = await past(58);
  await fold();
  await retire(await day(57));
  await whole();
  const [ann = 0] = users;
  await owner`insert into coupon.past_grants values (${ann}, '2001-01-01', ${id})`;
  const broken = () => rows(admin`select invariant, user_id::integer from reconcile()`);
  assert.deepEqual(await broken(), [["past_grants_are_grants", ann]]);
  await owner`update coupon.folded set swept_to = ${ann}`;
  assert.deepEqual(await broken(), [["past_grants_are_grants", ann]]);
  await owner`update coupon.folded set swept_to = ${ann - 1}`;
  assert.deepEqual(await broken(), []);
  assert.equal((await step(await day(57)))?.[0], "done");
  assert.deepEqual(await rows(owner`select from coupon.past_grants where user_id = ${ann}`), []);
});

test("a person is forgotten of a coupon that is being retired", async () => {
  const [id, users] = await past(42);
  const before = await day(38);
  await step(before);
  assert.equal(await value(admin`select outcome from forget_user(${users[2] as number})`), "forgotten");
  const left = owner`select use_reference from coupon.user_coupons where coupon_id = ${id} and is_used order by position`;
  assert.deepEqual((await rows(left)).flat(), ["(forgotten)", "order 6", "order 9"]);
  await whole();
  await retire(before);
  await whole();
});

test("a person is forgotten of a coupon that is retired meanwhile", async () => {
  const [retired, users] = await past(55);
  const [next] = await past(39, 10, 11);
  const ann = users[2] as number;
  await grantedBefore(40, ann, next);
  await usedBefore(next, [ann]);
  await step(await day(54), 1);
  const forgotten = await owner.begin(async (sql) => {
    await sql`select from coupon.user_coupons where (coupon_id, user_id) = (${retired}, ${ann}) for update`;
    const answer = value(admin`select outcome from forget_user(${ann})`);
    await waiting(watch);
    // By hand, as the step after the last one of the coupon before would do it.
    await sql`
      insert into coupon.retired_coupons
      select id, code, start_time, eligible_from, expiry, live_on, count, issued, coupon.asked_for(c), sold_out_at, issued
      from coupon.coupons c where id = ${next}`;
    await sql`delete from coupon.coupons where id = ${next}`;
    return { answer };
  });
  assert.equal(await forgotten.answer, "forgotten");
  const left = owner`select use_reference from coupon.user_coupons where user_id = ${ann} and is_used`;
  assert.deepEqual((await rows(left)).flat(), ["(forgotten)", "(forgotten)"]);
  await retire(await day(38));
  await whole();
});

test("too_recent: nothing of the last 33 days", async () => {
  await past(34);
  assert.deepEqual(await step(await day(32)), ["too_recent", null, null, null, null]);
  assert.equal((await step(await day(33)))?.[0], "going_on");
  await retire(await day(33));
});

test("busy: another call is at work", async () => {
  await owner.begin(async (sql) => {
    await sql`select from coupon.folded for update`;
    assert.deepEqual(await step(await day(40)), ["busy", null, null, null, null]);
  });
});

test("a coupon whose refusal was leased: leases run out before it is gone", async () => {
  const id = await coupon({ from: "-150 days", until: "-36 days" });
  await owner`update coupon.leases set is_leased = true where coupon_id = ${id}`;
  const from = performance.now();
  await retire(await day(35));
  assert.ok(performance.now() - from >= 1000);
  assert.equal(await issue(await user(), id), "coupon_not_found");
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from retire_coupons(null)`, "before", "22004");
  for (const before of ["-infinity", "infinity", "4714-11-24 BC", "5874897-12-31"])
    await refusesArgument(admin`select from retire_coupons(${before}::text::date)`, "before", "22023");
  await refusesArgument(admin`select from retire_coupons('2020-01-01', 0)`, "at_most", "22023");
  await refusesArgument(admin`select from retire_coupons('2020-01-01', null)`, "at_most", "22023");
  await refusesArgument(admin`select from retire_coupons('2020-01-01', reason => '')`, "reason", "22023");
});

test("all of this left the data whole", whole);
