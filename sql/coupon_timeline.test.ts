import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, upcoming, issue, planted } = await testDatabase();

/** The buckets, as seconds from the first one's begin. */
const timeline = (coupon_id: number, bucket = "1 second") =>
  rows(admin`
    select extract(epoch from begins_at - min(begins_at) over ())::float, grants, issued
    from coupon_timeline(${coupon_id}, ${bucket}::text::interval)`);

/** A coupon that started at this instant, and grants of it: how many, and how long after that. */
async function dropped(start_time: string, ...grants: [count: number, after: string][]): Promise<number> {
  const all = grants.reduce((sum, [count]) => sum + count, 0);
  const coupon_id = await coupon({ count: all });
  await planted(coupon_id, [all, "0"]);
  await owner.begin(async (sql) => {
    await sql`alter table coupon.coupons disable trigger user`;
    await sql`alter table coupon.user_coupons disable trigger user`;
    await sql`update coupon.coupons set start_time = ${start_time}::text::timestamptz where id = ${coupon_id}`;
    await sql`
      update coupon.user_coupons g set issued_at = ${start_time}::text::timestamptz + b.after::interval
      from (
        select t.after, sum(t.count) over (order by t.place) - t.count as before, t.count
        from unnest(${grants.map(([count]) => count)}::integer[], ${grants.map(([, after]) => after)}::text[])
          with ordinality t (count, after, place)
      ) b
      where g.coupon_id = ${coupon_id} and g.position > b.before and g.position <= b.before + b.count`;
    await sql`alter table coupon.coupons enable trigger user`;
    await sql`alter table coupon.user_coupons enable trigger user`;
  });
  return coupon_id;
}

test("a row a second from the first grant's to the last one's, with 0 where there were none", async () => {
  const lunch = await dropped("2026-05-01 12:00Z", [3, "2 s"], [1, "2.999999 s"], [5, "3 s"], [2, "6.5 s"]);
  assert.deepEqual(await timeline(lunch), [
    [0, 4, 4],
    [1, 5, 9],
    [2, 0, 9],
    [3, 0, 9],
    [4, 2, 11],
  ]);
  assert.deepEqual(await timeline(lunch, "2 seconds"), [
    [0, 9, 9],
    [2, 0, 9],
    [4, 2, 11],
  ]);
  assert.deepEqual(await timeline(lunch, "1 minute"), [[0, 11, 11]]);
  assert.deepEqual((await timeline(lunch, "500 ms")).length, 10);
  assert.equal(
    await value(admin`select min(begins_at) = '2026-05-01 12:00:02Z' from coupon_timeline(${lunch})`),
    true,
  );
});

test("buckets are counted from start_time, also when that is between two seconds", async () => {
  const lunch = await dropped("2026-05-02 12:00:00.25Z", [1, "0.95 s"], [1, "1.05 s"]);
  assert.deepEqual(await timeline(lunch), [
    [0, 1, 1],
    [1, 1, 2],
  ]);
  assert.equal(
    await value(admin`select min(begins_at) = '2026-05-02 12:00:00.25Z' from coupon_timeline(${lunch})`),
    true,
  );
});

test("a day is 24 hours, whatever the session's time zone makes of it", async () => {
  const lunch = await dropped("2026-03-27 12:00Z", [1, "23:59"], [1, "47:30"], [1, "71:59:59"], [1, "72:00"]);
  await admin.begin(async (sql) => {
    await sql`set local timezone = 'Europe/Berlin'`; // its clocks went forward on the 29th
    const days = sql`select (begins_at at time zone 'UTC')::text, grants from coupon_timeline(${lunch}, '1 day')`;
    assert.deepEqual(await rows(days), [
      ["2026-03-27 12:00:00", 1],
      ["2026-03-28 12:00:00", 1],
      ["2026-03-29 12:00:00", 1],
      ["2026-03-30 12:00:00", 1],
    ]);
  });
});

