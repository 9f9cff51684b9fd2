/**
 * Instants by the database clock, to the microsecond, and days by the service's zone. The clock can't be set. So claims are made in
 * a loop of the database that begins before an instant and ends after it, and grants of another day are planted past the guards.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { makeCoupon, plantGrants } from "../bench/harness/coupons.ts";
import { type Scratch, scratchDatabase } from "../bench/harness/scratch.ts";
import { inTime, until, waiting, waitsFirst, withinAQuarter } from "../bench/harness/waiting.ts";
import { connect, type Sql } from "../db/connect.ts";

const ZONES = ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12"];

// ---- Instants ---------------------------------------------------------------------------------------------

test("start_time is the first instant, expiry the first one after the last, to the microsecond", async (t) => {
  const { owner, admin } = await service(t);
  const coupon = await newCoupon(admin, { start: "-1 hour", expiry: "1 hour" });
  const [by] = await owner`
    select
      coupon.common_refusal(c, c.start_time - interval '1 us') as before_start,
      coupon.common_refusal(c, c.start_time) as start,
      coupon.common_refusal(c, c.expiry - interval '1 us') as before_expiry,
      coupon.common_refusal(c, c.expiry) as expiry
    from coupon.coupons c where c.id = ${coupon}`;
  assert.deepEqual(
    { ...by },
    { before_start: "not_started", start: null, before_expiry: null, expiry: "ended" },
  );
});

test("a coupon of which something was issued has started, also where the clock was set back before its start", async (t) => {
  const { owner, admin } = await service(t, 1);
  const coupon = await newCoupon(admin, { start: "1 day" });
  await plantGrants(owner, coupon, [1], "c.start_time at time zone c.time_zone");
  const [told] = await admin`
    select
      (select outcome from set_coupon_start(${coupon}, clock_timestamp() + interval '1 hour')) as moved,
      (select outcome from set_coupon_group(${coupon}, 'vip', clock_timestamp() + interval '1 hour')) as early,
      (select outcome from edit_coupon(${coupon}, code => 'OTHER')) as edited,
      (select outcome from withdraw_coupon(${coupon})) as withdrawn`;
  const started = "already_started";
  assert.deepEqual({ ...told }, { moved: started, early: started, edited: started, withdrawn: "has_grants" });
});

test("early, nothing is refused to everybody: neither a microsecond before nor after", async (t) => {
  const { owner, admin } = await service(t);
  const coupon = await newCoupon(admin, { start: "1 day" });
  await owner`
    update coupon.coupons set eligible_group = 'vip', eligible_from = start_time - interval '1 hour' where id = ${coupon}`;
  const [by] = await owner`
    select
      coupon.common_refusal(c, c.eligible_from - interval '1 us') as before_early,
      coupon.common_refusal(c, c.eligible_from) as early,
      coupon.common_refusal(jsonb_populate_record(c, '{"paused": true}'), c.start_time - interval '1 us') as early_paused,
      coupon.common_refusal(jsonb_populate_record(c, '{"paused": true}'), c.start_time) as paused,
      coupon.state_of(c, c.start_time - interval '1 us') as state_before_start,
      coupon.state_of(c, c.start_time) as state
    from coupon.coupons c where c.id = ${coupon}`;
  assert.deepEqual(
    { ...by },
    {
      ...{ before_early: "not_started", early: null, early_paused: null, paused: "paused" },
      ...{ state_before_start: "upcoming", state: "live" },
    },
  );
});

test("around start_time: not_started before it by the database clock, issued from it on", async (t) => {
  const { owner, admin } = await service(t, 50);
  assert.deepEqual(await claimsAroundStart(owner, await newCoupon(admin, { start: "1 day" })), {
    asked_before: true,
    issued: 50,
    others: 0,
    refused_too_late: 0,
    issued_too_early: 0,
    misdated: 0,
    counted_down_wrongly: 0,
    in_order: true,
  });
});

test("around start_time goes red when issuing starts 100 ms late", async (t) => {
  const { owner, admin } = await service(t, 50);
  const [refusal] = await owner`
    select replace(pg_get_functiondef(p.oid), '.start_time', '.start_time + interval ''100 ms''') as text
    from pg_proc p where p.proname = 'first_start'`;
  await owner.unsafe(refusal?.["text"]);
  const { refused_too_late } = await claimsAroundStart(owner, await newCoupon(admin, { start: "1 day" }));
  assert.ok(Number(refused_too_late) > 0);
});

test("around expiry: issued before it by the database clock, ended from it on", async (t) => {
  const { owner, admin } = await service(t, 5000);
  const coupon = await newCoupon(admin, { start: "-1 day", expiry: "1 day", count: 20_000 });
  await owner.unsafe(CLAIMS);
  const seen = await around(
    owner,
    "expiry",
    coupon,
    (sql) => sql`
    select
      count(*) filter (where c.outcome = 'issued') > 0 as asked_before,
      count(*) filter (where c.outcome = 'ended')::integer as ended,
      count(*) filter (where c.outcome not in ('ended', 'issued'))::integer as others,
      count(*) filter (where c.issued_at >= o.expiry)::integer as issued_too_late,
      count(*) filter (where c.outcome = 'ended' and c.after < o.expiry)::integer as ended_too_early
    from coupon.coupons o, coupon.claims(o.id, 5000, o.expiry) c
    where o.id = ${coupon}`,
  );
  assert.deepEqual(seen, { asked_before: true, ended: 1, others: 0, issued_too_late: 0, ended_too_early: 0 });
  assert.deepEqual([...(await admin`select * from reconcile()`)], []);
});

test("around expiry: used before it by the database clock, expired from it on", async (t) => {
  const { owner, admin } = await service(t, 5000);
  const coupon = await newCoupon(admin, { start: "-1 day", expiry: "1 day", count: 5000 });
  await admin`select from issue_coupons(${coupon}, array(select generate_series(1, 5000)))`;
  await owner.unsafe(USES);
  const seen = await around(
    owner,
    "expiry",
    coupon,
    (sql) => sql`
    select
      count(*) filter (where u.outcome = 'used') > 0 as asked_before,
      count(*) filter (where u.outcome = 'expired')::integer as expired,
      count(*) filter (where u.outcome not in ('used', 'expired'))::integer as others,
      count(*) filter (where u.used_date >= o.expiry)::integer as used_too_late,
      count(*) filter (where u.used_date not between u.before and u.after)::integer as misdated,
      count(*) filter (where u.outcome = 'expired' and u.after < o.expiry)::integer as expired_too_early
    from coupon.coupons o, coupon.uses(o.id, o.expiry) u
    where o.id = ${coupon}`,
  );
  assert.deepEqual(seen, {
    asked_before: true,
    expired: 1,
    others: 0,
    used_too_late: 0,
    misdated: 0,
    expired_too_early: 0,
  });
  const [replay] = await admin`
    select a.outcome as same, b.outcome as other
    from use_coupon(1, ${coupon}, 'order') a, use_coupon(1, ${coupon}, 'another order') b`;
  assert.deepEqual({ ...replay }, { same: "used", other: "already_used" });
});

test("upcoming until start_time, live from then until expiry, by the server_time of the answer", async (t) => {
  const { owner, admin } = await service(t);
  const coupon = await newCoupon(admin, { start: "1 day" });
  const seen = await inTime(async (ms) => {
    await owner`
      update coupon.coupons
      set start_time = clock_timestamp() + ${ms} * interval '1 ms', expiry = clock_timestamp() + ${2 * ms} * interval '1 ms'
      where id = ${coupon}`;
    const lists = new Set<string>();
    for (let isOver = false; !isOver; ) {
      const offers = await admin`
        select 'upcoming' as list, server_time < start_time and starts_in = start_time - server_time as is_right
        from upcoming_coupons()
        union all
        select 'live', server_time >= start_time and server_time < expiry and starts_in is null
        from live_coupons()`;
      for (const offer of offers) assert.equal(offer["is_right"], true);
      for (const offer of offers) lists.add(offer["list"]);
      isOver = offers.length === 0;
    }
    return lists.size === 2 ? [...lists] : undefined;
  });
  assert.deepEqual(seen, ["upcoming", "live"]);
});

test("a claim that waited past expiry is told that the coupon ended", async (t) => {
  const { owner, admin, watch } = await service(t, 1);
  const coupon = await newCoupon(admin, { start: "-1 day", expiry: "1 day" });
  const { answer } = await inTime(async (ms) => {
    await setInstant(owner, "expiry", coupon, ms);
    return holding(owner, `select coupon.lock_issuing(${coupon})`, async () => {
      const answer = issue(admin, 1, coupon);
      if (!(await waitsFirst(watch, answer))) return undefined;
      await untilPast(watch, `select expiry from coupon.coupons where id = ${coupon}`);
      return { answer };
    });
  });
  assert.deepEqual(await answer, { outcome: "ended", position: null, issued_on: null });
  assert.deepEqual([...(await admin`select * from reconcile()`)], []);
});

test("a use that waited past expiry is told that the coupon expired", async (t) => {
  const { owner, admin, watch } = await service(t, 1);
  const coupon = await newCoupon(admin, { start: "-1 day", expiry: "1 day" });
  assert.equal((await issue(admin, 1, coupon)).outcome, "issued");
  const { answer } = await inTime(async (ms) => {
    await setInstant(owner, "expiry", coupon, ms);
    return holding(owner, "select from coupon.user_coupons for no key update", async () => {
      const answer = admin`select outcome, used_date from use_coupon(1, ${coupon}, 'order 1')`.execute();
      await waiting(watch);
      const isInTime = !(await isPast(watch, `select expiry from coupon.coupons where id = ${coupon}`));
      await untilPast(watch, `select expiry from coupon.coupons where id = ${coupon}`);
      return isInTime ? { answer } : undefined;
    });
  });
  assert.deepEqual([...(await answer)], [{ outcome: "expired", used_date: null }]);
});

test("set_coupon_expiry that waited past the new expiry is told that it is in the past", async (t) => {
  const { owner, admin, watch } = await service(t);
  const coupon = await newCoupon(admin, { start: "-1 day", expiry: "1 day" });
  const { answer } = await holding(owner, `select coupon.lock_issuing(${coupon})`, async (holder) => {
    const [soon] = await holder`select (clock_timestamp() + interval '700 ms')::text as at`;
    const answer =
      admin`select outcome from set_coupon_expiry(${coupon}, ${soon?.["at"]}::timestamptz)`.execute();
    await waiting(watch);
    await untilPast(holder, `select '${soon?.["at"]}'::timestamptz`);
    return { answer };
  });
  assert.deepEqual([...(await answer)], [{ outcome: "in_the_past" }]);
});

test("a claim is judged and dated by the clock after its wait, not by when it was asked", async (t) => {
  const { owner, admin, watch } = await service(t, 2);
  const coupon = await newCoupon(admin, { start: "700 ms", expiry: "1 day" });
  // Even a read of the coupon waits for this lock, so the claim is asked before start_time.
  const early = await holding(owner, "lock table coupon.coupons in access exclusive mode", async (holder) => {
    const answer = issue(admin, 1, coupon);
    await waiting(watch);
    await untilPast(holder, `select start_time from coupon.coupons where id = ${coupon}`);
    return { answer };
  });
  assert.equal((await early.answer).outcome, "issued");
  const dated = await holding(owner, `select coupon.lock_issuing(${coupon})`, async (holder) => {
    const answer = issue(admin, 2, coupon);
    await waiting(watch);
    const [released] = await holder`select clock_timestamp()::text as at`;
    return { answer, released: released?.["at"] };
  });
  assert.equal((await dated.answer).outcome, "issued");
  const [grant] = await owner`
    select issued_at > ${dated.released}::timestamptz as is_later from coupon.user_coupons where user_id = 2`;
  assert.equal(grant?.["is_later"], true);
});

// ---- Days -------------------------------------------------------------------------------------------------

for (const zone of ZONES)
  test(`a day begins at midnight in ${zone}: yesterday's last grant is past, today's first one counts`, (t) =>
    withinAQuarter(async () => {
      const { owner, admin } = await service(t, 3, zone);
      const [held, other] = [
        await newCoupon(admin, { start: "-9 days" }),
        await newCoupon(admin, { start: "-8 days" }),
      ];
      await plantGrants(owner, held, [1], "date_trunc('day', local) - interval '1 us'");
      await plantGrants(owner, held, [2], "date_trunc('day', local)");
      const today = localDay(new Date(), zone);
      assert.equal((await issue(admin, 2, other)).outcome, "daily_limit_reached");
      assert.deepEqual(await issue(admin, 1, other), { outcome: "issued", position: 1, issued_on: today });
      assert.deepEqual(await issue(admin, 3, other), { outcome: "issued", position: 2, issued_on: today });
      assert.deepEqual([...(await admin`select * from reconcile()`)], []);
    }));

test("a retry after midnight is a replay of yesterday's grant, whatever today brought", (t) =>
  withinAQuarter(async () => {
    const { owner, admin } = await service(t, 3, "Europe/Berlin");
    const [held, other] = [
      await newCoupon(admin, { start: "-9 days", count: 2 }),
      await newCoupon(admin, { start: "-8 days" }),
    ];
    await plantGrants(owner, held, [1], "local - interval '1 day'");
    const [day] = await owner`select issued_on::text from coupon.user_coupons`;
    const replay = { outcome: "already_issued", position: 1, issued_on: day?.["issued_on"] };
    assert.notEqual(replay.issued_on, localDay(new Date(), "Europe/Berlin"));
    assert.deepEqual(await issue(admin, 1, held), replay);
    assert.equal((await issue(admin, 1, other)).outcome, "issued");
    assert.deepEqual(await issue(admin, 1, held), replay);
    assert.equal((await issue(admin, 2, held)).position, 2);
    assert.equal((await issue(admin, 3, held)).outcome, "sold_out");
    assert.deepEqual(await issue(admin, 1, held), replay);
    await admin`select from pause_coupon(${held})`;
    assert.deepEqual(await issue(admin, 1, held), replay);
    assert.deepEqual([...(await admin`select * from reconcile()`)], []);
  }));

/** Days by their first and last microsecond: short, long, skipped and shifted ones. */
const DAYS = [
  ["Europe/Berlin", "2027-03-28", "2027-03-27T23:00:00.000000Z", "2027-03-28T21:59:59.999999Z"],
  ["Europe/Berlin", "2027-03-28", "2027-03-28T00:59:59.999999Z", "2027-03-28T01:00:00.000000Z"],
  ["Europe/Berlin", "2027-03-29", "2027-03-28T22:00:00.000000Z", "2027-03-29T21:59:59.999999Z"],
  ["Europe/Berlin", "2027-10-31", "2027-10-30T22:00:00.000000Z", "2027-10-31T22:59:59.999999Z"],
  ["Europe/Berlin", "2027-11-01", "2027-10-31T23:00:00.000000Z", "2027-11-01T22:59:59.999999Z"],
  ["America/Sao_Paulo", "2027-03-28", "2027-03-28T03:00:00.000000Z", "2027-03-29T02:59:59.999999Z"],
  ["America/Sao_Paulo", "2018-11-03", "2018-11-03T03:00:00.000000Z", "2018-11-04T02:59:59.999999Z"],
  ["America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00.000000Z", "2018-11-05T01:59:59.999999Z"],
  ["Asia/Kathmandu", "2027-03-28", "2027-03-27T18:15:00.000000Z", "2027-03-28T18:14:59.999999Z"],
  ["Asia/Kathmandu", "2027-10-31", "2027-10-30T18:15:00.000000Z", "2027-10-31T18:14:59.999999Z"],
  ["Pacific/Kiritimati", "2027-03-28", "2027-03-27T10:00:00.000000Z", "2027-03-28T09:59:59.999999Z"],
  ["Pacific/Kiritimati", "2027-10-31", "2027-10-30T10:00:00.000000Z", "2027-10-31T09:59:59.999999Z"],
  ["Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00.000000Z", "2011-12-30T09:59:59.999999Z"],
  ["Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00.000000Z", "2011-12-31T09:59:59.999999Z"],
] as const;

