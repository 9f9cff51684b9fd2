/**
 * Every rule as a race of real sessions. A race begins with another session holding what all of them need; it lets go
 * when pg_stat_activity shows that all wait. An error counts like an outcome, under its constraint or SQLSTATE.
 */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import type postgres from "postgres";
import { makeCoupon, makeUsers } from "../bench/harness/coupons.ts";
import { declareZone, noonZone } from "../bench/harness/noon.ts";
import { type Scratch, scratchDatabase } from "../bench/harness/scratch.ts";
import { inTime, until, waiting, waitsFirst } from "../bench/harness/waiting.ts";
import { connect, type Sql } from "../db/connect.ts";

type Session = postgres.ReservedSql;
type Answer = { outcome: string; [column: string]: unknown };

const SESSIONS = 64;
/** So that no test sees midnight. */
const { time_zone, offset } = noonZone();

let database: Scratch;
let pool: Sql;
let watch: Sql;
const sessions: Session[] = [];

before(async () => {
  database = await scratchDatabase();
  pool = connect(database.adminUrl, { max: SESSIONS });
  watch = connect(database.setupUrl);
  await declareZone(database.owner, time_zone);
  // One after another: on a busy machine all at once take longer than a connection may.
  while (sessions.length < SESSIONS) sessions.push(await pool.reserve());
});

after(async () => {
  for (const session of sessions) session.release();
  await Promise.all([pool.end({ timeout: 1 }), watch.end({ timeout: 1 })]);
  await database.drop();
});

afterEach(async () => {
  assert.deepEqual([...(await database.admin`select * from reconcile()`)], []);
});

test("64 sessions ask for the last unit: one gets it", async () => {
  const coupon = await newCoupon(1);
  const users = await newUsers(64);
  const answers = await race(
    issuing(coupon),
    users.map((user, i) => () => issue(at(i), user, coupon)),
  );
  assert.deepEqual(tally(answers), { issued: 1, sold_out: 63 });
  assert.deepEqual(await positions(coupon), [1]);
});

test("64 users ask for 25 units: positions 1 to 25, and 39 are told that it is sold out", async () => {
  const coupon = await newCoupon(25);
  const users = await newUsers(64);
  const answers = await race(
    issuing(coupon),
    users.map((user, i) => () => issue(at(i), user, coupon)),
  );
  assert.deepEqual(tally(answers), { issued: 25, sold_out: 39 });
  assert.deepEqual(await positions(coupon), upTo(25));
  const [clock] = await database.owner`
    select bool_and(g.issued_at > g.before) as rises
    from (select issued_at, lag(issued_at) over (order by position) as before
      from coupon.user_coupons where coupon_id = ${coupon}) g`;
  assert.equal(clock?.["rises"], true);
});

test("positions follow the order of arrival", async () => {
  const coupon = await newCoupon(30);
  const users = await newUsers(40);
  const answers = await race(
    issuing(coupon),
    users.map((user, i) => () => issue(at(i), user, coupon)),
    "in turn",
  );
  assert.deepEqual(
    answers.map((answer) => answer["position"]),
    [...upTo(30), ...Array(10).fill(null)],
  );
});

test("whom nothing can be granted to waits for nobody", async () => {
  const [open, soldOut, paused] = [await newCoupon(9), await newCoupon(1), await newCoupon(8)];
  const ended = await newCoupon(7, { start: "-2 days", expiry: "-1 day" });
  const upcoming = await newCoupon(6, { start: "1 hour" });
  const [holder, spent, fresh] = (await newUsers(3)) as [number, number, number];
  assert.equal((await issue(at(0), holder, open)).outcome, "issued");
  assert.equal((await issue(at(0), spent, soldOut)).outcome, "issued");
  await at(0)`select from pause_coupon(${paused})`;
  const refused = async () =>
    Promise.all([
      issue(at(0), holder, open),
      issue(at(1), fresh, upcoming),
      issue(at(2), fresh, ended),
      issue(at(3), fresh, paused),
      issue(at(4), fresh, soldOut),
      issue(at(5), 9_007_199_254_740_991, open),
      issue(at(6), spent, open),
      issue(at(7), fresh, 9_007_199_254_740_991),
    ]);
  const answers = await holding(issuing(open), refused);
  assert.deepEqual(
    answers.map(({ outcome }) => outcome),
    // biome-ignore format: one line
    ["already_issued", "not_started", "ended", "paused", "sold_out", "user_not_found", "daily_limit_reached", "coupon_not_found"],
  );
});

test("a user at two coupons at once gets one, and the other coupon has no gap", async () => {
  for (let round = 0; round < 30; round++) {
    const [one, two] = [await newCoupon(9), await newCoupon(8)];
    const [user, a, b, c, d] = (await newUsers(5)) as [number, number, number, number, number];
    const asks = [
      () => issueAll(at(0), one, [a, user, b]),
      () => issueAll(at(1), two, round % 3 === 0 ? [user, c, d] : [c, user, d]),
    ];
    const turned = round % 2 ? asks.reverse() : asks;
    const answers =
      round < 10 ? await race(issuing(one), turned) : await Promise.all(turned.map((ask) => ask()));
    const won = answers.flat().filter((answer) => answer["user_id"] === `${user}`);
    assert.deepEqual(tally(won), { issued: 1, daily_limit_reached: 1 });
    assert.deepEqual(tally(answers.flat()), { issued: 5, daily_limit_reached: 1 });
    assert.deepEqual([await positions(one), await positions(two)].sort(byLength), [upTo(2), upTo(3)]);
  }
});

test("the same user 50 times at once: issued once, and 49 replays of the same position", async () => {
  const coupon = await newCoupon(5);
  const [user] = (await newUsers(1)) as [number];
  const answers = await race(
    issuing(coupon),
    upTo(50).map((_, i) => () => issue(at(i), user, coupon)),
  );
  assert.deepEqual(tally(answers), { issued: 1, already_issued: 49 });
  assert.deepEqual([...new Set(answers.map((answer) => answer["position"]))], [1]);
  assert.deepEqual(await positions(coupon), [1]);
});

test("batches of the same 1000 users in opposite order at two coupons: no deadlock, one grant each", async () => {
  for (let round = 0; round < 12; round++) {
    const [one, two] = [await newCoupon(600), await newCoupon(700)];
    const users = await newUsers(1000);
    const asks = [() => issueAll(at(0), one, users), () => issueAll(at(1), two, users.toReversed())];
    const [first, second] = await Promise.all((round % 2 ? asks.reverse() : asks).map((ask) => ask()));
    const answers = [...(first ?? []), ...(second ?? [])];
    const winners = answers.filter(({ outcome }) => outcome === "issued").map((answer) => answer["user_id"]);
    assert.equal(winners.length, 1000);
    assert.equal(new Set(winners).size, 1000);
    // Who came first sold out; the other served the rest, in its own order, and refused those who had theirs.
    const [taken, rest] = [await positions(one), await positions(two)];
    assert.ok(taken.length === 600 || rest.length === 700);
    assert.deepEqual([taken, rest], [upTo(taken.length), upTo(1000 - taken.length)]);
    const soldOut = taken.length === 600 ? 400 : 300;
    assert.deepEqual(tally(answers), {
      issued: 1000,
      sold_out: soldOut,
      daily_limit_reached: 1000 - soldOut,
    });
  }
});

test("32 uses at once with different references: one is used, 31 are told which", async () => {
  const [coupon, user] = await granted();
  const answers = await race(
    theGrant(coupon, user),
    upTo(32).map((n, i) => () => use(at(i), user, coupon, `order ${n}`)),
  );
  assert.deepEqual(tally(answers), { used: 1, already_used: 31 });
  const winner = answers.find(({ outcome }) => outcome === "used");
  assert.deepEqual(
    [...new Set(answers.map((answer) => answer["use_reference"]))],
    [winner?.["use_reference"]],
  );
  assert.deepEqual([...new Set(answers.map((answer) => answer["used_date"]))], [winner?.["used_date"]]);
});

