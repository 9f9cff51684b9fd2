import assert from "node:assert/strict";
import { test } from "node:test";
import { plantGrants } from "../bench/harness/coupons.ts";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, crowd, coupon, issue, use, expire, grantedBefore } = await testDatabase();

/** A user and the coupon it holds. */
async function held() {
  const [holder, lunch] = [await user(), await coupon()];
  assert.equal(await issue(holder, lunch), "issued");
  return { holder, lunch };
}

test("used: now, under this reference", async () => {
  const { holder, lunch } = await held();
  const answer = await rows(admin`
    select outcome, used_date between statement_timestamp() and clock_timestamp(), use_reference
    from use_coupon(${holder}, ${lunch}, 'order 1')`);
  assert.deepEqual(answer, [["used", true, "order 1"]]);
  assert.deepEqual(
    await rows(owner`
      select is_used, used_date is not null, use_reference from coupon.user_coupons where coupon_id = ${lunch}`),
    [[true, true, "order 1"]],
  );
});

test("used: the longest reference", async () => {
  const { holder, lunch } = await held();
  assert.equal(await use(holder, lunch, "é".repeat(200)), "used");
});

test("used: the same reference again is answered as before, and writes nothing", async () => {
  const { holder, lunch } = await held();
  const first = await rows(admin`
    select outcome, used_date::text, use_reference from use_coupon(${holder}, ${lunch}, 'r')`);
  const again = await admin.begin(async (sql) => {
    const replay = await rows(sql`
      select outcome, used_date::text, use_reference from use_coupon(${holder}, ${lunch}, 'r')`);
    assert.equal(await value(sql`select pg_current_xact_id_if_assigned() is null`), true);
    return replay;
  });
  assert.deepEqual(again, first);
});

test("used: while the coupon is paused", async () => {
  const { holder, lunch } = await held();
  await admin`select from pause_coupon(${lunch})`;
  assert.equal(await use(holder, lunch, "r"), "used");
});

test("coupon_not_found", async () => {
  const answer = await rows(admin`select * from use_coupon(${await user()}, 999999, 'r')`);
  assert.deepEqual(answer, [["coupon_not_found", null, null]]);
});

test("not_issued: the holder is somebody else", async () => {
  const { lunch } = await held();
  const answer = await rows(admin`select * from use_coupon(${await user()}, ${lunch}, 'r')`);
  assert.deepEqual(answer, [["not_issued", null, null]]);
});

test("already_used: with the use that stands", async () => {
  const { holder, lunch } = await held();
  const first = await rows(
    admin`select used_date::text, use_reference from use_coupon(${holder}, ${lunch}, 'a')`,
  );
  const second = await rows(
    admin`select used_date::text, use_reference, outcome from use_coupon(${holder}, ${lunch}, 'b')`,
  );
  assert.deepEqual(second, [[...(first[0] ?? []), "already_used"]]);
});

test("expired: stays unused", async () => {
  const { holder, lunch } = await held();
  await expire(lunch);
  const answer = await rows(admin`select * from use_coupon(${holder}, ${lunch}, 'r')`);
  assert.deepEqual(answer, [["expired", null, null]]);
  assert.equal(await value(owner`select is_used from coupon.user_coupons where coupon_id = ${lunch}`), false);
});

test("expired: at its expiry; a microsecond before, it was used", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  // A use is a microsecond after the one that was taken back, where the clock was set back since.
  await plantGrants(owner, lunch, [holder], "c.expiry at time zone c.time_zone - interval '1 us'");
  const [first] = await rows(admin`
    select u.outcome, c.expiry - u.used_date = interval '1 us'
    from coupon.coupons c, use_coupon(${holder}, c.id, 'r') u where c.id = ${lunch}`);
  assert.deepEqual(first, ["used", true]);
  assert.equal(await value(admin`select outcome from undo_use(${holder}, ${lunch}, 'mistake')`), "restored");
  assert.deepEqual(await rows(admin`select * from use_coupon(${holder}, ${lunch}, 'r')`), [
    ["expired", null, null],
  ]);
});