test("a coupon is offered on the local day of its start_time: short, long, skipped and shifted days", async (t) => {
  const { owner } = await service(t);
  for (const [zone, day, first, last] of DAYS)
    assert.deepEqual(await offeredOn(owner, zone, [first, last]), [day, day], `${zone} ${day}`);
});

test("generated instants: the local day is what Intl says", async (t) => {
  const { owner } = await service(t);
  for (const zone of [...ZONES, "America/New_York", "Australia/Lord_Howe"]) {
    const [min, max] = [Date.parse("1971-01-01Z"), Date.parse("2037-12-31Z")];
    const dates = fc.sample(fc.noBias(fc.integer({ min, max })), { seed: 1, numRuns: 50 });
    const midnights = await owner`
      select (extract(epoch from date_trunc('day', to_timestamp(d / 1000)::timestamp) at time zone ${zone}) * 1000)::float8 as ms
      from unnest(${dates.slice(0, 25)}::float8[]) d`;
    const instants = [...dates, ...midnights.flatMap(({ ms }) => [ms - 1, ms])].map((ms) => new Date(ms));
    assert.deepEqual(
      await offeredOn(
        owner,
        zone,
        instants.map((instant) => instant.toISOString()),
      ),
      instants.map((instant) => localDay(instant, zone)),
      zone,
    );
  }
});