test("32 uses at once with the same reference: all are used, at one instant", async () => {
  const [coupon, user] = await granted();
  const answers = await race(
    theGrant(coupon, user),
    upTo(32).map((_, i) => () => use(at(i), user, coupon, "order 1")),
  );
  assert.deepEqual(tally(answers), { used: 32 });
  assert.equal(new Set(answers.map((answer) => answer["used_date"])).size, 1);
});

test("pause_coupon amid claims: who came before it is served, who waited behind it is not", async () => {
  const coupon = await newCoupon(40);
  const users = await newUsers(20);
  const claims = users.map((user, i) => () => issue(at(i), user, coupon));
  const answers = await race(
    issuing(coupon),
    [...claims.slice(0, 10), () => row(at(30)`select * from pause_coupon(${coupon})`), ...claims.slice(10)],
    "in turn",
  );
  assert.deepEqual(tally(answers.slice(0, 10)), { issued: 10 });
  assert.deepEqual(tally(answers.slice(10)), { paused: 11 });
  assert.deepEqual(await positions(coupon), upTo(10));
});

test("set_coupon_count amid claims: the new count is issued, exactly", async () => {
  const coupon = await newCoupon(5);
  const users = await newUsers(20);
  const claims = users.map((user, i) => () => issue(at(i), user, coupon));
  const answers = await race(
    issuing(coupon),
    [
      ...claims.slice(0, 10),
      () => row(at(30)`select * from set_coupon_count(${coupon}, 8)`),
      ...claims.slice(10),
    ],
    "in turn",
  );
  assert.deepEqual(tally(answers), { issued: 8, sold_out: 12, changed: 1 });
  assert.deepEqual(tally(answers.slice(0, 10)), { issued: 5, sold_out: 5 });
  assert.deepEqual(await positions(coupon), upTo(8));
});

test("set_coupon_expiry amid claims: every grant carries the new expiry", async () => {
  const coupon = await newCoupon(40);
  const users = await newUsers(20);
  const claims = users.map((user, i) => () => issue(at(i), user, coupon));
  const answers = await race(
    issuing(coupon),
    [...claims.slice(0, 10), () => setExpiry(at(30), coupon, "9 days"), ...claims.slice(10)],
    "in turn",
  );
  assert.deepEqual(tally(answers), { issued: 20, changed: 1 });
  const expiries = await database.owner`
    select g.expiry = c.expiry and g.expiry > now() + interval '8 days' as follows, count(*)::integer as grants
    from coupon.user_coupons g join coupon.coupons c on c.id = g.coupon_id
    where c.id = ${coupon}
    group by 1`;
  assert.deepEqual([...expiries], [{ follows: true, grants: 20 }]);
});

test("pause, restock and expiry changes in a storm: no error, nothing issued while paused", async () => {
  const coupon = await newCoupon(60);
  const users = await newUsers(400);
  const answers: Answer[] = [];
  let over = false;
  const storm = sessions.slice(0, 20).map(async (session, i) => {
    for (let n = i; !over; n += 7) answers.push(await issue(session, users[n % users.length] ?? 0, coupon));
  });
  const { admin, owner } = database;
  try {
    for (let step = 1; step <= 12; step++) {
      assert.equal((await row(admin`select * from pause_coupon(${coupon})`)).outcome, "paused");
      const [from] = await admin`select clock_timestamp()::text as clock`;
      assert.equal((await setExpiry(admin, coupon, `${step} days`)).outcome, "changed");
      assert.equal(
        (await row(admin`select * from set_coupon_count(${coupon}, ${80 + step * 10})`)).outcome,
        "changed",
      );
      const [until] = await admin`select clock_timestamp()::text as clock`;
      assert.equal((await row(admin`select * from resume_coupon(${coupon})`)).outcome, "resumed");
      const [issued] = await owner`
        select count(*)::integer as amiss
        from coupon.user_coupons g
        where g.coupon_id = ${coupon} and g.issued_at between ${from?.["clock"]}::timestamptz and ${until?.["clock"]}::timestamptz`;
      assert.equal(issued?.["amiss"], 0);
    }
    await until(async () => (await positions(coupon)).length === 200, "everything is issued");
  } finally {
    over = true;
    await Promise.all(storm);
  }
  const { issued, ...others } = tally(answers);
  assert.equal(issued, 200);
  assert.deepEqual(
    Object.keys(others).filter((name) => !["already_issued", "paused", "sold_out"].includes(name)),
    [],
  );
  assert.deepEqual(await positions(coupon), upTo(200));
});

for (const level of ["repeatable read", "serializable"]) {
  test(`a ${level} caller with an old snapshot never oversells`, async () => {
    const [last, roomy, other] = [await newCoupon(1), await newCoupon(9), await newCoupon(8)];
    const [user, rival, lunch] = (await newUsers(3)) as [number, number, number];
    const session = at(0);
    const late = async (meanwhile: () => Promise<Answer>, ask: () => Promise<Answer>) => {
      await session.unsafe(`begin isolation level ${level}`);
      try {
        await session`select count(*) from live_coupons()`;
        assert.equal((await meanwhile()).outcome, "issued");
        return (await ask()).outcome;
      } finally {
        await session`rollback`;
      }
    };
    const outcomes = [
      await late(
        () => issue(at(1), rival, last),
        () => issue(session, user, last),
      ),
      await late(
        () => issue(at(1), user, roomy),
        () => issue(session, user, roomy),
      ),
      await late(
        () => issue(at(1), lunch, other),
        () => issue(session, lunch, roomy),
      ),
    ];
    assert.deepEqual(outcomes, ["40001", "40001", "40001"].with(2, "user_coupons_one_per_user_and_day"));
  });

  test(`a ${level} caller with an old snapshot: nobody who is forgotten gets, uses or is anything, and no member who left is early`, async () => {
    const [roomy, drink] = [await newCoupon(7), await newCoupon(6)];
    // Of a day on which no other test has one.
    const early = await newCoupon(5, { start: `${300 + level.length} days`, expiry: "400 days" });
    const [getter, user, leaver, guest] = (await newUsers(4)) as [number, number, number, number];
    assert.equal((await issue(at(1), user, drink)).outcome, "issued");
    await at(1)`select from add_to_group('old', ${[leaver, guest]}::bigint[])`;
    await database.owner`
      update coupon.coupons set eligible_group = 'old', eligible_from = clock_timestamp() where id = ${early}`;
    const session = at(0);
    const late = async (meanwhile: () => Promise<unknown>, ask: () => Promise<Answer>) => {
      await session.unsafe(`begin isolation level ${level}`);
      try {
        await session`select count(*) from live_coupons()`;
        await meanwhile();
        return (await ask()).outcome;
      } finally {
        await session`rollback`;
      }
    };
    const outcomes = [
      await late(
        () => forget(at(1), getter),
        () => issue(session, getter, roomy),
      ),
      await late(
        async () => {},
        () => use(session, user, drink, "before"),
      ),
      await late(
        () => forget(at(1), user),
        () => use(session, user, drink, "after"),
      ),
      await late(
        () => forget(at(1), leaver),
        async () => (await importUsers(session, [leaver], "Again"))[0] as Answer,
      ),
      await late(
        () => at(1)`select from remove_from_group('old', ${[guest]}::bigint[])`,
        () => issue(session, guest, early),
      ),
    ];
    assert.deepEqual(outcomes, ["40001", "used", "40001", "40001", "40001"]);
    assert.deepEqual(await positions(roomy), []);
    assert.deepEqual(await positions(early), []);
    // What others wrote since it would not find.
    assert.equal(
      await late(
        async () => {},
        () => forget(session, guest),
      ),
      "25000",
    );
  });

  test(`${level} callers who retry after 40001: exactly count`, async () => {
    const coupon = await newCoupon(5);
    const users = await newUsers(20);
    const claim = async (session: Session, user: number): Promise<Answer> => {
      for (;;) {
        await session.unsafe(`begin isolation level ${level}`);
        const answer = await issue(session, user, coupon);
        const end = await row(session`commit`.then(() => [answer]));
        if (answer.outcome !== "40001" && end.outcome !== "40001") return end;
      }
    };
    const answers = await Promise.all(users.map((user, i) => claim(at(i), user)));
    assert.deepEqual(tally(answers), { issued: 5, sold_out: 15 });
    assert.deepEqual(await positions(coupon), upTo(5));
  });
}

