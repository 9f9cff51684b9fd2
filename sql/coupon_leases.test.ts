import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { inTime, until, waiting, waitsFirst } from "../bench/harness/waiting.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, watch, apiUrl, user, crowd, coupon, upcoming, issue, expire } = await testDatabase();
const api = connect(apiUrl, { max: 4 });
test.after(() => api.end({ timeout: 1 }));

type Lease = [string, string | null, number, number | null, number | null, number[] | null];

/** In seconds; holders as numbers. */
const lease = async (coupon_id: number, known_position = 0): Promise<Lease> =>
  (
    await rows(api`
      select outcome, refusal, extract(epoch from valid_for)::float8, extract(epoch from starts_in)::float8, issued,
        holders::integer[]
      from coupon_leases(array[${coupon_id}]::bigint[], array[${known_position}]::integer[])`)
  )[0] as Lease;

/** Sold out, by so many users, in order of position. */
async function soldOut(count: number): Promise<{ id: number; holders: number[] }> {
  const holders = await crowd(count);
  const id = await coupon({ count });
  await admin`select from issue_coupons(${id}, ${holders}::bigint[])`;
  return { id, holders };
}

/** Leases of the coupon until its start_time or expiry ends this refusal; none may reach beyond that. */
function leasesUntilItEnds(
  id: number,
  instant: "start_time" | "eligible_from" | "expiry",
  refusal: string,
): Promise<Lease[]> {
  return inTime(async (ms) => {
    await owner`
      update coupon.coupons set ${owner(instant)} = clock_timestamp() + ${ms} * interval '1 ms' where id = ${id}`;
    const leases: Lease[] = [];
    for (let now = await lease(id); now[1] === refusal; now = await lease(id)) {
      leases.push(now);
    }
    return leases.some(([, , valid_for]) => valid_for < 1) ? leases : undefined;
  });
}

/** Of the next upcoming coupon: each has a day of its own. */
let upcomingDays = 200;

const isLeased = (id: number) => value(owner`select is_leased from coupon.leases where coupon_id = ${id}`);

test("coupon_not_found", async () => {
  assert.deepEqual(await lease(999_999), ["coupon_not_found", null, null, null, null, null]);
});

test("not_leased while somebody can be granted, and nothing is written", async () => {
  const lunch = await coupon();
  assert.deepEqual(await lease(lunch), ["not_leased", null, null, null, null, null]);
  assert.equal(await isLeased(lunch), false);
});

test("sold_out: a second, for all but the holders", async () => {
  const { id, holders } = await soldOut(3);
  assert.deepEqual(await lease(id), ["leased", "sold_out", 1, null, 3, holders]);
});

test("holders are this coupon's only", async () => {
  const [first, second] = [await soldOut(2), await soldOut(4)];
  assert.deepEqual((await lease(first.id))[5], first.holders);
  assert.deepEqual((await lease(second.id))[5], second.holders);
});

test("not_started: starts_in, and never beyond start_time", async () => {
  const far = await lease(await upcoming(1));
  assert.deepEqual([far[0], far[1], far[2], far[4], far[5]], ["leased", "not_started", 1, 0, []]);
  assert.ok((far[3] ?? 0) > 3_000, `${far[3]}`);

  for (const [outcome, , valid_for, starts_in] of await leasesUntilItEnds(
    await upcoming(2),
    "start_time",
    "not_started",
  )) {
    assert.equal(outcome, "leased");
    assert.equal(valid_for, Math.min(1, starts_in ?? 0), "valid until the microsecond of start_time");
  }
});

/** An upcoming coupon whose group may have it since long ago, and a member. */
async function early(days: number, count = 10): Promise<{ id: number; member: number }> {
  const [id, member] = [await coupon({ count, from: `${days} days`, until: "1000 days" }), await user()];
  await admin`select from add_to_group('vip', ${[member]}::bigint[])`;
  await owner`
    update coupon.coupons set eligible_group = 'vip', eligible_from = clock_timestamp() - interval '600 days' where id = ${id}`;
  return { id, member };
}