test("grants of two zones 26 hours apart: each on its own local day, and nothing is broken", (t) =>
  withinAQuarter(async () => {
    const { owner, admin } = await service(t, 1, "Etc/GMT+12");
    const [one, two] = [
      await newCoupon(admin, { start: "-9 days" }),
      await newCoupon(admin, { start: "-5 days" }),
    ];
    const west = await issue(admin, 1, one);
    assert.deepEqual([west.outcome, west.issued_on], ["issued", localDay(new Date(), "Etc/GMT+12")]);
    const [moved] = await admin`select outcome from set_time_zone('Pacific/Kiritimati')`;
    assert.equal(moved?.["outcome"], "changed");
    const east = await issue(admin, 1, two);
    assert.deepEqual([east.outcome, east.issued_on], ["issued", localDay(new Date(), "Pacific/Kiritimati")]);
    assert.deepEqual(await issue(admin, 1, one), { ...west, outcome: "already_issued" });
    const apart = (Date.parse(east.issued_on ?? "") - Date.parse(west.issued_on ?? "")) / 86_400_000;
    assert.ok(apart === 1 || apart === 2);
    const days = await owner`select start_time, live_on::text from coupon.coupons`;
    for (const { start_time, live_on } of days)
      assert.equal(live_on, localDay(start_time, "Pacific/Kiritimati"));
    assert.deepEqual([...(await admin`select * from reconcile()`)], []);
  }));