test("set_time_zone against changes of a coupon whose place another one takes: no deadlock", async () => {
  const made = await Promise.all(
    // Each in the first slot of its day, from which the zone moves all to the next day.
    ["2039-03-01", "2039-03-02"].map((day, n) => create(at(n), `Z-${n}`, noonOn(day, 600), 1)),
  );
  assert.deepEqual(tally(made), { created: 2 });
  const [second] = await database.owner`select id::integer from coupon.coupons where code = 'Z-1'`;
  const [zone] = await database.owner`select time_zone as name from coupon.settings`;
  const id = second?.["id"];
  const changer = at(0);
  await changer`begin`;
  assert.equal((await row(changer`select * from pause_coupon(${id})`)).outcome, "paused");
  const moved = row(at(1)`select * from set_time_zone('Etc/GMT-14')`);
  await waiting(watch);
  const changed = setExpiry(changer, id, "9000 days");
  assert.equal((await changed).outcome, "changed");
  await changer`commit`;
  assert.equal((await moved).outcome, "changed");
  assert.equal((await row(at(1)`select * from set_time_zone(${zone?.["name"]})`)).outcome, "changed");
});

test("withdraw_coupon amid claims: who came before it keeps the coupon, and it stays", async () => {
  const coupon = await newCoupon(40);
  const users = await newUsers(20);
  const claims = users.map((user, i) => () => issue(at(i), user, coupon));
  const answers = await race(
    issuing(coupon),
    [...claims.slice(0, 10), () => withdraw(at(30), coupon), ...claims.slice(10)],
    "in turn",
  );
  assert.deepEqual(tally(answers), { issued: 20, has_grants: 1 });
  assert.deepEqual(await positions(coupon), upTo(20));
});

test("withdraw_coupon before claims: all that wait behind it find no coupon", async () => {
  const coupon = await newCoupon(40);
  const users = await newUsers(20);
  const claims = users.map((user, i) => () => issue(at(i), user, coupon));
  const answers = await race(issuing(coupon), [() => withdraw(at(30), coupon), ...claims], "in turn");
  assert.deepEqual(tally(answers), { withdrawn: 1, coupon_not_found: 20 });
  assert.deepEqual(await positions(coupon), []);
});

test("20 withdrawals at once: one withdraws, 19 are told", async () => {
  const coupon = await newCoupon(40);
  const answers = await race(
    issuing(coupon),
    upTo(20).map((_, i) => () => withdraw(at(i), coupon)),
  );
  assert.deepEqual(tally(answers), { withdrawn: 1, already_withdrawn: 19 });
});

test("a start that is put off while claims wait for it: nothing is issued before the new one", async () => {
  const coupon = await newCoupon(40, { start: "1 hour" });
  const users = await newUsers(20);
  const claim = (user: number, i: number) => () => issue(at(i), user, coupon);
  await inTime(async (ms) => {
    const start = await instantIn(ms);
    await database.owner`update coupon.coupons set start_time = ${start}::timestamptz where id = ${coupon}`;
    const holder = at(40);
    await holder`begin`;
    const moved = await row(holder`
      select outcome from set_coupon_start(${coupon}, clock_timestamp() + interval '2 hours')`);
    await untilPast(start);
    const answers = users.map((user, i) => claim(user, i)());
    await waiting(watch, users.length);
    await holder`commit`;
    if (moved.outcome !== "changed") return Promise.all(answers).then(() => undefined);
    assert.deepEqual(tally(await Promise.all(answers)), { not_started: 20 });
    return true;
  });
  assert.deepEqual(await positions(coupon), []);
  assert.equal((await withdraw(at(0), coupon)).outcome, "withdrawn");
});

test("edits, moves and withdrawals against a burst around each start: every grant is of a start that had come", async (t) => {
  const seen: Record<string, number> = {};
  let moved = 0;
  const sawAll = () => moved > 0 && (seen["issued"] ?? 0) > 0 && (seen["withdrawn"] ?? 0) > 0;
  // Four rounds; on a busy machine more, each of which waits twice as long, until all was seen that is to be seen.
  for (let round = 0; round < 4 || (round < 10 && !sawAll()); round++) {
    const longer = 2 ** Math.max(0, round - 3);
    const { owner, pool, watch: own } = await broken(t, 12);
    const session = pool as unknown as Session;
    const users = upTo(200).map((n) => 100 + n);
    await makeUsers(owner, users);
    const coupon = await makeCoupon(owner, { code: "DROP", count: 30, from: "1 hour" });
    await owner`
      update coupon.coupons set start_time = clock_timestamp() + ${longer} * interval '60 ms' where id = ${coupon}`;
    let over = false;
    const burst = upTo(10).map(async (i) => {
      const answers: Answer[] = [];
      for (let n = i; !over; n += 10)
        answers.push(await issue(session, users[n % users.length] ?? 0, coupon));
      return answers;
    });
    const changes = await Promise.all([
      row(pool`
        select outcome
        from set_coupon_start(${coupon}, clock_timestamp() + ${longer * (40 + (round % 4) * 20)} * interval '1 ms')`),
      row(pool`select outcome from edit_coupon(${coupon}, message => 'another')`),
      row(pool`select outcome from edit_coupon(${coupon}, code => 'OTHER')`),
      ...(round % 2 ? [withdraw(session, coupon)] : []),
    ]);
    await until(async () => {
      const [state] = await owner`
        select clock_timestamp() > start_time + interval '50 ms' as is_past from coupon.coupons where id = ${coupon}`;
      return state?.["is_past"] ?? true;
    }, "the start is past");
    over = true;
    const answers = (await Promise.all(burst)).flat();
    const grants = await owner`
      select g.position, g.issued_at >= c.start_time as is_in_time
      from coupon.user_coupons g left join coupon.coupons c on c.id = g.coupon_id
      order by g.position`;
    const issued = upTo(tally(answers)["issued"] ?? 0);
    assert.deepEqual(
      [...grants].map((grant) => ({ ...grant })),
      issued.map((position) => ({ position, is_in_time: true })),
    );
    assert.deepEqual([...(await owner`select * from reconcile()`)], []);
    for (const { outcome } of [...answers, ...changes]) seen[outcome] = (seen[outcome] ?? 0) + 1;
    if (changes[0]?.outcome === "changed") moved++;
    await Promise.all([pool.end({ timeout: 1 }), own.end({ timeout: 1 })]);
  }
  // biome-ignore format: one line
  const known = ["issued", "already_issued", "not_started", "sold_out", "daily_limit_reached", "coupon_not_found", "changed", "already_started", "in_the_past", "has_grants", "withdrawn"];
  assert.deepEqual(
    Object.keys(seen).filter((outcome) => !known.includes(outcome)),
    [],
  );
  assert.ok(
    sawAll(),
    `${moved} moves, ${seen["issued"] ?? 0} told issued, ${seen["withdrawn"] ?? 0} told withdrawn`,
  );
});