test("not_started: never beyond eligible_from, and from then on none", async () => {
  const { id } = await early(300);
  const leases = await leasesUntilItEnds(id, "eligible_from", "not_started");
  const ahead = (await value(
    owner`select extract(epoch from start_time - eligible_from)::float8 from coupon.coupons where id = ${id}`,
  )) as number;
  for (const [outcome, , valid_for, starts_in] of leases) {
    assert.equal(outcome, "leased");
    const left = (starts_in ?? 0) - ahead;
    assert.ok(Math.abs(valid_for - Math.min(1, left)) < 0.000_01, `${valid_for}, ${left}`);
  }
  assert.deepEqual(await lease(id), ["not_leased", null, null, null, null, null]);
});

test("not_leased while it is early, paused or sold out too: others are told not_started", async () => {
  const { id, member } = await early(310, 1);
  await admin`select from pause_coupon(${id})`;
  assert.deepEqual(await lease(id), ["not_leased", null, null, null, null, null]);
  await admin`select from resume_coupon(${id})`;
  assert.equal(await issue(member, id), "issued");
  assert.equal(await issue(await user(), id), "not_started");
  assert.deepEqual(await lease(id), ["not_leased", null, null, null, null, null]);
  await owner.begin(async (sql) => {
    await sql`alter table coupon.coupons disable trigger coupons_start_time_is_fixed_once_issued`;
    await sql`update coupon.coupons set start_time = eligible_from + interval '1 day' where id = ${id}`;
    await sql`alter table coupon.coupons enable trigger coupons_start_time_is_fixed_once_issued`;
  });
  assert.deepEqual(await lease(id), ["leased", "sold_out", 1, null, 1, [member]]);
});

test("an early start that is set while the refusal is leased waits until the lease has run out", async () => {
  const id = await upcoming(320);
  assert.equal((await lease(id))[1], "not_started");
  const change = value(admin`
    select outcome from set_coupon_group(${id}, 'vip', clock_timestamp() + interval '1 hour')`);
  assert.equal(await waitsFirst(watch, change, "PgSleep"), true);
  assert.equal(await change, "changed");
  assert.equal(await isLeased(id), false);
  assert.equal((await lease(id))[1], "not_started");
  const byHand = owner`
    update coupon.coupons set eligible_from = clock_timestamp() - interval '1 day' where id = ${id}`;
  assert.equal(await waitsFirst(watch, byHand.execute(), "PgSleep"), true);
  await byHand;
  assert.deepEqual(await lease(id), ["not_leased", null, null, null, null, null]);
});

test("paused, with those who were granted before", async () => {
  const lunch = await coupon();
  const early = await user();
  await issue(early, lunch);
  await admin`select from pause_coupon(${lunch})`;
  assert.deepEqual(await lease(lunch), ["leased", "paused", 1, null, 1, [early]]);
});

test("ended", async () => {
  const lunch = await coupon();
  await expire(lunch);
  assert.deepEqual(await lease(lunch), ["leased", "ended", 1, null, 0, []]);
});

test("never beyond expiry: ended comes before sold_out", async () => {
  const { id } = await soldOut(1);
  for (const [outcome] of await leasesUntilItEnds(id, "expiry", "sold_out")) assert.equal(outcome, "leased");
});

test("ended: not_leased while a grant that was made before expiry is not committed", async () => {
  await inTime(async (ms) => {
    const [lunch, winner] = [await coupon(), await user()];
    await owner`update coupon.coupons set expiry = clock_timestamp() + ${ms} * interval '1 ms' where id = ${lunch}`;
    const session = await admin.reserve();
    try {
      await session`begin`;
      const outcome = await value(session`select outcome from issue_coupon(${winner}, ${lunch})`);
      if (outcome === "ended") return undefined;
      assert.equal(outcome, "issued");
      const isPast = () =>
        value(watch`select clock_timestamp() >= expiry from coupon.coupons where id = ${lunch}`);
      await until(async () => (await isPast()) === true, "its expiry is past");
      assert.deepEqual(await lease(lunch), ["not_leased", null, null, null, null, null]);
      await session`commit`;
      assert.deepEqual(await lease(lunch), ["leased", "ended", 1, null, 1, [winner]]);
      return true;
    } finally {
      await session`rollback`;
      session.release();
    }
  });
});