test("a coupon offered on another day than its local one is shown by reconcile()", async (t) => {
  const { owner, admin } = await service(t, 0, "Pacific/Kiritimati");
  await newCoupon(admin, { start: "2027-01-01 23:00Z" });
  await owner.unsafe(`
    alter table coupon.coupons disable trigger coupons_day_is_decided_anew;
    update coupon.coupons set live_on = (start_time at time zone 'UTC')::date`);
  const broken = await admin`select invariant from reconcile()`;
  assert.deepEqual([...broken], [{ invariant: "live_on_is_day_of_start" }]);
});

// ---- Helpers ----------------------------------------------------------------------------------------------

/**
 * From 50 ms before an instant on asks for user after user until the coupon is refused (or all have it), each claim
 * between two readings of the clock.
 */
const CLAIMS = `
  create function coupon.claims(coupon_id bigint, users integer, around timestamptz)
  returns table (before timestamptz, outcome text, issued_at timestamptz, starts_in interval, after timestamptz)
  language plpgsql as $$
  declare
    v_user integer := 1;
  begin
    perform pg_sleep_until(around - interval '50 ms');
    while v_user <= users loop
      before := clock_timestamp();
      select i.outcome, i.issued_at, i.starts_in into outcome, issued_at, starts_in
      from public.issue_coupon(v_user, claims.coupon_id) i;
      after := clock_timestamp();
      return next;
      exit when outcome not in ('issued', 'not_started') or after > around + interval '10 s';
      if outcome = 'issued' then v_user := v_user + 1; end if;
    end loop;
  end $$`;