test("members and strangers around an early start and the start: nobody is early, and the units are exact", async (t) => {
  const seen: Record<string, number> = {};
  let early = 0;
  let leased = 0;
  const sawAll = () => early > 0 && leased > 0 && (seen["not_started"] ?? 0) > 0;
  // Three rounds; on a busy machine more, each of which waits and lasts twice as long, until all was seen that is to be seen.
  for (let round = 0; round < 3 || (round < 8 && !sawAll()); round++) {
    const count = [60, 150, 250][round % 3] as number;
    const longer = 2 ** Math.max(0, round - 2);
    const { owner, admin, pool, apiUrl, watch: own } = await broken(t, 12);
    const session = pool as unknown as Session;
    const users = upTo(300).map((n) => 100 + n);
    await makeUsers(owner, users);
    // The first third are members, the second come and go, the others never are.
    const [members, guests] = [users.slice(0, 100), users.slice(100, 200)];
    await admin`select from add_to_group('vip', ${members}::bigint[])`;
    const coupon = await makeCoupon(owner, { code: "DROP", count, from: "1 hour" });
    await owner`
      update coupon.coupons set eligible_group = 'vip', eligible_from = clock_timestamp() + ${longer} * interval '60 ms',
        start_time = clock_timestamp() + ${longer} * interval '160 ms'
      where id = ${coupon}`;
    let over = false;
    const mixed = users.map((_, i) => users[(i * 7) % users.length] as number);
    const burst = upTo(8).map(async (i) => {
      const answers: Answer[] = [];
      for (let n = i * 37; !over; n += 10)
        if (n % 3 > 0) answers.push(await issue(session, mixed[n % 300] as number, coupon));
        else answers.push(...(await issueAll(session, coupon, mixed.slice(n % 290, (n % 290) + 10))));
      return answers;
    });
    const changes = (async () => {
      for (let n = 0; !over; n++)
        await pool.unsafe(`select from ${n % 2 ? "remove_from" : "add_to"}_group('vip', $1)`, [guests]);
    })();
    const api = connect(apiUrl);
    const leases = (async () => {
      const wrong: unknown[] = [];
      while (!over) {
        // Counted from before it was asked, as a server does.
        const [lease] = await api`
          select l.refusal, (a.at + l.valid_for)::text as until
          from (select clock_timestamp() as at) a
          cross join lateral coupon_leases(array[case when a.at is not null then ${coupon}::bigint end]) l
          where l.refusal = 'not_started'`;
        if (lease) leased++;
        const [beyond] = await owner`
          select from coupon.coupons
          where id = ${coupon} and eligible_from < ${lease?.["until"] ?? null}::text::timestamptz`;
        if (beyond) wrong.push(lease);
      }
      return wrong;
    })();
    await until(async () => {
      const [state] = await owner`
        select clock_timestamp() > start_time and issued = count as is_over from coupon.coupons where id = ${coupon}`;
      return state?.["is_over"];
    }, "it is sold out after its start");
    over = true;
    const answers = (await Promise.all(burst)).flat();
    await changes;
    assert.deepEqual(await leases, []);
    await api.end({ timeout: 1 });
    const [first] = await owner`
      select count(*)::integer as early from coupon.user_coupons g join coupon.coupons c on c.id = g.coupon_id
      where c.id = ${coupon} and g.issued_at < c.start_time`;
    early += first?.["early"];
    const grants = await owner`
      select g.position, g.issued_at >= c.start_time or g.issued_at >= c.eligible_from and g.user_id <= 300 as is_in_time
      from coupon.user_coupons g join coupon.coupons c on c.id = g.coupon_id
      where c.id = ${coupon} order by g.position`;
    assert.deepEqual(
      [...grants].map((grant) => ({ ...grant })),
      upTo(count).map((position) => ({ position, is_in_time: true })),
    );
    assert.equal(tally(answers)["issued"], count);
    assert.deepEqual([...(await owner`select * from reconcile()`)], []);
    for (const { outcome } of answers) seen[outcome] = (seen[outcome] ?? 0) + 1;
    await Promise.all([pool.end({ timeout: 1 }), own.end({ timeout: 1 })]);
  }
  const known = ["issued", "already_issued", "not_started", "sold_out", "daily_limit_reached"];
  assert.deepEqual(
    Object.keys(seen).filter((outcome) => !known.includes(outcome)),
    [],
  );
  assert.ok(
    sawAll(),
    `${early} early grants, ${leased} leases, ${seen["not_started"] ?? 0} told not_started`,
  );
});

test("remove_from_group waits for who is being granted as a member", async () => {
  const coupon = await newCoupon(3, { start: "2 hours" });
  const [ann, ben] = (await newUsers(2)) as [number, number];
  await at(0)`select from add_to_group('leaving', ${[ann, ben]}::bigint[])`;
  await database.owner`
    update coupon.coupons set eligible_group = 'leaving', eligible_from = clock_timestamp() - interval '1 minute'
    where id = ${coupon}`;
  const removed = await holding(
    async (owner) => {
      assert.equal((await issue(owner, ann, coupon)).outcome, "issued");
    },
    async () => {
      const answer = row(
        at(1)`select outcome from remove_from_group('leaving', ${[ann, ben]}::bigint[]) limit 1`,
      );
      await waiting(watch);
      const next = issue(at(2), ben, coupon);
      await waiting(watch, 2);
      return { answer, next };
    },
  );
  assert.equal((await removed.answer).outcome, "removed");
  assert.equal((await removed.next).outcome, "not_started");
  assert.deepEqual(await positions(coupon), [1]);
});

test("remove_from_group against forget_user of a member: no deadlock, whoever comes first", async () => {
  const removed = (session: Session, user: number) =>
    row(session`select outcome from remove_from_group('parting', array[${user}]::bigint[])`);
  for (const acts of [
    [removed, forget],
    [forget, removed],
  ]) {
    const [user = 0] = await newUsers(1);
    await at(0)`select from add_to_group('parting', array[${user}]::bigint[])`;
    const answers = await race(
      issuing(await newCoupon(1)),
      acts.map((act, i) => () => act(at(i), user)),
      "in turn",
    );
    assert.deepEqual(
      answers.map(({ outcome }) => outcome),
      acts[0] === removed ? ["removed", "forgotten"] : ["forgotten", "not_member"],
    );
  }
});

test("20 coupons move to one day: three places are taken, and no more", async () => {
  const movers: number[] = [];
  for (const n of upTo(20)) {
    const made = await row(at(0)`
      select outcome, coupon_id::integer from create_coupon(${`M-${n}`}, 'm', 'd', ${noonOn(`2042-01-${n}`.replace(/-(\d)$/, "-0$1"))}::timestamptz,
        '2045-01-01', ${n})`);
    movers.push(made["coupon_id"] as number);
  }
  const answers = await race(
    settings,
    movers.map(
      (coupon, i) => () =>
        row(at(i)`
        select outcome, slot from set_coupon_start(${coupon}, ${noonOn("2042-03-01", i)}::timestamptz)`),
    ),
  );
  assert.deepEqual(tally(answers), { changed: 3, day_full: 17 });
  const slots = answers.filter(({ outcome }) => outcome === "changed").map((answer) => answer["slot"]);
  assert.deepEqual(slots.sort(), [1, 2, 3]);
});

test("create_coupon from 20 sessions for one day: three are created", async () => {
  const differing = await race(
    settings,
    upTo(20).map((n, i) => () => create(at(i), `D-${n}`, noonOn("2040-01-01", n), n)),
  );
  assert.deepEqual(tally(differing), { created: 3, day_full: 17 });
  const slots = differing.filter(({ outcome }) => outcome === "created").map((answer) => answer["slot"]);
  assert.deepEqual(slots.sort(), [1, 2, 3]);
  const identical = await race(
    settings,
    upTo(20).map((_, i) => () => create(at(i), "SAME", noonOn("2040-01-02"), 1)),
  );
  assert.deepEqual(tally(identical), { created: 1, already_created: 19 });
  const alike = await race(
    settings,
    upTo(20).map((n, i) => () => create(at(i), `E-${n}`, noonOn("2040-01-03", n % 2 ? 0 : n), 7)),
  );
  const { created, start_time_taken = 0, count_taken = 0 } = tally(alike);
  assert.deepEqual([created, start_time_taken + count_taken], [1, 19]);
});

