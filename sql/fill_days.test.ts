import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";

const { owner, admin, today, watch, user, issue, time_zone, westOfIt } = await testDatabase();

// It is noon, and stays today, in the zone of this database.
beforeEach(() =>
  owner.unsafe(`
    delete from coupon.plan;
    delete from coupon.planned;
    delete from coupon.coupons where issued = 0;
    update coupon.settings set time_zone = '${time_zone}'`),
);

interface Entry {
  code?: string;
  start?: string;
  end?: string;
  count?: number;
}

/** Plans a coupon for the weekday of the day that is so many days from today. */
const plan = (days: number, slot: number, { code = `LUNCH${slot}-{date}`, ...other }: Entry = {}) => {
  const { start = `1${slot}:00`, end = "23:00", count = slot } = other;
  return admin`
    select from set_plan_entry(extract(isodow from ${today} + ${days}::integer)::integer, ${slot}, ${code}, 'Free lunch',
      'One soup', ${start}::text::time, ${end}::text::time, ${count}, metadata => '{"a": 1}')`;
};
const remove = (days: number, slot: number) =>
  admin`select from remove_plan_entry(extract(isodow from ${today} + ${days}::integer)::integer, ${slot})`;
const fill = (days: number, sql = admin) => sql`
  select day - ${today}, slot, outcome, coupon_id::integer, taken_by::integer from fill_days(${today} + ${days}::integer)`;
const outcomes = async (days: number, sql = admin) =>
  (await rows(fill(days, sql))).map(([day, slot, outcome]) => [day, slot, outcome]);
const codeOf = async (days: number, slot = 1) =>
  String(
    await value(admin`select ${`LUNCH${slot}-`}::text || to_char(${today} + ${days}::integer, 'YYYYMMDD')`),
  );
const count = () => value(owner`select count(*)::integer from coupon.coupons where issued = 0`);

test("made: each entry on its weekday, by create_coupon(), with reason and actor in the audit", async () => {
  await plan(1, 1);
  await plan(3, 2);
  const columns = admin.unsafe("code, message, description, start_time, expiry, count, metadata, coupon_id");
  const made = await rows(admin`
    select ${columns}, outcome, day - ${today}, slot, warning from fill_days(${today} + 9, 'as planned', 'server:plan')`);
  assert.deepEqual(
    made.map((row) => row.slice(8)),
    [
      ["made", 1, 1, null],
      ["made", 3, 2, null],
      ["made", 8, 1, null],
    ],
  );
  const there =
    await rows(admin`select ${admin.unsafe("code, message, description, start_time, expiry, count, metadata, id")}
    from coupon.coupons order by start_time`);
  assert.deepEqual(
    made.map((row) => row.slice(0, 8)),
    there,
  );
  assert.deepEqual(
    await rows(admin`
      select live_on - ${today}, start_time at time zone ${time_zone}::text - live_on, expiry at time zone ${time_zone}::text - live_on,
        message, description, count, metadata
      from coupon.coupons order by start_time`),
    [
      [1, "11:00:00", "23:00:00", "Free lunch", "One soup", 1, { a: 1 }],
      [3, "12:00:00", "23:00:00", "Free lunch", "One soup", 2, { a: 1 }],
      [8, "11:00:00", "23:00:00", "Free lunch", "One soup", 1, { a: 1 }],
    ],
  );
  assert.deepEqual(
    await rows(admin`select distinct command, reason, actor from audit_trail(page_size => 3)`),
    [["create_coupon", "as planned", "server:plan"]],
  );
  assert.equal(
    await value(admin`select coupon_id is not null from find_coupon(code => ${await codeOf(8)})`),
    true,
  );
});

test("two weeks, without a day", async () => {
  await plan(2, 1);
  await plan(13, 2);
  await plan(14, 3, { start: "18:00" }); // the weekday of today
  const made = await rows(
    admin`select day - ${today}, slot from fill_days() where outcome <> 'in_the_past' order by 1, 2`,
  );
  assert.deepEqual(made, [
    [0, 3],
    [2, 1],
    [6, 2],
    [7, 3],
    [9, 1],
    [13, 2],
  ]);
});