async function claimsAroundStart(owner: Sql, coupon: number): Promise<Record<string, unknown>> {
  await owner.unsafe(CLAIMS);
  return around(
    owner,
    "start_time",
    coupon,
    (sql) => sql`
    select
      count(*) filter (where c.outcome = 'not_started') > 0 as asked_before,
      count(*) filter (where c.outcome = 'issued')::integer as issued,
      count(*) filter (where c.outcome not in ('not_started', 'issued'))::integer as others,
      count(*) filter (where c.outcome = 'not_started' and c.before >= o.start_time)::integer as refused_too_late,
      count(*) filter (where c.issued_at < o.start_time)::integer as issued_too_early,
      count(*) filter (where c.issued_at not between c.before and c.after)::integer as misdated,
      count(*) filter (where c.outcome = 'not_started' and o.start_time - c.starts_in not between c.before and c.after)
        ::integer as counted_down_wrongly,
      max(c.before) filter (where c.outcome = 'not_started')
        < min(c.before) filter (where c.outcome = 'issued') as in_order
    from coupon.coupons o, coupon.claims(o.id, 50, o.start_time) c
    where o.id = ${coupon}`,
  );
}

/** Puts the coupon's start_time or expiry so many ms ahead. */
const setInstant = (sql: Sql, instant: "start_time" | "expiry", coupon: number, ms: number) => sql`
  update coupon.coupons set ${sql(instant)} = clock_timestamp() + ${ms} * interval '1 ms' where id = ${coupon}`;