test("fill_days from 20 sessions, amid previews and a change of the plan: each coupon is made once, by one plan", async () => {
  const { admin } = database;
  const ofEachDay = (slot: number, hour: number, count: number) => admin`
    select from generate_series(1, 7) w,
      set_plan_entry(w, ${slot}, ${`P${slot}-{date}`}, 'm', 'd', make_time(${hour}, 0, 0), '23:59', ${count})`;
  await ofEachDay(1, 22, 71);
  await ofEachDay(2, 23, 72);
  const fill = (i: number) => async () => {
    const made = await at(i)`select outcome, day, slot, count from fill_days(current_date + 10)`;
    return made.filter(({ outcome }) => outcome === "made").map(({ count }) => count as number);
  };
  const preview = (i: number) => async () => {
    await at(i)`select from preview_days()`;
    return [];
  };
  const change = async () => {
    await ofEachDay(2, 23, 73);
    return [];
  };
  const made = await race<number[]>(settings, [
    ...upTo(10).map((n) => fill(n)),
    change,
    ...upTo(10).map((n) => fill(10 + n)),
    ...upTo(5).map((n) => preview(20 + n)),
  ]);
  const fillers = made.filter((counts) => counts.length > 0);
  assert.equal(fillers.length, 1);
  const counts = [...new Set(fillers[0])].sort();
  assert.ok([72, 73].includes(counts[1] as number), `${counts}`);
  assert.deepEqual(counts, [71, counts[1]]);
  const [kept] = await admin`
    select count(*)::integer as planned, count(distinct (c.live_on, c.code))::integer as coupons, ${fillers[0]?.length ?? 0}::integer as told
    from coupon.planned m join coupon.coupons c on c.id = m.coupon_id`;
  assert.equal(kept?.["planned"], kept?.["told"]);
  assert.equal(kept?.["coupons"], kept?.["told"]);
  assert.ok(kept?.["told"] >= 20, `${kept?.["told"]}`);
});

test("two imports of the same users in opposite order: no deadlock, each made once", async () => {
  for (let round = 0; round < 20; round++) {
    const ids = upTo(1000).map((n) => 1_000_000_000 + round * 1000 + n);
    const answers = await Promise.all([
      importUsers(at(0), ids, "Ann"),
      importUsers(at(1), ids.toReversed(), "Ann"),
    ]);
    assert.deepEqual(answers.map(tally).sort(byName), [{ created: 1000 }, { unchanged: 1000 }]);
    const renamed = await Promise.all([
      importUsers(at(0), ids, "Ben"),
      importUsers(at(1), ids.toReversed(), "Cleo"),
    ]);
    assert.deepEqual(renamed.map(tally), [{ updated: 1000 }, { updated: 1000 }]);
  }
});

test("20 undos at once: one takes the use back, 19 find none", async () => {
  const [coupon, user] = await granted();
  assert.equal((await use(at(0), user, coupon, "order 1")).outcome, "used");
  const answers = await race(
    theGrant(coupon, user),
    Array.from({ length: 20 }, (_, i) => () => row(at(i)`select * from undo_use(${user}, ${coupon}, 'why')`)),
  );
  assert.deepEqual(tally(answers), { restored: 1, not_used: 19 });
});

test("undo_use against use_coupon: at most one new use, and the row says which", async () => {
  for (let round = 0; round < 40; round++) {
    const [coupon, user] = await granted();
    const first = await use(at(0), user, coupon, "old");
    const asks = [
      () =>
        row(
          at(0)`select outcome, used_date::text, use_reference from undo_use(${user}, ${coupon}, 'mistake')`,
        ),
      () => use(at(1), user, coupon, "new"),
      () => use(at(2), user, coupon, "old"),
    ];
    const [undone, ...uses] = await (round % 2
      ? race(theGrant(coupon, user), asks.slice(0, 1)).then(async (answers) => [
          ...answers,
          ...(await Promise.all(asks.slice(1).map((ask) => ask()))),
        ])
      : Promise.all(asks.map((ask) => ask())));
    assert.deepEqual(undone, { ...first, outcome: "restored" });
    const again = uses.filter(
      (answer) => answer.outcome === "used" && answer["used_date"] !== first["used_date"],
    );
    if (round % 2) assert.deepEqual(tally(uses), { used: 1, already_used: 1 });
    assert.ok(again.length <= 1);
    const [left] = await database.owner`
      select g.used_date::text, g.use_reference, (
        select count(*)::integer from coupon.audit a where a.coupon_id = g.coupon_id and a.command = 'undo_use') as undone
      from coupon.user_coupons g where g.coupon_id = ${coupon}`;
    assert.deepEqual(
      { ...left },
      {
        used_date: again[0]?.["used_date"] ?? null,
        use_reference: again[0]?.["use_reference"] ?? null,
        undone: 1,
      },
    );
  }
});

test("forget_user against a use, an undo, a claim and an import: whoever comes second waits, and no word is left", async () => {
  const imported = (session: Session, user: number) =>
    row(session`select outcome from import_users(array[${user}]::bigint[], array['Ann'])`);
  const undone = (session: Session, user: number, coupon: number) =>
    row(session`select outcome from undo_use(${user}, ${coupon}, 'Ann called')`);
  type Act = (session: Session, user: number, coupon: number) => Promise<Answer>;
  const acts: [name: string, act: Act, first: string, second: string][] = [
    ["use", (session, user, coupon) => use(session, user, coupon, "Ann"), "used", "user_not_found"],
    ["undo", undone, "restored", "user_not_found"],
    ["claim", issue, "issued", "user_not_found"],
    ["import", imported, "updated", "forgotten"],
  ];
  for (const [name, act, first, second] of acts)
    for (const isFirst of [true, false]) {
      const [coupon, user] =
        name === "claim" ? [await newCoupon(1), (await newUsers(1))[0] ?? 0] : await granted();
      if (name === "undo") await use(at(2), user, coupon, "Ann");
      const [before, after] = isFirst ? [act, forget] : [forget, act];
      await at(0)`begin`;
      assert.equal((await before(at(0), user, coupon)).outcome, isFirst ? first : "forgotten", name);
      const later = after(at(1), user, coupon);
      await waiting(watch);
      await at(0)`commit`;
      assert.equal((await later).outcome, isFirst ? "forgotten" : second, name);
      const left = await database.owner`
        select g.use_reference from coupon.user_coupons g where g.user_id = ${user} and g.use_reference <> '(forgotten)'
        union all
        select a.id::text from coupon.audit a
        where a.user_id = ${user} and concat(a.reason, a.old_values, a.new_values) ~ 'Ann'`;
      assert.deepEqual([...left], [], name);
    }
});

test("users are forgotten while they claim, use and undo: no error, no word is left, positions have no gap", async () => {
  const users = await newUsers(20);
  const coupon = await newCoupon(20);
  const others = sessions.slice(0, 40).map(async (session, i) => {
    const user = users[i % 20] ?? 0;
    const answers = [await issue(session, user, coupon)];
    for (let n = 0; n < 5; n++) {
      answers.push(await use(session, user, coupon, `word ${n}`));
      answers.push(await row(session`select outcome from undo_use(${user}, ${coupon}, 'word')`));
    }
    return answers;
  });
  const gone = users.map((user, i) => forget(at(40 + i), user));
  const answers = (await Promise.all(others)).flat();
  assert.deepEqual(tally(await Promise.all(gone)), { forgotten: 20 });
  const allowed = "issued already_issued used already_used restored not_issued not_used user_not_found".split(
    " ",
  );
  assert.deepEqual(
    Object.keys(tally(answers)).filter((outcome) => !allowed.includes(outcome)),
    [],
  );
  const left =
    await database.owner`select from coupon.audit a where a::text like '%word %' or a.reason = 'word'`;
  assert.equal(left.length, 0);
  assert.deepEqual(await positions(coupon), upTo((await positions(coupon)).length));
});