test("already_made: also after the coupon was edited, moved or withdrawn, or the entry changed", async () => {
  for (const slot of [1, 2, 3]) await plan(1, slot, { code: `CHANGED${slot}-{date}` });
  const made = (await rows(fill(1))) as [number, number, string, number, null][];
  assert.deepEqual(
    made.map(([, slot, outcome]) => [slot, outcome]),
    [
      [1, "made"],
      [2, "made"],
      [3, "made"],
    ],
  );
  const [a, b, c] = made.map((row) => row[3]) as [number, number, number];
  await admin`select from edit_coupon(${a}, code => 'ANOTHER')`;
  await admin`select from set_coupon_start(${b}, (select start_time + interval '2 hours' from coupon.coupons where id = ${b}))`;
  await admin`select from withdraw_coupon(${c})`;
  await plan(1, 1, { code: "CHANGED1-{date}", count: 77 });
  await remove(1, 2);
  const before = await value(owner`select count(*) from coupon.audit`);
  assert.deepEqual(
    await rows(fill(1)),
    made.map(([day, slot, , id]) => [day, slot, "already_made", id, null]),
  );
  assert.equal(await count(), 2);
  assert.equal(await value(owner`select count(*) from coupon.audit`), before);
  assert.deepEqual(
    await rows(
      admin`select slot, code, start_time is null, count from preview_days(${today} + 1, ${today} + 1)`,
    ),
    [
      [1, "ANOTHER", false, 1],
      [2, (await codeOf(1, 2)).replace("LUNCH", "CHANGED"), false, 2],
      [3, null, true, null],
    ],
    "as they are now",
  );
  // The next week is not filled yet: the plan as it is now.
  assert.deepEqual((await outcomes(8)).slice(3), [
    [8, 1, "made"],
    [8, 3, "made"],
  ]);
});

test("already_made: by hand, as the plan would", async () => {
  await plan(1, 1, { code: "BY-HAND-{date}" });
  await admin`
    select from preview_days(${today} + 1, ${today} + 1) p,
      create_coupon(p.code, p.message, p.description, p.start_time, p.expiry, p.count, p.metadata)`;
  assert.deepEqual(await outcomes(1), [[1, 1, "already_made"]]);
  await admin`select from coupon.coupons c, withdraw_coupon(c.id)`;
  assert.deepEqual(await outcomes(1), [[1, 1, "already_made"]], "it is the plan's since then");
});

test("already_made: by hand, and withdrawn before it was filled; made anew for a reason, once its row is deleted", async () => {
  await plan(1, 1, { code: "GONE-{date}" });
  const [[id] = []] = await rows(admin`
    select c.coupon_id::integer
    from preview_days(${today} + 1, ${today} + 1) p,
      create_coupon(p.code, p.message, p.description, p.start_time, p.expiry, p.count, p.metadata, 'by hand') c`);
  await admin`select from withdraw_coupon(${id as number})`;
  const gone = [[1, 1, "already_made", id, null]];
  assert.deepEqual(
    await rows(admin`select outcome, coupon_id::integer, code from preview_days(${today} + 1, ${today} + 1)`),
    [["already_made", id, null]],
  );
  assert.deepEqual(await rows(fill(1)), gone);
  await owner`delete from coupon.planned`;
  assert.deepEqual(await rows(fill(1)), gone, "no reason makes it again");
  await owner`delete from coupon.planned`;
  const [[outcome, anew] = []] = await rows(admin`
    select outcome, coupon_id::integer from fill_days(${today} + 1, 'wanted after all')`);
  assert.equal(outcome, "made");
  assert.deepEqual(await rows(fill(1)), [[1, 1, "already_made", anew, null]]);
});

test("in_the_past: today's, once its start is over", async () => {
  await plan(0, 1, { start: "11:59:59" });
  await plan(0, 2, { start: "18:00" });
  await plan(0, 3, { start: "00:00" });
  assert.deepEqual(await outcomes(0), [
    [0, 1, "in_the_past"],
    [0, 2, "made"],
    [0, 3, "in_the_past"],
  ]);
  assert.deepEqual(await outcomes(0), [
    [0, 1, "in_the_past"],
    [0, 2, "already_made"],
    [0, 3, "in_the_past"],
  ]);
});