test("ended: not_leased while a restock and a grant from before expiry are not committed", async () => {
  await inTime(async (ms) => {
    const [{ id, holders }, winner] = [await soldOut(1), await user()];
    await owner`
      update coupon.coupons set expiry = clock_timestamp() + (1000 + ${ms}) * interval '1 ms' where id = ${id}`;
    await lease(id); // from now on it is leased, and the restock waits for a second
    const session = await admin.reserve();
    try {
      await session`begin`;
      await session`select from set_coupon_count(${id}, 2)`;
      const outcome = await value(session`select outcome from issue_coupon(${winner}, ${id})`);
      if (outcome !== "issued") return undefined;
      const isPast = () =>
        value(watch`select clock_timestamp() >= expiry from coupon.coupons where id = ${id}`);
      await until(async () => (await isPast()) === true, "its expiry is past");
      assert.deepEqual(await lease(id), ["not_leased", null, null, null, null, null]);
      await session`commit`;
      assert.deepEqual(await lease(id), ["leased", "ended", 1, null, 2, [...holders, winner]]);
      return true;
    } finally {
      await session`rollback`;
      session.release();
    }
  });
});

test("a lease waits for nobody who issues, and nobody who issues waits for it", async () => {
  const [{ id }, later, ended, { id: gone }, paused, live, winner] = [
    await soldOut(1),
    await upcoming(3),
    await coupon(),
    await soldOut(1),
    await coupon(),
    await coupon(),
    await user(),
  ];
  await admin`select from pause_coupon(${paused})`;
  for (const one of [ended, gone, paused]) await expire(one);
  const issuing = await admin.reserve();
  const asking = await api.reserve();
  try {
    await asking`begin`;
    const ask = (one: number) => value(asking`select outcome from coupon_leases(array[${one}]::bigint[])`);
    assert.equal(await ask(ended), "leased");
    await issuing`begin`;
    await issuing`set local lock_timeout = '1ms'`;
    assert.equal(await value(issuing`select outcome from issue_coupon(${winner}, ${live})`), "issued");
    await asking`set local lock_timeout = '1ms'`;
    for (const one of [id, later, gone, paused]) assert.equal(await ask(one), "leased");
    // Of this one a grant could be left.
    assert.equal(await ask(ended), "not_leased");
  } finally {
    for (const session of [issuing, asking]) {
      await session`rollback`;
      session.release();
    }
  }
});

/** Asserts that a change waits until the leases that are out have run out. */
async function waitsForLeases(id: number, change: (id: number) => PromiseLike<unknown>) {
  const sentAt = performance.now();
  assert.equal((await lease(id))[0], "leased");
  assert.equal(await isLeased(id), true);
  const changed = (async () => change(id))();
  await waiting(watch, 1, "PgSleep");
  assert.equal((await lease(id))[0], "not_leased");
  // The table has the same oid in other tests' databases, which are copies of the same template.
  const issuing = owner`
    select count(*)::integer
    from pg_locks l
    join pg_database d on d.oid = l.database
    where d.datname = current_database() and l.relation = 'coupon.issuing'::regclass and l.mode = 'ExclusiveLock'`;
  assert.equal(await value(issuing), 0, "nobody who issues waits with it");
  await changed;
  assert.ok(performance.now() - sentAt > 1_000);
  assert.equal(await isLeased(id), false);
}

