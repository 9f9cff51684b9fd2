import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, time_zone, today, user, issue } = await testDatabase();

// Some change the zone, and "today" is of this one.
beforeEach(async () => {
  await owner`update coupon.settings set time_zone = ${time_zone}`;
  await owner`delete from coupon.coupons where issued = 0`;
});

const create = (code: string, start: string, expiry: string, count: number) =>
  value(admin`
    select coupon_id::integer
    from create_coupon(${code}, 'Free lunch', 'One soup', ${start}::text::timestamptz, ${expiry}::text::timestamptz, ${count}, '{"a": 1}')`) as Promise<number>;
const copy = (from: string | null, to: string | null) =>
  admin`
    select outcome, slot, code, coupon_id::integer, taken_by::integer
    from copy_day(${from}::text::date, ${to}::text::date, 'again', 'admin:ann')`;
const copied = async (from: string, to: string) =>
  (await rows(copy(from, to))).map(([outcome, , code]) => [outcome, code]);

test("made: each of the day's coupons, with the new day in its code, and the same again is already_made", async () => {
  await owner`update coupon.settings set time_zone = 'Europe/Berlin'`;
  // Before and after the clocks are put forward (30 March 2036).
  await create("LUNCH-20360324", "2036-03-24 11:00 Europe/Berlin", "2036-03-25 01:00 Europe/Berlin", 3);
  await create("2036-03-24_20360324", "2036-03-24 23:59:59 Europe/Berlin", "2036-04-24 Europe/Berlin", 1);
  const paused = await create("PIZZA", "2036-03-24 00:00 Europe/Berlin", "9999-12-29Z", 2);
  await admin`select from pause_coupon(${paused})`;
  const made = [
    ["made", "LUNCH-20360331"],
    ["made", "2036-03-31_20360331"],
    ["made", "PIZZA-20360331"],
  ];
  assert.deepEqual(await copied("2036-03-24", "2036-03-31"), made);
  assert.deepEqual(
    await rows(admin`
      select code, message, description, count, metadata, live_on = '2036-03-31', paused,
        (start_time at time zone 'Europe/Berlin')::text, (expiry at time zone 'Europe/Berlin')::text
      from coupon.coupons where live_on = '2036-03-31' order by slot`),
    [
      ["LUNCH-20360331", 3, "2036-03-31 11:00:00", "2036-04-01 01:00:00"],
      ["2036-03-31_20360331", 1, "2036-03-31 23:59:59", "2036-05-01 00:00:00"],
      ["PIZZA-20360331", 2, "2036-03-31 00:00:00", "9999-12-30 01:00:00"],
    ].map(([code, count, start, expiry]) => [
      ...[code, "Free lunch", "One soup", count, { a: 1 }, true, false],
      ...[start, expiry],
    ]),
  );
  assert.deepEqual(
    await copied("2036-03-24", "2036-03-31"),
    made.map(([, code]) => ["already_made", code]),
  );
  // A copy of a copy, and back to an earlier day.
  assert.deepEqual(
    (await copied("2036-03-31", "2036-03-23")).map(([, code]) => code),
    ["LUNCH-20360323", "2036-03-23_20360323", "PIZZA-20360323"],
  );
  assert.deepEqual(await rows(admin`select command, reason, actor from audit_trail(page_size => 1)`), [
    ["create_coupon", "again", "admin:ann"],
  ]);
});

test("already_made: what was copied and withdrawn, until there is another reason", async () => {
  await owner`update coupon.settings set time_zone = 'Europe/Berlin'`;
  await create("GONE-20360501", "2036-05-01 11:00 Europe/Berlin", "2036-05-02 Europe/Berlin", 3);
  const copyFor = (reason: string | null) =>
    rows(admin`
      select outcome, coupon_id::integer, code, start_time is null
      from copy_day('2036-05-01', '2036-05-02', ${reason})`);
  const [made] = await copyFor("again");
  const id = made?.[1] as number;
  assert.deepEqual(made, ["made", id, "GONE-20360502", false]);
  await admin`select from withdraw_coupon(${id})`;
  for (const reason of ["again", null])
    assert.deepEqual(await copyFor(reason), [["already_made", id, null, true]]);
  const [anew] = await copyFor("wanted after all");
  assert.deepEqual(anew, ["made", anew?.[1], "GONE-20360502", false]);
  await admin`select from edit_coupon(${anew?.[1] as number}, code => 'CORRECTED')`;
  assert.deepEqual(await copyFor(null), [["already_made", anew?.[1], "CORRECTED", false]], "as it is now");
});

test("what is in the way is told of each, and the others are made", async () => {
  await owner`update coupon.settings set time_zone = 'UTC'`;
  for (const [hour, count] of [
    [10, 1],
    [11, 2],
    [12, 3],
  ] as const)
    await create(`C${count}-20360501`, `2036-05-01 ${hour}:00Z`, "2036-05-02Z", count);
  const atOnce = await create("X", "2036-05-02 10:00Z", "2036-05-03Z", 9);
  const asMany = await create("Y", "2036-05-02 15:00Z", "2036-05-03Z", 2);
  assert.deepEqual(await rows(copy("2036-05-01", "2036-05-02")), [
    ["start_time_taken", 1, "C1-20360502", null, atOnce],
    ["count_taken", 2, "C2-20360502", null, asMany],
    ["made", 3, "C3-20360502", asMany + 1, null],
  ]);
});

test("code_too_long: with the day at its end", async () => {
  await owner`update coupon.settings set time_zone = 'UTC'`;
  await create("A".repeat(55), "2036-06-01 10:00Z", "2036-06-02Z", 1);
  await create("B".repeat(56), "2036-06-01 11:00Z", "2036-06-02Z", 2);
  assert.deepEqual(
    (await copied("2036-06-01", "2036-06-02")).map(([outcome]) => outcome),
    ["made", "code_too_long"],
  );
});

test("what was issued is not copied, and a day that is over takes nothing", async () => {
  const start = await value(admin`select (clock_timestamp() - interval '1 hour')::text`);
  const lunch = await create("LUNCH", String(start), "2036-06-02Z", 5);
  assert.equal(await issue(await user(), lunch), "issued");
  const copies = (to: number) =>
    value(admin`select outcome from copy_day(${today}, ${today} + ${to}::integer)`);
  assert.equal(await copies(-1), "in_the_past");
  assert.equal(await copies(1), "made");
  assert.deepEqual(await rows(owner`select count, issued from coupon.coupons where live_on = ${today} + 1`), [
    [5, 0],
  ]);
});

test("nothing on that day: no row", async () =>
  assert.deepEqual(await copied("2036-07-01", "2036-07-02"), []));

test("days that cannot be are refused by their names", async () => {
  await refusesArgument(copy(null, "2036-07-02"), "from_day", "22004");
  await refusesArgument(copy("2036-07-02", null), "to_day", "22004");
  await refusesArgument(copy("2036-07-02", "2036-07-02"), "to_day", "22023");
  for (const day of ["-infinity", "infinity", "1969-12-31", "9998-01-01"]) {
    await refusesArgument(copy(day, "2036-07-02"), "from_day", "22023");
    await refusesArgument(copy("2036-07-02", day), "to_day", "22023");
  }
});