test("retire_coupons against undo_use: what is under way is counted, whoever comes later finds no coupon", async () => {
  const undo = (session: Session, user: number, coupon: number) =>
    row(session`select outcome from undo_use(${user}, ${coupon}, 'why')`);
  for (const isUnderWay of [true, false]) {
    const [coupon, [user = 0]] = await bygone(1);
    const late = await holding(theGrant(coupon, user), async () => {
      const undone = undo(at(0), user, coupon);
      await waiting(watch);
      if (!isUnderWay)
        assert.deepEqual(await retire(at(1)), { outcome: "going_on", grants: 0, grants_left: 1 });
      return { undone };
    });
    assert.equal((await late.undone).outcome, isUnderWay ? "restored" : "coupon_not_found");
    if (isUnderWay) assert.deepEqual(await retire(at(1)), { outcome: "going_on", grants: 0, grants_left: 1 });
    const moved = await holding(theGrant(coupon, user), async () => {
      const answer = retire(at(1));
      await waiting(watch);
      return { answer };
    });
    assert.deepEqual(await moved.answer, { outcome: "going_on", grants: 1, grants_left: 0 });
    // The next step sweeps the copies.
    assert.deepEqual(await retire(at(1)), { outcome: "done", grants: 0, grants_left: null });
    const [sums] =
      await database.owner`select issued, used from coupon.retired_grants where coupon_id = ${coupon}`;
    assert.deepEqual({ ...sums }, { issued: 1, used: isUnderWay ? 0 : 1 });
  }
});

test("six retire at once while others claim: one works at a time, and each grant is moved out once", async () => {
  const [old] = await bygone(40);
  const live = await newCoupon(30);
  const users = await newUsers(30);
  const answers: Answer[] = [];
  const work = async (session: Session) => {
    for (let answer = await retire(session); answer.outcome !== "done"; answer = await retire(session))
      answers.push(answer);
  };
  const claims = users.map((user, i) => issue(at(10 + i), user, live));
  await Promise.all(sessions.slice(0, 6).map(work));
  assert.deepEqual(tally(await Promise.all(claims)), { issued: 30 });
  assert.deepEqual(
    Object.keys(tally(answers)).filter((outcome) => !["busy", "going_on"].includes(outcome)),
    [],
  );
  const [sums] = await database.owner`select issued from coupon.retired_grants where coupon_id = ${old}`;
  assert.equal(sums?.["issued"], 40);
  assert.deepEqual(await positions(old), []);
});

test("20 tills with the same code and the same reference: one gives it out, 19 are told that it is used", async () => {
  const [coupon, user] = await granted();
  const code = await codeOf(user);
  const answers = await race(
    theGrant(coupon, user),
    Array.from({ length: 20 }, (_, i) => () => useClaim(at(i), code, `till:${i}`)),
  );
  assert.deepEqual(tally(answers), { used: 1, already_used: 19 });
});

test("codes at tills amid rotate_claim_secret and retire_claim_secret: used, or not found and unused", async () => {
  const coupon = await newCoupon(60);
  const holders = await newUsers(60);
  await issueAll(at(0), coupon, holders);
  const codes = await Promise.all(holders.map(codeOf));
  const [old] = await database.admin`select max(secret_id)::integer as id from claim_secrets()`;
  let isRetired = false;
  const tills = upTo(6).map(async (till) => {
    const answers: (Answer & { user: number })[] = [];
    for (let i = till - 1; i < codes.length; i += 6) {
      // The last ones come when the codes that were shown before have ended.
      if (i >= 48) await until(async () => isRetired, "the old secret is retired");
      answers.push({ ...(await useClaim(at(till), codes[i] ?? "", `till:${till}`)), user: holders[i] ?? 0 });
    }
    return answers;
  });
  const rotated = await row(at(0)`select outcome from rotate_claim_secret()`);
  const again = await row(at(0)`select outcome from rotate_claim_secret()`);
  const retired = await row(at(0)`select outcome from retire_claim_secret(${old?.["id"]})`);
  isRetired = true;
  assert.deepEqual(
    [rotated, again, retired].map(({ outcome }) => outcome),
    ["rotated", "older_in_use", "retired"],
  );
  const answers = (await Promise.all(tills)).flat();
  const told = tally(answers);
  assert.deepEqual((told["used"] ?? 0) + (told["claim_not_found"] ?? 0), 60, JSON.stringify(told));
  assert.ok((told["claim_not_found"] ?? 0) >= 12);
  // Whose code was not found has another one in the wallet, and it works.
  for (const { user, outcome } of answers)
    if (outcome === "claim_not_found")
      assert.equal((await useClaim(at(0), await codeOf(user), "till:0")).outcome, "used");
});

test("copy_day from 20 sessions: each coupon is made once", async () => {
  for (const [slot, count] of [81, 82, 83].entries())
    assert.equal(
      (await create(at(0), `COPIED-${slot}`, noonOn("2038-05-01", slot), count)).outcome,
      "created",
    );
  const answers = await race(
    settings,
    Array.from(
      { length: 20 },
      (_, i) => () => rows(at(i)`select outcome, slot from copy_day('2038-05-01', '2038-05-02')`),
    ),
  );
  assert.deepEqual(answers.map(tally).sort(byName), [
    ...Array.from({ length: 19 }, () => ({ already_made: 3 })),
    { made: 3 },
  ]);
});

test("users are forgotten while their coupon is retired: no error, no word is left, and the sums are whole", async () => {
  const [coupon, holders] = await bygone(40);
  const forgetting = Promise.all([
    ...upTo(4).map(async (session) => {
      const answers: Answer[] = [];
      for (let i = session - 1; i < holders.length; i += 4)
        answers.push(await forget(at(session), holders[i] ?? 0));
      return answers;
    }),
  ]);
  const steps: Answer[] = [];
  do steps.push(await retire(at(0)));
  while (steps.at(-1)?.outcome !== "done");
  assert.deepEqual(tally((await forgetting).flat()), { forgotten: 40 });
  assert.deepEqual(
    steps.filter(({ outcome }) => !["going_on", "done"].includes(outcome)),
    [],
  );
  const [left] = await database.owner`
    select
      (select count(*)::integer from coupon.user_coupons where coupon_id = ${coupon}) as grants,
      (select sum(used)::integer from coupon.retired_grants where coupon_id = ${coupon}) as used,
      (select count(*)::integer from coupon.audit where coupon_id = ${coupon} and new_values->>'use_reference' = 'order') as words`;
  assert.deepEqual(left, { grants: 0, used: 40, words: 0 });
});

test("a coupon whose first grant is not committed yet can't be deleted, and a change by hand of its expiry takes the grant along", async () => {
  for (const [change, wanted] of [
    ["delete from coupon.coupons where id = $1", "coupons_are_permanent_once_issued"],
    ["update coupon.coupons set expiry = '2099-01-01Z' where id = $1", "done"],
  ] as const) {
    const coupon = await newCoupon(9);
    const [user] = (await newUsers(1)) as [number];
    const issuer = at(0);
    await issuer`begin`;
    assert.equal((await issue(issuer, user, coupon)).outcome, "issued");
    const changed = database.owner.unsafe(change, [coupon]).then(
      () => "done",
      (error) => error.constraint_name,
    );
    await waiting(watch);
    await issuer`commit`;
    assert.equal(await changed, wanted);
    const [same] = await database.owner`
      select g.expiry = c.expiry as is_same
      from coupon.user_coupons g join coupon.coupons c on c.id = g.coupon_id where c.id = ${coupon}`;
    assert.equal(same?.["is_same"], true);
  }
});