test("code_taken, start_time_taken, count_taken, day_full: of this entry, and the others are made", async () => {
  const coupon = async (days: number, { code = "X", start = "08:00", count = 99 }: Entry) =>
    value(admin`
      select coupon_id::integer
      from create_coupon(${code}, 'm', 'd', (${today} + ${days}::integer + ${start}::text::time) at time zone ${time_zone}::text,
        (${today} + ${days}::integer + time '23:30') at time zone ${time_zone}::text, ${count})`);
  for (const slot of [1, 2, 3]) await plan(1, slot);
  await plan(2, 1);
  const atOnce = await coupon(1, { code: "A", start: "11:00", count: 50 });
  const asMany = await coupon(1, { code: "B", count: 2 });
  const named = await coupon(2, { code: `lunch1-${String(await codeOf(2)).slice(-8)}` });
  assert.deepEqual(
    (await rows(fill(2))).map(([day, slot, outcome, , taken_by]) => [day, slot, outcome, taken_by]),
    [
      [1, 1, "start_time_taken", atOnce],
      [1, 2, "count_taken", asMany],
      [1, 3, "made", null],
      [2, 1, "code_taken", named],
    ],
  );
  // What is in the way goes: the next one who fills makes it.
  await admin`select from withdraw_coupon(${atOnce as number})`;
  assert.deepEqual(await outcomes(1), [
    [1, 1, "made"],
    [1, 2, "count_taken"],
    [1, 3, "already_made"],
  ]);
  await admin`select from set_coupon_count(${asMany as number}, 98)`;
  assert.deepEqual((await outcomes(1))[1], [1, 2, "day_full"]);
});

test("short_lived: made, and said", async () => {
  await plan(1, 1, { start: "11:00", end: "11:00:59" });
  assert.deepEqual(await rows(admin`select outcome, warning from fill_days(${today} + 1)`), [
    ["made", "short_lived"],
  ]);
});

test("another time zone: what is made stays when it is, what is not follows the new clocks", async () => {
  await plan(1, 1, { start: "00:00" });
  assert.deepEqual(await outcomes(1), [[1, 1, "made"]]);
  const made = "select extract(epoch from start_time) from coupon.coupons order by id limit 1";
  const before = await value(owner.unsafe(made));
  assert.equal(await value(admin`select outcome from set_time_zone(${westOfIt})`), "changed");
  assert.equal(await value(owner.unsafe(made)), before);
  assert.equal(
    await value(owner`select live_on - ${today} from coupon.coupons`),
    0,
    "it is of another day now",
  );
  assert.deepEqual(await outcomes(8), [
    [1, 1, "already_made"],
    [8, 1, "made"],
  ]);
  assert.equal(
    await value(owner`select max(start_time) - min(start_time) from coupon.coupons`),
    "7 days 01:00:00",
  );
});

test("two at once: one makes them, the other one waits and finds them made", async () => {
  await plan(1, 1);
  await plan(2, 1);
  await owner
    .begin(async (first) => {
      assert.deepEqual(await outcomes(2, first as unknown as typeof admin), [
        [1, 1, "made"],
        [2, 1, "made"],
      ]);
      const second = outcomes(2);
      await waiting(watch);
      return { second };
    })
    .then(async ({ second }) => {
      assert.deepEqual(await second, [
        [1, 1, "already_made"],
        [2, 1, "already_made"],
      ]);
    });
  assert.equal(await count(), 2);
});

test("a day that cannot be is refused by its name", async () => {
  await refusesArgument(admin`select fill_days(${today} - 1)`, "last_day", "22023");
  await refusesArgument(admin`select fill_days(${today} + 91)`, "last_day", "22023");
  for (const day of ["-infinity", "infinity", "4713-01-01 BC", "5874897-12-31"])
    await refusesArgument(admin`select fill_days(${day}::text::date)`, "last_day", "22023");
  await refusesArgument(admin`select fill_days(reason => '')`, "reason", "22023");
  await plan(90, 1);
  const [, last] = [...(await outcomes(90)).slice(-2)];
  assert.deepEqual(last, [90, 1, "made"]);
});

test("a coupon of a filled day is one like any other", async () => {
  await plan(0, 1, { start: "18:00" });
  const [[, , , id]] = (await rows(fill(0))) as [[number, number, string, number]];
  const ann = await user();
  assert.equal(await issue(ann, id), "not_started");
  await owner`update coupon.coupons set start_time = clock_timestamp() where id = ${id}`;
  assert.equal(await issue(ann, id), "issued");
  assert.equal(await value(admin`select count(*)::integer from reconcile()`), 0);
});