for (const [name, change] of [
  ["set_coupon_count", (id: number) => admin`select outcome from set_coupon_count(${id}, 50)`],
  ["pause_coupon", (id: number) => admin`select outcome from pause_coupon(${id})`],
  [
    "set_coupon_expiry",
    (id: number) =>
      admin`select outcome from set_coupon_expiry(${id}, clock_timestamp() + interval '3 days')`,
  ],
  ["count by hand", (id: number) => owner`update coupon.coupons set count = count + 1 where id = ${id}`],
  ["paused by hand", (id: number) => owner`update coupon.coupons set paused = true where id = ${id}`],
  [
    "expiry by hand",
    (id: number) => owner`update coupon.coupons set expiry = expiry + interval '1 day' where id = ${id}`,
  ],
] as const)
  test(`${name} waits until the leases have run out`, async () => {
    const { id } = await soldOut(2);
    await waitsForLeases(id, change);
  });

for (const [n, [what, end]] of (
  [
    [
      "a coupon deleted, and made again with the same id and started",
      (id) =>
        owner.begin(async (sql) => {
          await sql`create temporary table was on commit drop as select * from coupon.coupons where id = ${id}`;
          await sql`update was set start_time = clock_timestamp() - interval '1 year'`;
          await sql`delete from coupon.coupons where id = ${id}`;
          await sql`insert into coupon.coupons overriding system value select * from was`;
        }),
    ],
    ["another id", (id) => owner`update coupon.coupons set id = default where id = ${id}`],
    ["is_leased, by hand", (id) => owner`update coupon.leases set is_leased = false where coupon_id = ${id}`],
    ["its row of leases, deleted by hand", (id) => owner`delete from coupon.leases where coupon_id = ${id}`],
  ] as [string, (id: number) => PromiseLike<unknown>][]
).entries())
  test(`${what}: waits until the leases have run out`, async () => {
    const id = await upcoming(20 + n);
    assert.equal((await lease(id))[0], "leased");
    const ended = (async () => end(id))();
    await waiting(watch, 1, "PgSleep");
    assert.equal((await lease(id))[0], "not_leased");
    await ended;
  });

test("leases can't be truncated", async () => {
  await assert.rejects(owner`truncate coupon.leases`, { constraint_name: "leases_run_out" });
});

test("resume_coupon waits until nobody says paused any more", async () => {
  const lunch = await coupon();
  await admin`select from pause_coupon(${lunch})`;
  await waitsForLeases(lunch, (id) => admin`select from resume_coupon(${id})`);
  assert.equal(await issue(await user(), lunch), "issued");
});

for (const [name, change] of [
  [
    "set_coupon_start, to an earlier start",
    (id: number) => admin`select o.outcome
        from coupon.coupons c cross join lateral set_coupon_start(c.id, c.start_time - interval '1 hour') o
        where c.id = ${id}`,
  ],
  [
    "set_coupon_start, to a later start",
    (id: number) =>
      admin`select o.outcome
        from coupon.coupons c cross join lateral set_coupon_start(c.id, c.start_time + interval '1 hour') o
        where c.id = ${id}`,
  ],
  [
    "start_time by hand",
    (id: number) =>
      owner`update coupon.coupons set start_time = start_time - interval '1 hour' where id = ${id} returning 'changed'`,
  ],
] as const)
  test(`${name}, waits until nobody says not_started any more`, async () => {
    const lunch = await upcoming(upcomingDays++);
    await waitsForLeases(lunch, async (id) => assert.equal(await value(change(id)), "changed"));
  });

for (const [name, change] of [
  ["withdraw_coupon", (id: number) => admin`select from withdraw_coupon(${id})`],
  ["a delete by hand", (id: number) => owner`delete from coupon.coupons where id = ${id}`],
] as const)
  test(`${name} waits until nobody says not_started any more, and there is no lease after it`, async () => {
    const lunch = await upcoming(upcomingDays++);
    const sentAt = performance.now();
    assert.equal((await lease(lunch))[0], "leased");
    const changed = (async () => change(lunch))();
    await waiting(watch, 1, "PgSleep");
    assert.equal((await lease(lunch))[0], "not_leased");
    await changed;
    assert.ok(performance.now() - sentAt > 1_000);
    assert.equal((await lease(lunch))[0], "coupon_not_found");
  });