test("a change by hand decides for the claims that wait for it", async () => {
  for (const [change, wanted] of [
    ["count = 2", { issued: 2, sold_out: 1 }],
    ["paused = true", { paused: 3 }],
    ["expiry = '2099-01-01Z'", { issued: 3 }],
  ] as const) {
    const coupon = await newCoupon(9);
    const users = await newUsers(3);
    const answers = await race(
      (owner) => owner.unsafe(`update coupon.coupons set ${change} where id = ${coupon}`),
      users.map((user, i) => () => issue(at(i), user, coupon)),
    );
    assert.deepEqual(tally(answers), wanted, change);
  }
});

test("set_coupon_expiry against use_coupon: a use waits for it, and is judged by the new expiry", async () => {
  const [coupon, user] = await granted();
  const expiry = await inTime(async (ms) => {
    const soon = await instantIn(ms);
    const { outcome } = await expireAt(at(0), coupon, soon);
    return outcome === "changed" ? soon : undefined;
  });
  await at(0)`begin`;
  assert.equal((await setExpiry(at(0), coupon, "1 day")).outcome, "changed");
  const used = use(at(1), user, coupon, "order 1");
  await waiting(watch);
  await untilPast(expiry);
  await at(0)`commit`;
  assert.equal((await used).outcome, "used");
});

test("set_coupon_expiry that waited for a use later than it fails as a whole", async () => {
  const [coupon, user] = await granted();
  const shortened = await inTime(async (ms) => {
    const expiry = await instantIn(ms);
    return holding(theGrant(coupon, user), async (owner) => {
      const answer = expireAt(at(1), coupon, expiry);
      if (!(await waitsFirst(watch, answer))) return undefined;
      await untilPast(expiry);
      await owner`
        update coupon.user_coupons set used_date = clock_timestamp(), use_reference = 'order 1'
        where coupon_id = ${coupon}`;
      return { answer };
    });
  });
  assert.equal((await shortened.answer).outcome, "user_coupons_used_before_expiry");
});

test("a replay during the batch that grants the user is a replay", async () => {
  for (let round = 0; round < 60; round++) {
    const users = await newUsers(50);
    const coupon = await newCoupon(50); // exactly enough: the batch sells it out
    let over = false;
    const user = users[round % users.length] ?? 0;
    const replays = sessions.slice(1, 7).map(async (session) => {
      const answers: Answer[] = [];
      do answers.push(await issue(session, user, coupon));
      while (!over);
      return answers;
    });
    const batch = await issueAll(at(0), coupon, users);
    over = true;
    const answers = [...batch, ...(await Promise.all(replays)).flat()];
    assert.equal(tally(answers)["issued"], 50);
    assert.deepEqual(Object.keys(tally(answers)).sort(), ["already_issued", "issued"]);
  }
});

// ---- The rule broken on purpose ---------------------------------------------------------------------------

test("a replay that reads while the batch commits is a replay, and goes red when it read holders before", async (t) => {
  const scratch = await broken(t);
  const { owner } = scratch;
  const source = await functionText(owner, "public.issue_coupons(bigint, bigint[])");
  const pause =
    "if current_setting('test.pause', true) = 'on' then perform pg_advisory_xact_lock_shared(7); end if;";
  const step6 = /-- 6\. .*/.exec(source)?.[0] ?? "";
  const held = /case when w\.place is null then \([^;]*?\) end as held/.exec(source)?.[0] ?? "";
  assert.ok(step6 && held);

  // Asked for by somebody who doesn't exist yet, so that the batch sees nobody to grant and answers without the lock.
  const answer = async (text: string, coupon: number, user: number) => {
    await owner.unsafe(text);
    const [claimer, replayer] = [await scratch.pool.reserve(), await scratch.pool.reserve()];
    await replayer`select set_config('test.pause', 'on', false)`;
    const holder = await owner.reserve();
    try {
      await holder`begin`;
      await holder`select pg_advisory_xact_lock(7)`;
      const replayed = issue(replayer, user, coupon);
      await waiting(scratch.watch);
      await claimer`select from import_users(array[${user}::bigint], array['new'])`;
      assert.equal((await issue(claimer, user, coupon)).outcome, "issued");
      await holder`commit`;
      return (await replayed).outcome;
    } finally {
      for (const session of [claimer, replayer, holder]) session.release();
    }
  };
  const paused = source.replace(step6, `${step6}\n${pause}`);
  assert.equal(await answer(paused, 1, 11), "already_issued");
  const early = paused
    .replace("v_left integer;", "v_left integer; v_early coupon.user_coupons;")
    .replace(
      step6,
      `${step6}
      select g.* into v_early from coupon.user_coupons g
      where g.coupon_id = issue_coupons.coupon_id and g.user_id = issue_coupons.user_ids[1];`,
    )
    .replace(held, "v_early as held");
  assert.equal(await answer(early, 1, 12), "daily_limit_reached");
});

test("the burst goes red without the lock: claims end at a constraint", async (t) => {
  const scratch = await broken(t);
  await unlock(scratch.owner);
  const holder = await scratch.pool.reserve();
  const rival = await scratch.pool.reserve();
  await holder`begin`;
  assert.equal((await issue(holder, 1, 1)).outcome, "issued");
  const answer = issue(rival, 2, 1);
  await waiting(scratch.watch);
  await holder`commit`;
  for (const session of [holder, rival]) session.release();
  assert.equal((await answer).outcome, "user_coupons_one_per_position");
  assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
});

test("a user at two coupons goes red without the lock: the day is kept by its constraint", async (t) => {
  const scratch = await broken(t);
  await unlock(scratch.owner);
  const holder = await scratch.pool.reserve();
  const rival = await scratch.pool.reserve();
  await holder`begin`;
  assert.equal((await issue(holder, 1, 1)).outcome, "issued");
  const answer = issue(rival, 1, 2);
  await waiting(scratch.watch);
  await holder`commit`;
  for (const session of [holder, rival]) session.release();
  assert.equal((await answer).outcome, "user_coupons_one_per_user_and_day");
});

test("without lock and constraints reconcile() shows the damage", async (t) => {
  const scratch = await broken(t);
  await unlock(scratch.owner);
  await scratch.owner.unsafe(`
    drop index coupon.user_coupons_one_per_position;
    alter table coupon.user_coupons disable trigger user;
    alter table coupon.coupons disable trigger user`);
  const holder = await scratch.pool.reserve();
  const rival = await scratch.pool.reserve();
  await holder`begin`;
  await issue(holder, 1, 1);
  const answer = issue(rival, 2, 1);
  await waiting(scratch.watch);
  await holder`commit`;
  for (const session of [holder, rival]) session.release();
  assert.equal((await answer)["position"], 1);
  const broke = await scratch.admin`select invariant from reconcile()`;
  assert.deepEqual([...broke], [{ invariant: "positions_without_gaps" }]);
});

// ---- Races ------------------------------------------------------------------------------------------------

/** What a race is about: takes the lock that all of its sessions need. */
type Hold = (owner: Session) => Promise<unknown>;

const issuing =
  (coupon: number): Hold =>
  (owner) =>
    owner`select coupon.lock_issuing(${coupon})`;
const theGrant =
  (coupon: number, user: number): Hold =>
  (owner) =>
    owner`select from coupon.user_coupons where coupon_id = ${coupon} and user_id = ${user} for no key update`;
const settings: Hold = (owner) => owner`select from coupon.settings for no key update`;

/** Starts all `asks` while another session holds the lock, and lets go when all of them wait. */
async function race<T>(hold: Hold, asks: (() => Promise<T>)[], order?: "in turn"): Promise<T[]> {
  const started = await holding(hold, async () => {
    const answers: Promise<T>[] = [];
    for (const ask of asks) {
      answers.push(ask());
      if (order === "in turn") await waiting(watch, answers.length);
    }
    await waiting(watch, asks.length);
    return { answers };
  });
  return Promise.all(started.answers);
}