/** What a statement finds that begins before an instant of the coupon; undone when it began too late, and done again. */
function around(
  owner: Sql,
  instant: "start_time" | "expiry",
  coupon: number,
  statement: (sql: Sql) => PromiseLike<readonly Record<string, unknown>[]>,
): Promise<Record<string, unknown>> {
  return inTime(async (ms) => {
    const session = await owner.reserve();
    try {
      await session`begin`;
      await setInstant(session, instant, coupon, ms);
      const [seen] = await statement(session);
      if (!seen?.["asked_before"]) return undefined;
      await session`commit`;
      return { ...seen };
    } finally {
      await session`rollback`;
      session.release();
    }
  });
}

/** From 50 ms before an instant on uses grant after grant until one has expired. */
const USES = `
  create function coupon.uses(coupon_id bigint, around timestamptz)
  returns table (before timestamptz, outcome text, used_date timestamptz, after timestamptz)
  language plpgsql as $$
  declare
    v_user integer := 0;
  begin
    perform pg_sleep_until(around - interval '50 ms');
    loop
      v_user := v_user + 1;
      before := clock_timestamp();
      select u.outcome, u.used_date into outcome, used_date
      from public.use_coupon(v_user, uses.coupon_id, 'order') u;
      after := clock_timestamp();
      return next;
      exit when outcome <> 'used' or after > around + interval '10 s';
    end loop;
  end $$`;

/** A database of its own with users 1 to `users`. */
async function service(t: TestContext, users = 0, zone = "UTC"): Promise<Scratch & { watch: Sql }> {
  const database = await scratchDatabase();
  const watch = connect(database.setupUrl);
  t.after(async () => {
    await watch.end({ timeout: 1 });
    await database.drop();
  });
  const { owner, admin } = database;
  await owner`update coupon.settings set time_zone = ${zone}`; // set_time_zone() would read all zones first
  await admin`
    select from import_users(
      array(select n from generate_series(1, ${users}::bigint) n),
      array(select 'user ' || n from generate_series(1, ${users}::bigint) n))`;
  return { ...database, watch };
}

let coupons = 0;

/** Times as intervals from now, or as instants. */
async function newCoupon(
  admin: Sql,
  { start, expiry = "99 years", count = 1000 }: { start: string; expiry?: string; count?: number },
): Promise<number> {
  coupons += 1;
  return makeCoupon(admin, { code: `C-${coupons}`, count, from: start, until: expiry });
}

/** The days on which coupons that start at these instants would be offered in that zone. */
async function offeredOn(owner: Sql, zone: string, instants: string[]): Promise<string[]> {
  const session = await owner.reserve();
  try {
    await session`begin`;
    await session`update coupon.settings set time_zone = ${zone}`;
    const made = await session`
      select c.outcome, c.live_on::text
      from unnest(${instants}::timestamptz[]) with ordinality i (start_time, place)
      cross join lateral create_coupon('C-' || i.place, 'm', 'd', i.start_time, '9999-01-01', i.place::integer) c
      order by i.place`;
    return made.map(({ outcome, live_on }) => (outcome === "created" ? live_on : outcome));
  } finally {
    await session`rollback`;
    session.release();
  }
}

interface Issued {
  outcome: string;
  position: number | null;
  issued_on: string | null;
}

async function issue(admin: Sql, user: number, coupon: number): Promise<Issued> {
  const [row] = await admin<[Issued]>`
    select outcome, position, issued_on::text from issue_coupon(${user}, ${coupon})`;
  return { ...row };
}

function localDay(instant: Date, timeZone: string): string {
  // en-CA writes a date as ISO 8601 does.
  return new Intl.DateTimeFormat("en-CA", { timeZone, dateStyle: "short" }).format(instant);
}

/** Does `work` while another session of the owner holds what `statement` locks. */
async function holding<T>(owner: Sql, statement: string, work: (holder: Sql) => Promise<T>): Promise<T> {
  const holder = await owner.reserve();
  try {
    await holder`begin`;
    await holder.unsafe(statement);
    return await work(holder);
  } finally {
    await holder`commit`;
    holder.release();
  }
}

async function isPast(sql: Sql, instant: string): Promise<boolean> {
  return (await sql`select where clock_timestamp() > (${sql.unsafe(instant)})`).count === 1;
}

function untilPast(sql: Sql, instant: string): Promise<void> {
  return until(() => isPast(sql, instant), `past ${instant}`);
}