test("edit_coupon waits for no lease: what it changes decides nothing", async () => {
  const lunch = await upcoming(upcomingDays++);
  assert.equal((await lease(lunch))[0], "leased");
  await notWaiting(admin`select from edit_coupon(${lunch}, code => 'EDITED', message => 'm')`);
});

test("not_leased while a change of the coupon is not committed", async () => {
  const { id } = await soldOut(2);
  await owner.begin(async (sql) => {
    await sql`select coupon.outlive_leases(${id})`;
    assert.equal((await lease(id))[0], "not_leased");
  });
  assert.equal((await lease(id))[0], "leased");
});

test("a change of a coupon that isn't leased does not wait for another one's leases", async () => {
  const [{ id }, leased] = [await soldOut(1), await soldOut(2)];
  await lease(leased.id);
  await notWaiting(admin`select from set_coupon_count(${id}, 9)`);
  await notWaiting(admin`select from pause_coupon(${id})`);
});

test("a coupon that can be issued has no lease: its change does not wait", async () => {
  const lunch = await coupon();
  await admin`select from pause_coupon(${lunch})`;
  await lease(lunch);
  await admin`select from resume_coupon(${lunch})`;
  await owner`update coupon.leases set is_leased = true where coupon_id = ${lunch}`; // from before its start, say
  await notWaiting(admin`select from pause_coupon(${lunch})`);
});

/** Asserts that a change does not sleep. */
async function notWaiting(change: PromiseLike<unknown>) {
  assert.equal(await waitsFirst(watch, change, "PgSleep"), false);
  await change;
}

for (const [name, change] of [
  ["pause_coupon", (id: number) => admin`select from pause_coupon(${id})`],
  ["set_coupon_count", (id: number) => admin`select from set_coupon_count(${id}, 9)`],
  ["set_coupon_expiry", (id: number) => admin`select from set_coupon_expiry(${id}, '9000-01-01Z')`],
  [
    "set_coupon_start",
    (id: number) => admin`select from set_coupon_start(${id}, clock_timestamp() + '1 hour')`,
  ],
  [
    "set_coupon_group",
    (id: number) => admin`select from set_coupon_group(${id}, 'vip', clock_timestamp() + '1 hour')`,
  ],
  ["withdraw_coupon", (id: number) => admin`select from withdraw_coupon(${id})`],
] as const)
  test(`other coupons are issued while ${name} waits for a lease`, async () => {
    const [leased, other, asker] = [await upcoming(upcomingDays++), await coupon(), await user()];
    const asking = await api.reserve();
    try {
      await asking`begin`;
      await asking`select from coupon_leases(array[${leased}]::bigint[])`;
      const changed = change(leased).execute();
      await waiting(watch);
      assert.equal(await issue(asker, other), "issued");
      await asking`commit`;
      await changed;
    } finally {
      await asking`rollback`;
      asking.release();
    }
  });

test("only the first lease after a change is durable", async () => {
  const { id } = await soldOut(1);
  const commit = () =>
    api.begin(async (sql) => {
      await sql`select from coupon_leases(array[${id}]::bigint[])`;
      return value(sql`show synchronous_commit`);
    });
  const version = () => value(owner`select ctid::text from coupon.leases where coupon_id = ${id}`);
  assert.equal(await commit(), "on");
  const first = await version();
  assert.deepEqual([await commit(), await commit()], ["off", "off"]);
  assert.equal(await version(), first);
  await admin`select from set_coupon_count(${id}, 9)`;
  await admin`select from set_coupon_count(${id}, 1)`;
  assert.equal(await commit(), "on");
});