async function holding<T>(hold: Hold, work: (owner: Session) => Promise<T>): Promise<T> {
  const owner = await database.owner.reserve();
  try {
    await owner`begin`;
    await hold(owner);
    return await work(owner);
  } finally {
    await owner`commit`;
    owner.release();
  }
}

/** The instant so many ms from now, by the database clock. */
async function instantIn(ms: number): Promise<string> {
  const [row] = await watch`select (clock_timestamp() + ${ms} * interval '1 ms')::text as at`;
  return row?.["at"];
}

function untilPast(instant: string): Promise<void> {
  const isPast = () => watch`select from clock_timestamp() c where c > ${instant}::timestamptz`;
  return until(async () => (await isPast()).count === 1, `past ${instant}`);
}

// ---- Calls ------------------------------------------------------------------------------------------------

/** The one row of a command; an error becomes a row under its constraint's name or SQLSTATE. */
async function row(query: PromiseLike<readonly unknown[]>): Promise<Answer> {
  return (await rows(query))[0] ?? { outcome: "no row" };
}

async function rows(query: PromiseLike<readonly unknown[]>): Promise<Answer[]> {
  try {
    return (await query).map((answer) => ({ ...(answer as Answer) }));
  } catch (error) {
    const { constraint_name, code } = error as { constraint_name?: string; code?: string };
    if (!code) throw error;
    return [{ outcome: constraint_name ?? code }];
  }
}

function issue(session: Session, user: number, coupon: number): Promise<Answer> {
  return row(session`select outcome, position, issued_at::text from issue_coupon(${user}, ${coupon})`);
}

function issueAll(session: Session, coupon: number, users: number[]): Promise<Answer[]> {
  return rows(session`select outcome, user_id, position from issue_coupons(${coupon}, ${users}::bigint[])`);
}

function use(session: Session, user: number, coupon: number, reference: string): Promise<Answer> {
  return row(session`
    select outcome, used_date::text, use_reference from use_coupon(${user}, ${coupon}, ${reference})`);
}

function useClaim(session: Session, code: string, till: string): Promise<Answer> {
  return row(session`select outcome from use_claim(${code}, '0001', ${till})`);
}

/** That the user's wallet shows. */
async function codeOf(user: number): Promise<string> {
  const [held] = await database.admin`select claim_code from wallet(${user}, page_size => 1)`;
  return held?.["claim_code"];
}

function create(session: Session, code: string, start: string, count: number): Promise<Answer> {
  return row(session`
    select outcome, slot from create_coupon(${code}, 'm', 'd', ${start}::timestamptz, '2041-01-01', ${count})`);
}

function setExpiry(session: Sql | Session, coupon: number, hence: string): Promise<Answer> {
  return row(session`select * from set_coupon_expiry(${coupon}, clock_timestamp() + ${hence}::interval)`);
}

function forget(session: Session, user: number): Promise<Answer> {
  return row(session`select outcome from forget_user(${user})`);
}

/** A step of what expired 40 days ago or earlier, 7 grants at most. */
async function retire(session: Session): Promise<Answer> {
  return row(session`
    select outcome, grants, grants_left from retire_coupons((now() - interval '40 days')::date, 7)`);
}

function withdraw(session: Session, coupon: number): Promise<Answer> {
  return row(session`select outcome from withdraw_coupon(${coupon})`);
}

function expireAt(session: Session, coupon: number, expiry: string): Promise<Answer> {
  return row(session`select * from set_coupon_expiry(${coupon}, ${expiry}::timestamptz)`);
}

function importUsers(session: Session, ids: number[], name: string): Promise<Answer[]> {
  return rows(session`select outcome from import_users(${ids}::bigint[], ${ids.map(() => name)}::text[])`);
}

// ---- What the races are about -----------------------------------------------------------------------------

let coupons = 0;
let users = 0;

/** A coupon of its own day; start and expiry as intervals from now. */
async function newCoupon(count: number, times: { start?: string; expiry?: string } = {}): Promise<number> {
  coupons += 1;
  const { start = `-${coupons + 9} days`, expiry = "1 day" } = times;
  return makeCoupon(
    database.admin,
    { code: `C-${coupons}`, count, from: start, until: expiry },
    database.owner,
  );
}

async function newUsers(count: number): Promise<number[]> {
  const ids = upTo(count).map((n) => users + n);
  users += count;
  await makeUsers(database.admin, ids);
  return ids;
}

async function granted(): Promise<[coupon: number, user: number]> {
  const [coupon, [user = 0]] = [await newCoupon(1), await newUsers(1)];
  assert.equal((await issue(at(0), user, coupon)).outcome, "issued");
  return [coupon, user];
}

async function positions(coupon: number): Promise<number[]> {
  const grants = await database.owner`
    select position from coupon.user_coupons where coupon_id = ${coupon} order by position`;
  return grants.map((grant) => grant["position"]);
}

/** A coupon that ended two months ago, with so many grants, all of them used. */
async function bygone(count: number): Promise<[coupon: number, users: number[]]> {
  const [coupon, holders] = [
    await newCoupon(count, { start: `-${coupons + 300} days` }),
    await newUsers(count),
  ];
  await issueAll(at(0), coupon, holders);
  for (const user of holders) await use(at(0), user, coupon, "order");
  await database.owner.begin(async (sql) => {
    for (const table of ["coupons", "user_coupons"])
      await sql.unsafe(`alter table coupon.${table} disable trigger user`);
    await sql`update coupon.coupons set expiry = clock_timestamp() - interval '60 days' where id = ${coupon}`;
    await sql`
      update coupon.user_coupons set expiry = c.expiry, issued_at = c.expiry - interval '2 days', issued_on = issued_on - 62,
        used_date = c.expiry - interval '1 day'
      from coupon.coupons c where c.id = coupon_id and c.id = ${coupon}`;
    for (const table of ["coupons", "user_coupons"])
      await sql.unsafe(`alter table coupon.${table} enable trigger user`);
  });
  return [coupon, holders];
}

/** A database of its own to break, with users 1 and 2 and coupons 1 and 2. */
async function broken(
  t: { after(work: () => Promise<void>): void },
  max = 2,
): Promise<Scratch & { pool: Sql; watch: Sql }> {
  const scratch = await scratchDatabase();
  const own = { pool: connect(scratch.adminUrl, { max }), watch: connect(scratch.setupUrl) };
  t.after(async () => {
    await Promise.all([own.pool.end({ timeout: 1 }), own.watch.end({ timeout: 1 })]);
    await scratch.drop();
  });
  await declareZone(scratch.owner, time_zone);
  await makeUsers(scratch.admin, [1, 2]);
  for (const count of [5, 6])
    await makeCoupon(scratch.admin, { code: `C-${count}`, count, from: `-${count} minutes` });
  return { ...scratch, ...own };
}

async function unlock(owner: Sql): Promise<void> {
  await owner.unsafe(`
    create or replace function coupon.lock_issuing(coupon_id bigint) returns coupon.coupons
    language sql as 'select c from coupon.coupons c where c.id = $1'`);
}

async function functionText(owner: Sql, signature: string): Promise<string> {
  const [has] = await owner`select pg_get_functiondef(${signature}::regprocedure) as text`;
  return has?.["text"];
}

/** An instant some minutes after noon in that zone. */
function noonOn(day: string, minutes = 0): string {
  return new Date(Date.parse(`${day}T12:00:00${offset}`) + minutes * 60_000).toISOString();
}

function at(index: number): Session {
  const session = sessions[index];
  assert.ok(session);
  return session;
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

function tally(answers: Answer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of answers) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

function byLength(a: unknown[], b: unknown[]): number {
  return a.length - b.length;
}

function byName(a: object, b: object): number {
  return JSON.stringify(a).localeCompare(JSON.stringify(b));
}
