import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import fc from "fast-check";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { withinAQuarter } from "../bench/harness/waiting.ts";

const { owner, admin, time_zone } = await testDatabase();

// It is noon in the zone of this database, which some change.
beforeEach(async () => {
  await zone(time_zone);
  await owner.unsafe("delete from coupon.plan; delete from coupon.planned; delete from coupon.coupons");
});

/** By ISO weekday. */
const plan = (weekday: number, slot: number, start: string, end: string, code = `L${slot}-{date}`) =>
  admin`
    select from set_plan_entry(${weekday}, ${slot}, ${code}, 'm', 'd', ${start}::text::time, ${end}::text::time, ${slot},
      expiry_days => ${end <= start ? 1 : 0})`;
const zone = (name: string) => owner`update coupon.settings set time_zone = ${name}`;
const times = (day: string) =>
  rows(admin`
    select to_char(start_time at time zone 'UTC', 'DD HH24:MI'), to_char(expiry at time zone 'UTC', 'DD HH24:MI'), outcome
    from preview_days(${day}::text::date, ${day}::text::date)`);
/** Of a row of a preview, all but the coupon that is not made. */
const TOLD = admin.unsafe(
  "outcome, day, slot, code, message, description, start_time, expiry, count, metadata, taken_by, warning",
);
/** All that could tell that a preview did something. */
const state = () =>
  rows(owner`
    select (select count(*) from coupon.coupons), (select count(*) from coupon.planned), (select count(*) from coupon.audit),
      (select count(*) from coupon.leases)`);

test("it says what filling does, and changes nothing", async () => {
  const today = admin`(clock_timestamp() at time zone ${time_zone}::text)::date`;
  for (const weekday of [1, 2, 3, 4, 5, 6, 7]) {
    await plan(weekday, 1, "11:00", "23:00");
    await plan(weekday, 2, "18:00", "23:00");
    await plan(weekday, 3, "18:00:01", "11:00");
  }
  await admin`select from create_coupon('BY-HAND', 'm', 'd', (${today} + 3 + time '18:00') at time zone ${time_zone}::text,
    (${today} + 4 + time '13:00') at time zone ${time_zone}::text, 55)`;
  await admin`select from fill_days(${today} + 1)`;
  const before = await state();
  const preview = await rows(admin`select ${TOLD} from preview_days()`);
  assert.deepEqual(await state(), before);
  assert.deepEqual(await rows(admin`select ${TOLD} from fill_days()`), preview);
  assert.deepEqual(
    await rows(admin`select outcome, count(*)::integer from preview_days() group by 1 order by 1`),
    [
      ["already_made", 40],
      ["in_the_past", 1],
      ["start_time_taken", 1],
    ],
  );
  assert.equal(preview.filter(([outcome]) => outcome === "made").length, 35);
});

test("coupons of the same preview are in one another's way, and none of these is told as a coupon", async () => {
  await plan(1, 1, "11:00", "23:00", "A-{date}");
  await plan(1, 2, "12:00", "23:00", "a-{year}{month}{day}");
  assert.deepEqual(
    await rows(
      admin`select outcome, code, coupon_id, taken_by from preview_days('2036-06-02', '2036-06-02')`,
    ),
    [
      ["made", "A-20360602", null, null],
      ["code_taken", "a-20360602", null, null],
    ],
  );
});

test("every placeholder, by the day that it is for", async () => {
  await plan(7, 2, "11:00", "23:00", "{date}_{year}-{month}-{day}_{weekday}{slot}");
  assert.equal(
    await value(admin`select code from preview_days('2036-03-01', '2036-03-03')`),
    "20360302_2036-03-02_SUN2",
  );
});

test("clocks put forward: a time that they skip is as much later", async () => {
  await zone("Europe/Berlin");
  await plan(7, 1, "01:59", "02:30");
  await plan(7, 2, "02:30", "03:45");
  await plan(7, 3, "03:30", "23:00");
  assert.deepEqual(await times("2026-03-29"), [
    ["29 00:59", "29 01:30", "in_the_past"],
    ["29 01:30", "29 01:45", "in_the_past"],
    ["29 01:30", "29 21:00", "in_the_past"],
  ]);
  assert.deepEqual(
    (await times("2036-03-30")).map(([, , outcome]) => outcome),
    ["made", "made", "start_time_taken"],
    "02:30 is 03:30 then",
  );
  await plan(7, 2, "02:30", "03:15");
  assert.deepEqual((await times("2036-03-30"))[1], ["30 01:30", "30 01:15", "not_after_start"]);
  assert.deepEqual((await times("2036-04-06"))[1], ["06 00:30", "06 01:15", "made"]);
});

test("clocks put back: a time that comes twice is the second one", async () => {
  await zone("Europe/Berlin");
  await plan(7, 1, "01:59", "02:00");
  await plan(7, 2, "02:59", "03:00");
  assert.deepEqual(await times("2026-10-25"), [
    ["24 23:59", "25 01:00", "in_the_past"],
    ["25 01:59", "25 02:00", "in_the_past"],
  ]);
});

test("half an hour forward and back, in a zone of the south", async () => {
  await zone("Australia/Lord_Howe");
  await plan(7, 1, "01:45", "02:15");
  await plan(7, 2, "02:00", "23:00");
  // Back at 02:00 to 01:30, from +11:00 to +10:30.
  assert.deepEqual(await times("2026-04-05"), [
    ["04 15:15", "04 15:45", "in_the_past"],
    ["04 15:30", "05 12:30", "in_the_past"],
  ]);
  // Forward at 02:00 to 02:30.
  assert.deepEqual(await times("2026-10-04"), [
    ["03 15:15", "03 15:45", "in_the_past"],
    ["03 15:30", "04 12:00", "in_the_past"],
  ]);
});