test("holders that another database knew are told anew", async () => {
  const { id, holders } = await soldOut(3);
  const ask = async (position: number, issuedAt: unknown) =>
    (
      await rows(api`
        select holders_after, holders::integer[] from coupon_leases(
          array[${id}]::bigint[], array[${position}]::integer[], array[${issuedAt as string}::text]::timestamptz[])`)
    )[0];
  const last = await value(api`select last_issued_at::text from coupon_leases(array[${id}]::bigint[])`);
  assert.deepEqual(await ask(3, last), [3, []]);
  assert.deepEqual(await ask(2, last), [2, holders.slice(2)]);
  assert.deepEqual(await ask(0, null), [0, holders]);
  for (const [position, issuedAt] of [
    [3, "2026-01-01Z"], // a failover lost its grant, and it was issued again
    [4, last], // a backup of before was restored
    [3, null],
  ] as const)
    assert.deepEqual(await ask(position, issuedAt), [0, holders]);
});

test("no new lease of a coupon while somebody waits to change it, so that the change is not put off for ever", async () => {
  const [{ id }, other] = [await soldOut(1), await soldOut(2)];
  await lease(id); // from now on a lease is no more than the lock of a row, which others may share
  const asking = await api.reserve();
  try {
    await asking`begin`;
    await asking`select from coupon_leases(array[${id}]::bigint[])`;
    const change = admin`select from set_coupon_count(${id}, 9)`.execute();
    await waiting(watch);
    assert.deepEqual(await rows(api`select outcome from coupon_leases(${`{${id},${other.id}}`}::bigint[])`), [
      ["not_leased"],
      ["leased"],
    ]);
    await asking`commit`;
    await change;
  } finally {
    await asking`rollback`;
    asking.release();
  }
});

test("a REPEATABLE READ caller doesn't miss a lease that is younger than its snapshot", async () => {
  const { id } = await soldOut(1);
  const session = await admin.reserve();
  await session`begin isolation level repeatable read`;
  await session`select from find_coupon(${id})`;
  await lease(id);
  await assert.rejects(session`select from set_coupon_count(${id}, 9)`, { code: "40001" });
  await session`rollback`;
  session.release();
});

test("not_leased with more than 100,000 holders: a server's memory is not the database", async () => {
  const { id } = await soldOut(2);
  await owner.unsafe(`
    alter table coupon.user_coupons disable trigger user;
    alter table coupon.coupons disable trigger coupons_issued_equals_grants;
    update coupon.coupons set issued = 100000, count = 100000 where id = ${id};
    insert into coupon.user_coupons (user_id, coupon_id, issued_at, expiry, issued_on, position)
    select 1000000 + n, ${id}, clock_timestamp(), expiry, '2020-01-01', n
    from coupon.coupons, generate_series(3, 100000) n where id = ${id};
    alter table coupon.user_coupons enable trigger user`);
  const [outcome, , , , issued, holders] = await lease(id);
  assert.deepEqual([outcome, issued, holders?.length], ["leased", 100_000, 100_000]);
  // Nor do several in one question.
  const other = await soldOut(1);
  const [first, second] = await rows(api`
    select outcome, cardinality(holders) from coupon_leases(array[${other.id}, ${id}]::bigint[])`);
  assert.deepEqual(
    [first, second],
    [
      ["leased", 1],
      ["not_leased", null],
    ],
  );
  await owner`update coupon.coupons set issued = 100001, count = 100001 where id = ${id}`;
  assert.equal((await lease(id))[0], "not_leased");
});

test("many coupons at once: one row each, in the order of the question, as if asked one by one", async () => {
  const [{ id, holders }, paused, live, later] = [
    await soldOut(3),
    await coupon(),
    await coupon(),
    await upcoming(9),
  ];
  await admin`select from pause_coupon(${paused})`;
  const asked = [live, 999_999, id, paused, later, id];
  const answers = await rows(api`
    select coupon_id::integer, outcome, refusal, issued, holders_after, holders::integer[]
    from coupon_leases(${`{${asked}}`}::bigint[], '{0,0,2,0,0,0}'::integer[],
      array[null, null, (select last_issued_at from coupon_leases(array[${id}]::bigint[])), null, null, null]::timestamptz[])`);
  assert.deepEqual(answers, [
    [live, "not_leased", null, null, null, null],
    [999_999, "coupon_not_found", null, null, null, null],
    [id, "leased", "sold_out", 3, 2, holders.slice(2)],
    [paused, "leased", "paused", 0, 0, []],
    [later, "leased", "not_started", 0, 0, []],
    [id, "leased", "sold_out", 3, 0, holders],
  ]);
  assert.deepEqual(await Promise.all([id, paused, later, live].map(isLeased)), [true, true, true, false]);
});