test("coupon_not_found before not_issued", async () => {
  assert.equal(await use(999_999, 999_999, "r"), "coupon_not_found");
});

test("not_issued before expired", async () => {
  assert.equal(await use(await user(), await coupon({ until: "-1 second" }), "r"), "not_issued");
});

test("already_used before expired, and a replay of used before both", async () => {
  const { holder, lunch } = await held();
  await use(holder, lunch, "a");
  await expire(lunch);
  assert.equal(await use(holder, lunch, "b"), "already_used");
  assert.equal(await use(holder, lunch, "a"), "used");
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from use_coupon(null, 1, 'r')`, "user_id", "22004");
  await refusesArgument(admin`select from use_coupon(1, null, 'r')`, "coupon_id", "22004");
  await refusesArgument(admin`select from use_coupon(1, 1, null)`, "reference", "22004");
  await refusesArgument(admin`select from use_coupon(1, 1, '')`, "reference", "22023");
  await refusesArgument(admin`select from use_coupon(1, 1, repeat('r', 201))`, "reference", "22023");
});

test("the clock was set back since the grant: used at the time of the grant", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await grantedBefore(-0.01, holder, lunch);
  assert.equal(await use(holder, lunch, "early"), "used");
  assert.deepEqual(
    await rows(admin`
      select used_date = issued_at, used_date > clock_timestamp() from wallet(${holder}) where coupon_id = ${lunch}`),
    [[true, true]],
  );
});

test("the clock was set back since the grant: each use that is taken back is another one, a microsecond later", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await grantedBefore(-0.01, holder, lunch);
  for (const reference of ["first", "second", "third"]) {
    assert.equal(await use(holder, lunch, reference), "used");
    assert.equal(
      await value(admin`select outcome from undo_use(${holder}, ${lunch}, 'mistake')`),
      "restored",
    );
  }
  assert.equal(await use(holder, lunch, "last"), "used");
  assert.deepEqual(
    await rows(admin`
      select a.command, (extract(epoch from a.used_date - w.issued_at) * 1000000)::integer
      from audit_trail(coupon_id => ${lunch}) a, wallet(${holder}) w
      where w.coupon_id = ${lunch} and a.used_date is not null
      order by a.id`),
    [
      ...[0, 1, 2].flatMap((later) => [
        ["use_coupon", later],
        ["undo_use", later],
      ]),
      ["use_coupon", 3],
    ],
  );
});

test("a use that is not committed keeps no other use waiting, and all are counted", async () => {
  const lunch = await coupon({ count: 40 });
  const holders = await crowd(40);
  for (const holder of holders) await issue(holder, lunch);
  assert.equal(await use(holders[0] as number, lunch, "first"), "used");
  const sessions = await Promise.all([owner.reserve(), owner.reserve()]);
  for (const [n, session] of sessions.entries()) {
    await session`begin`;
    await session`set local lock_timeout = '1ms'`;
    for (const holder of holders.slice(1 + n * 10, 11 + n * 10))
      await session`select from use_coupon(${holder}, ${lunch}, 'held')`;
  }
  for (const holder of holders.slice(21)) assert.equal(await use(holder, lunch, "quick"), "used");
  for (const [end, session] of [
    ["commit", sessions[0]],
    ["rollback", sessions[1]],
  ] as const) {
    await session.unsafe(end);
    session.release();
  }
  assert.equal(await value(admin`select used::integer from coupon_stats(${lunch})`), 30);
  assert.equal(
    await value(owner`select count(*)::integer from coupon.use_counts where coupon_id = ${lunch}`),
    2,
  );
});

test("a use, and taking it back, is durable, though the session asked for less", async () => {
  const { holder, lunch } = await held();
  for (const command of [
    admin`select outcome from use_coupon(${holder}, ${lunch}, 'order 1')`,
    admin`select outcome from undo_use(${holder}, ${lunch}, 'why')`,
  ]) {
    const setting = await admin.begin(async (sql) => {
      await sql`set local synchronous_commit = off`;
      await sql`${command}`;
      return value(sql`show synchronous_commit`);
    });
    assert.equal(setting, "on");
  }
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