test("where the clocks skip midnight, a coupon may be of the next day, and takes its place there", async () => {
  // From 22:00 to 23:00 on Saturday until 2023, and from 23:00 to midnight since.
  await zone("America/Nuuk");
  await plan(6, 1, "23:30", "23:00");
  await plan(7, 1, "10:00", "23:00");
  const days = await rows(admin`
    select (start_time at time zone 'America/Nuuk')::text, outcome from preview_days('2036-03-29', '2036-03-30')`);
  assert.deepEqual(days, [
    ["2036-03-30 00:30:00", "made"],
    ["2036-03-30 10:00:00", "count_taken"],
  ]);
});

test("from today for two weeks, or from a day for two weeks", async () => {
  for (const weekday of [1, 2, 3, 4, 5, 6, 7]) await plan(weekday, 1, "11:00", "23:00");
  const spans = await rows(admin`
    select min(day) - (clock_timestamp() at time zone ${time_zone}::text)::date, count(*)::integer from preview_days()
    union all select min(day) - date '2036-01-01', count(*)::integer from preview_days('2036-01-01')
    union all select min(day) - date '2036-01-01', count(*)::integer from preview_days('2036-01-01', '2036-03-31')`);
  assert.deepEqual(spans, [
    [0, 14],
    [0, 14],
    [0, 91],
  ]);
});

test("days that cannot be are refused by their names", async () => {
  const preview = (first: string | null, last: string | null) =>
    admin`select preview_days(${first}::text::date, ${last}::text::date)`;
  await refusesArgument(preview("2036-01-02", "2036-01-01"), "last_day", "22023");
  await refusesArgument(preview("2036-01-01", "2036-04-01"), "last_day", "22023");
  for (const day of ["-infinity", "infinity", "1969-12-31", "9998-01-01", "5874897-12-31"]) {
    await refusesArgument(preview(day, null), "first_day", "22023");
    await refusesArgument(preview(null, day), "last_day", "22023");
  }
  assert.deepEqual(await rows(preview("9997-12-31", "9997-12-31")), []);
});

test("the last day that can be, with the longest life", async () => {
  await zone("Etc/GMT+12");
  await admin`
    select from set_plan_entry(extract(isodow from date '9997-12-31')::integer, 1, '{date}', 'm', 'd', '23:00', '23:59', 1, 365)`;
  assert.deepEqual(await rows(admin`select outcome from preview_days('9997-12-31', '9997-12-31')`), [
    ["made"],
  ]);
});

/** Few values, so that entries and coupons are often in one another's way. */
const few = {
  entry: fc.record({
    weekday: fc.integer({ min: 1, max: 7 }),
    slot: fc.integer({ min: 1, max: 3 }),
    code: fc.constantFrom("A-{date}", "a-{year}{month}{day}", "B-{date}", "{slot}-{date}"),
    start: fc.constantFrom("00:30", "02:30", "03:30", "12:00"),
    lasts: fc.constantFrom("00:45", "03:00"),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  coupon: fc.record({
    day: fc.integer({ min: 0, max: 8 }),
    code: fc.constantFrom("A", "b", "1", "2"),
    start: fc.constantFrom("00:30", "03:30", "12:00", "15:00"),
    count: fc.integer({ min: 1, max: 4 }),
  }),
};

test("whatever is planned and there: filling does what the preview said, once, and no rule is broken", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(few.entry, { minLength: 1, maxLength: 20 }),
      fc.array(few.coupon, { maxLength: 8 }),
      fc.constantFrom("UTC", "Europe/Berlin", "Pacific/Kiritimati", "Asia/Kathmandu"),
      // In these zones it is any time of day, and a start may come between the preview and the filling.
      (entries, coupons, name) =>
        withinAQuarter(async () => {
          await owner.unsafe(
            "delete from coupon.plan; delete from coupon.planned; delete from coupon.coupons",
          );
          await zone(name);
          for (const { weekday, slot, code, start, lasts, count } of entries)
            await admin`
            select from set_plan_entry(${weekday}, ${slot}, ${code}, 'm', 'd', ${start}::text::time,
              ${start}::text::time + ${lasts}::text::interval, ${count})`;
          for (const { day, code, start, count } of coupons)
            await admin`
            select from (select (clock_timestamp() at time zone ${name}::text)::date + ${day}::integer as day) d,
              create_coupon(${code}::text || to_char(d.day, '-YYYYMMDD'), 'm', 'd',
                (d.day + ${start}::text::time) at time zone ${name}::text, '2099-01-01Z', ${count})`;
          const preview = await rows(admin`select ${TOLD} from preview_days()`);
          const filled = await rows(admin`select ${TOLD}, coupon_id from fill_days()`);
          const [first] = await rows(admin`select count(*)::integer from coupon.coupons`);
          // A coupon that the same filling made is told as the one in the way; a preview has made none.
          const made = filled.filter(([outcome]) => outcome === "made").map((row) => row.at(-1));
          assert.deepEqual(
            filled.map((row) =>
              row.slice(0, -1).map((cell) => (cell !== null && made.includes(cell) ? null : cell)),
            ),
            preview,
          );
          const again = await rows(admin`select ${TOLD}, coupon_id from fill_days()`);
          const isThere = ([outcome]: unknown[]) => outcome === "already_made" || outcome === "made";
          assert.deepEqual(
            again.filter(isThere).map((row) => row.at(-1)),
            filled.filter(isThere).map((row) => row.at(-1)),
          );
          assert.deepEqual(await rows(admin`select count(*)::integer from coupon.coupons`), [first]);
          assert.deepEqual(await rows(admin`select * from reconcile()`), []);
        }),
    ),
    { numRuns: 25 },
  ));