test("one that is leased for the first time makes the commit durable for all", async () => {
  const [known, fresh] = [await soldOut(1), await soldOut(2)];
  await lease(known.id);
  const commit = (ids: number[]) =>
    api.begin(async (sql) => {
      await sql`select from coupon_leases(${`{${ids}}`}::bigint[])`;
      return value(sql`show synchronous_commit`);
    });
  assert.equal(await commit([known.id]), "off");
  assert.equal(await commit([known.id, fresh.id]), "on");
  assert.equal(await commit([fresh.id, known.id]), "off");
  const both = api.begin(async (sql) => {
    await sql`select from coupon_leases(${`{${(await soldOut(3)).id}}`}::bigint[])`;
    await sql`select from coupon_leases(${`{${known.id}}`}::bigint[])`;
    return value(sql`show synchronous_commit`);
  });
  assert.equal(await both, "on", "what was written before in the transaction stays durable");
});

test("only_leased: nothing is written, and no coupon has its first lease", async () => {
  const [known, fresh] = [await soldOut(1), await soldOut(2)];
  await lease(known.id);
  const answers = api.begin(async (sql) => {
    const outcomes = await rows(sql`
      select outcome, coupon_id::integer
      from coupon_leases(${`{${fresh.id},${known.id}}`}::bigint[], only_leased => true)`);
    return [outcomes, await value(sql`show synchronous_commit`)];
  });
  assert.deepEqual(await answers, [
    [
      ["not_leased", fresh.id],
      ["leased", known.id],
    ],
    "off",
  ]);
  assert.equal(await isLeased(fresh.id), false);
});

test("while another call writes a coupon's first lease, the others are told theirs", async () => {
  const [known, fresh] = [await soldOut(1), await soldOut(2)];
  await lease(known.id);
  const session = await api.reserve();
  const ask = () =>
    rows(api`
      select outcome, coupon_id::integer from coupon_leases(${`{${fresh.id},${known.id}}`}::bigint[])`);
  try {
    await session`begin`;
    await session`select from coupon_leases(array[${fresh.id}]::bigint[])`;
    assert.deepEqual(await ask(), [
      ["not_leased", fresh.id],
      ["leased", known.id],
    ]);
    await session`commit`;
  } finally {
    await session`rollback`;
    session.release();
  }
  assert.deepEqual(await ask(), [
    ["leased", fresh.id],
    ["leased", known.id],
  ]);
});

test("refuses nulls, too many, a position below 0, and lists of another length", async () => {
  await refusesArgument(api`select from coupon_leases(null)`, "coupon_ids", "22004");
  await refusesArgument(
    api`select from coupon_leases(array[1], only_leased => null)`,
    "only_leased",
    "22004",
  );
  await refusesArgument(api`select from coupon_leases(array[1, null])`, "coupon_ids", "22023");
  await refusesArgument(api`select from coupon_leases(array[[1, 2]])`, "coupon_ids", "22023");
  await refusesArgument(
    api`select from coupon_leases(array(select generate_series(1::bigint, 1001)))`,
    "coupon_ids",
    "22023",
  );
  await refusesArgument(api`select from coupon_leases(array[1], array[-1])`, "known_positions", "22023");
  await refusesArgument(api`select from coupon_leases(array[1], array[1, 2])`, "known_positions", "22023");
  await refusesArgument(
    api`select from coupon_leases(array[1], array[1], array[]::timestamptz[])`,
    "known_issued_ats",
    "22023",
  );
});