test("as counted one by one: 3000 grants, 1 to 20 at a time, seldom long after the others", async () => {
  const grants: [number, string][] = [];
  for (let left = 3000, at = 0; left > 0; at += Math.random() ** 6 * 2) {
    const count = Math.min(left, 1 + Math.floor(Math.random() * 20));
    grants.push([count, `${at.toFixed(6)} s`]);
    left -= count;
  }
  const lunch = await dropped("2026-05-03 12:59:59.9Z", ...grants);
  for (const bucket of ["47 milliseconds", "300 milliseconds", "1 second", "7 seconds", "1 hour"]) {
    const counted = await rows(owner`
      select date_bin(${bucket}::text::interval, g.issued_at, '2026-05-03 12:59:59.9Z')::text, count(*)::integer,
        (sum(count(*)) over (order by min(g.position)))::integer
      from coupon.user_coupons g where g.coupon_id = ${lunch} group by 1 order by 3`);
    const told = await rows(admin`
      select begins_at::text, grants, issued
      from coupon_timeline(${lunch}, ${bucket}::text::interval) where grants > 0`);
    assert.deepEqual(told, counted, `${bucket}: ${JSON.stringify(grants)}`);
  }
});

test("while it goes on", async () => {
  const lunch = await coupon();
  for (const _ of [1, 2, 3]) await issue(await user(), lunch);
  assert.deepEqual((await timeline(lunch, "1 day")).at(-1), [0, 3, 3]);
});

test("no row: no such coupon, or nobody asked, whatever the bounds", async () => {
  const unasked = await coupon();
  for (const bounds of ["'2026-05-01 10:00Z', '2026-05-01 10:01Z'", "'-infinity', 'infinity'"])
    assert.deepEqual(
      await rows(admin.unsafe(`select * from coupon_timeline(${unasked}, '1 second', ${bounds})`)),
      [],
    );
  assert.deepEqual(await timeline(999_999), []);
  assert.deepEqual(await timeline(await coupon()), []);
  assert.deepEqual(await timeline(await upcoming(1)), []);
});

test("at most 10000 buckets; one more is refused with a bucket that would do", async () => {
  const lunch = await dropped("2026-05-04 12:00Z", [1, "0.5 s"], [1, "9999.9 s"]);
  assert.equal((await timeline(lunch)).length, 10_000);
  const dinner = await dropped("2026-05-05 12:00Z", [1, "0.5 s"], [1, "10000 s"]);
  await assert.rejects(timeline(dinner), {
    code: "22023",
    column_name: "bucket",
    message:
      "bucket must be longer: this would make 10001 buckets, and 10000 is the most; 2 seconds would do",
  });
  assert.equal((await timeline(dinner, "2 seconds")).length, 5001);
});

test("the clock was set back: every grant is counted, and once", async () => {
  const lunch = await dropped("2026-05-06 12:00Z", [6, "5 s"], [4, "2 s"]);
  assert.deepEqual(await timeline(lunch), [[0, 10, 10]]);
  const dinner = await dropped("2026-05-07 12:00Z", [6, "5 s"], [4, "2 s"], [5, "7 s"]);
  assert.deepEqual(await timeline(dinner), [
    [0, 10, 10],
    [1, 0, 10],
    [2, 5, 15],
  ]);
});

/** The same with requests; from the first bucket's begin, or as a time of the day. */
const requests = (
  coupon_id: number,
  bucket = "1 second",
  since: string | null = null,
  before: string | null = null,
) =>
  rows(admin`
    select to_char(begins_at at time zone 'UTC', 'HH24:MI:SS.MS'), asked::integer, grants, refused::integer, issued
    from coupon_timeline(${coupon_id}, ${bucket}::text::interval, ${since}::text::timestamptz, ${before}::text::timestamptz)`);
const told = (coupon_id: number, second: string, refused: number, replayed: number) =>
  owner`insert into coupon.demand values (${coupon_id}, ${second}::text::timestamptz, ${refused}, ${replayed})`;

test("requests: refused before the start and long after the last grant, and who asked again", async () => {
  const lunch = await dropped("2026-05-08 12:00Z", [3, "0.01 s"], [1, "1.5 s"]);
  await told(lunch, "2026-05-08 11:59:58Z", 20, 0);
  await told(lunch, "2026-05-08 12:00:00Z", 1000, 2);
  await told(lunch, "2026-05-08 12:00:03Z", 500, 1);
  const all = [
    ["11:59:58.000", 20, 0, 20, 0],
    ["11:59:59.000", 0, 0, 0, 0],
    ["12:00:00.000", 1005, 3, 1000, 3],
    ["12:00:01.000", 1, 1, 0, 4],
    ["12:00:02.000", 0, 0, 0, 4],
    ["12:00:03.000", 501, 0, 500, 4],
  ];
  assert.deepEqual(await requests(lunch), all);
  assert.deepEqual(await requests(lunch, "2 seconds"), [
    ["11:59:58.000", 20, 0, 20, 0],
    ["12:00:00.000", 1006, 4, 1000, 4],
    ["12:00:02.000", 501, 0, 500, 4],
  ]);
  const halves = await requests(lunch, "500 ms");
  assert.deepEqual(halves.slice(4, 8), [
    ["12:00:00.000", 1005, 3, 1000, 3],
    ["12:00:00.500", 0, 0, 0, 3],
    ["12:00:01.000", 0, 0, 0, 3],
    ["12:00:01.500", 1, 1, 0, 4],
  ]);
  const [since, before] = ["2026-05-08 12:00:01.7Z", "2026-05-08 12:00:03Z"];
  assert.deepEqual(await requests(lunch, "1 second", since, before), all.slice(3, 5));
  assert.deepEqual(await requests(lunch, "1 second", since), all.slice(3));
  assert.deepEqual(await requests(lunch, "1 second", null, since), all.slice(0, 4));
  assert.deepEqual(await requests(lunch, "1 second", before, since), []);
  assert.deepEqual(await requests(lunch, "1 second", "2026-05-08 12:00:04Z"), []);
  for (const [since, before] of [
    ["-infinity", "-infinity"],
    ["infinity", null],
    [null, "4714-11-24 00:00Z BC"],
  ])
    assert.deepEqual(await requests(lunch, "1 second", since, before), []);
  assert.deepEqual(await requests(lunch, "1 second", "-infinity", "infinity"), all);
});

test("requests of a coupon of which nothing was issued; it starts between two seconds", async () => {
  const lunch = await coupon();
  await owner`update coupon.coupons set start_time = '2026-05-09 12:00:00.25Z' where id = ${lunch}`;
  await told(lunch, "2026-05-09 12:00:01Z", 7, 0);
  assert.deepEqual(await requests(lunch), [["12:00:00.250", 7, 0, 7, 0]]);
});

test("a day of requests: buckets that are too short are refused, a part of the time is not", async () => {
  const lunch = await dropped("2026-05-10 12:00Z", [1, "0 s"]);
  await told(lunch, "2026-05-11 11:59:59Z", 1, 0);
  await assert.rejects(requests(lunch), {
    code: "22023",
    message:
      "bucket must be longer: this would make 86400 buckets, and 10000 is the most; 9 seconds would do",
  });
  assert.equal((await requests(lunch, "9 seconds")).length, 9600);
  assert.deepEqual(await requests(lunch, "1 second", null, "2026-05-10 12:00:02Z"), [
    ["12:00:00.000", 1, 1, 0, 1],
    ["12:00:01.000", 0, 0, 0, 1],
  ]);
});

const bad: [string, string, string, "22004" | "22023"][] = [
  ["null", "'1 second'", "coupon_id", "22004"],
  ["1", "null", "bucket", "22004"],
  ["1", "'0'", "bucket", "22023"],
  ["1", "'-1 second'", "bucket", "22023"],
  ["1", "'999 microseconds'", "bucket", "22023"],
  ["1", "'366 days 1 microsecond'", "bucket", "22023"],
  ["1", "'1 month'", "bucket", "22023"],
  ["1", "'1 year -350 days'", "bucket", "22023"],
  ["1", "'178000000 years'", "bucket", "22023"],
];
for (const [coupon_id, bucket, argument, code] of bad)
  test(`refuses ${coupon_id}, ${bucket}`, () =>
    refusesArgument(admin.unsafe(`select from coupon_timeline(${coupon_id}, ${bucket})`), argument, code));
