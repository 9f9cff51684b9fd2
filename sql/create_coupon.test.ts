import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin } = await testDatabase({ time_zone: "UTC" });

interface Coupon {
  code: string | null;
  message: string | null;
  description: string | null;
  start_time: string | null;
  expiry: string | null;
  count: number | null;
  metadata: string | null;
  reason: string | null;
}

const normal: Coupon = {
  code: "LUNCH",
  message: "Lunch for free",
  description: "One lunch",
  start_time: "2059-01-01 12:00Z",
  expiry: "2060-01-01 12:00Z",
  count: 25,
  metadata: `{"shop": 7}`,
  reason: null,
};

function create(given: Partial<Coupon>) {
  const c = { ...normal, ...given };
  return admin`
    select outcome, coupon_id::integer, live_on::text, slot
    from create_coupon(${c.code}, ${c.message}, ${c.description}, ${c.start_time}::text::timestamptz,
      ${c.expiry}::text::timestamptz, ${c.count}, ${c.metadata}::text::jsonb, ${c.reason})`;
}

/** A day with three coupons A, B and C at 1, 2 and 3 o'clock of 1, 2 and 3 units. Returns their ids. */
async function fullDay(day: string) {
  const ids: unknown[] = [];
  for (const [place, name] of ["A", "B", "C"].entries()) {
    const [row] = await rows(
      create({ code: `${name}_${day}`, start_time: `${day} 0${place + 1}:00Z`, count: place + 1 }),
    );
    assert.equal(row?.[0], "created");
    ids.push(row?.[1]);
  }
  return ids;
}

test("created: as it was given, nothing issued, first slot of its day", async () => {
  const [made] = await rows(create({}));
  assert.deepEqual(made, ["created", made?.[1], "2059-01-01", 1]);
  assert.deepEqual(
    await rows(owner`
      select code, message, description, start_time::text, expiry::text, count, metadata, issued, paused, live_on::text,
        slot, time_zone
      from coupon.coupons where id = ${made?.[1] as number}`),
    [
      [
        ...["LUNCH", "Lunch for free", "One lunch", "2059-01-01 12:00:00+00", "2060-01-01 12:00:00+00", 25],
        ...[{ shop: 7 }, 0, false, "2059-01-01", 1, "UTC"],
      ],
    ],
  );
});

test("created: metadata is optional", async () => {
  const made = admin`select coupon_id::integer
    from create_coupon('PLAIN', 'm', '', '2059-01-02 12:00Z', '2059-01-03', 1)`;
  assert.deepEqual(
    await value(owner`select metadata from coupon.coupons where id = ${(await value(made)) as number}`),
    {},
  );
});

test("created: three a day, in the first free slot", async () => {
  const [a, b] = await fullDay("2059-02-01");
  assert.deepEqual(
    await rows(owner`select slot from coupon.coupons where live_on = '2059-02-01' order by start_time`),
    [[1], [2], [3]],
  );
  await owner`delete from coupon.coupons where id = any (${[a, b] as number[]}::bigint[])`;
  const [again] = await rows(create({ code: "AGAIN", start_time: "2059-02-01 05:00Z" }));
  assert.deepEqual(again, ["created", again?.[1], "2059-02-01", 1]);
});

test("created: the largest that is allowed", async () => {
  const largest = create({
    code: "x".repeat(64),
    message: "m".repeat(200),
    description: "d".repeat(2000),
    start_time: "2059-03-01 00:00Z",
    expiry: "9999-12-30 23:59:59.999999Z",
    count: 100_000_000,
    metadata: `{"a": {"b": {"c": {"d": {"e": "${"x".repeat(4096 - 37)}"}}}}}`,
  });
  assert.equal(await value(largest), "created");
});

test("already_created: the same coupon again, though its day is full", async () => {
  const [a] = await fullDay("2059-04-01");
  const again = { code: "A_2059-04-01", start_time: "2059-04-01 01:00Z", count: 1 };
  assert.deepEqual(await rows(create(again)), [["already_created", a, "2059-04-01", 1]]);
});

test("already_created: the same instant in another zone, the same JSON in another order", async () => {
  const coupon = { code: "SAME", start_time: "2059-04-02 12:00Z", metadata: `{"a": 1, "b": 2}` };
  await create(coupon);
  const again = { ...coupon, start_time: "2059-04-02 14:00+02", metadata: `{"b": 2.0, "a": 1}` };
  assert.equal(await value(create(again)), "already_created");
});

test("already_created: the same request again after a restock and another expiry", async () => {
  const coupon = { code: "RESTOCKED", start_time: "2059-04-03 12:00Z" };
  const [made] = await rows(create(coupon));
  await admin`select from set_coupon_count(${made?.[1] as number}, 50)`;
  await admin`select from set_coupon_expiry(${made?.[1] as number}, '2061-01-01Z')`;
  const again = ["already_created", ...(made?.slice(1) ?? [])];
  assert.deepEqual(await rows(create(coupon)), [again]);
  assert.deepEqual(await rows(create({ ...coupon, count: 50, expiry: "2061-01-01Z" })), [again]);
  assert.equal(await value(create({ ...coupon, count: 50 })), "code_taken");
});

test("already_created: the same request again after another code and another start, though the code is taken since", async () => {
  const coupon = { code: "RENAMED", start_time: "2059-04-04 12:00Z" };
  const [made] = await rows(create(coupon));
  const id = made?.[1] as number;
  await admin`select from edit_coupon(${id}, code => 'NEW_NAME')`;
  const again = ["already_created", id, "2059-04-04", 1];
  assert.deepEqual(await rows(create(coupon)), [again]);
  await admin`select from set_coupon_start(${id}, '2059-04-05 12:00Z')`;
  const moved = ["already_created", id, "2059-04-05", 1];
  assert.deepEqual(await rows(create(coupon)), [moved]);
  const other = { ...coupon, message: "another" };
  const [namesake] = await rows(create(other));
  assert.deepEqual(namesake, ["created", namesake?.[1], "2059-04-04", 1]);
  assert.deepEqual(await rows(create(coupon)), [moved]);
  assert.deepEqual(await rows(create(other)), [["already_created", namesake?.[1], "2059-04-04", 1]]);
});

test("already_withdrawn: the same request again, also with the reason that it had, and whoever has its code since", async () => {
  const coupon = { code: "WITHDRAWN", start_time: "2059-04-06 12:00Z", reason: "spring" };
  const [made] = await rows(create(coupon));
  const id = made?.[1] as number;
  await admin`select from edit_coupon(${id}, message => 'another')`;
  await admin`select from withdraw_coupon(${id})`;
  const gone = ["already_withdrawn", id, null, null];
  const before = await value(owner`select count(*) from coupon.audit`);
  assert.deepEqual(await rows(create(coupon)), [gone]);
  assert.deepEqual(await rows(create({ ...coupon, reason: null })), [gone]);
  assert.equal(await value(owner`select count(*) from coupon.audit`), before);
  const other = { ...coupon, message: "of another" };
  const [namesake] = await rows(create(other));
  assert.deepEqual(namesake, ["created", namesake?.[1], "2059-04-06", 1]);
  assert.deepEqual(await rows(create(coupon)), [gone]);
});

test("created: again after it was withdrawn, for another reason, each of which counts once", async () => {
  const coupon = { code: "ANEW", start_time: "2059-04-07 12:00Z" };
  const ids: unknown[] = [];
  for (const reason of [null, "made by mistake, wanted after all", "and once more"]) {
    const [made] = await rows(create({ ...coupon, reason }));
    assert.deepEqual(made, ["created", made?.[1], "2059-04-07", 1]);
    const id = made?.[1] as number;
    for (const why of [null, ...[reason].filter(Boolean)])
      assert.deepEqual(await rows(create({ ...coupon, reason: why })), [
        ["already_created", id, "2059-04-07", 1],
      ]);
    await admin`select from withdraw_coupon(${id})`;
    ids.push(id);
    assert.deepEqual(await rows(create({ ...coupon, reason })), [["already_withdrawn", id, null, null]]);
  }
  assert.equal(new Set(ids).size, 3);
  assert.deepEqual(await rows(create(coupon)), [["already_withdrawn", ids[2], null, null]], "the last one");
});

test("created: what a coupon was that is withdrawn, but not what it was created as", async () => {
  const coupon = { code: "EDITED", start_time: "2059-04-08 12:00Z" };
  const [made] = await rows(create(coupon));
  await admin`select from edit_coupon(${made?.[1] as number}, message => 'another')`;
  await admin`select from withdraw_coupon(${made?.[1] as number})`;
  const [anew] = await rows(create({ ...coupon, message: "another" }));
  assert.deepEqual(anew, ["created", anew?.[1], "2059-04-08", 1]);
});

const others: Partial<Coupon>[] = [
  { code: "code_2059" },
  { message: "another" },
  { description: "another" },
  { start_time: "2059-05-01 13:00Z" },
  { expiry: "2061-01-01" },
  { count: 26 },
  { metadata: "{}" },
];
for (const other of others) {
  test(`code_taken: by a coupon with another ${Object.keys(other)[0]}`, async () => {
    const coupon = { code: "CODE_2059", start_time: "2059-05-01 12:00Z" };
    await create(coupon);
    const taken = await value(owner`select id::integer from coupon.coupons where code = 'CODE_2059'`);
    assert.deepEqual(await rows(create({ ...coupon, ...other })), [["code_taken", taken, "2059-05-01", 1]]);
  });
}

test("start_time_taken, count_taken: by another coupon of that day, which is told", async () => {
  const [made] = await rows(create({ code: "FIRST", start_time: "2059-06-01 12:00Z", count: 7 }));
  const start = { code: "SECOND", start_time: "2059-06-01 12:00Z", count: 8 };
  assert.deepEqual(await rows(create(start)), [["start_time_taken", made?.[1], "2059-06-01", null]]);
  const count = { code: "SECOND", start_time: "2059-06-01 13:00Z", count: 7 };
  assert.deepEqual(await rows(create(count)), [["count_taken", made?.[1], "2059-06-01", null]]);
});

test("count_taken: not by a coupon of another day", async () => {
  assert.equal(await value(create({ code: "DAY1", start_time: "2059-07-01 12:00Z", count: 7 })), "created");
  assert.equal(await value(create({ code: "DAY2", start_time: "2059-07-02 12:00Z", count: 7 })), "created");
});

test("day_full: a fourth coupon", async () => {
  await fullDay("2059-08-01");
  const fourth = create({ code: "FOURTH", start_time: "2059-08-01 04:00Z", count: 4 });
  assert.deepEqual(await rows(fourth), [["day_full", null, "2059-08-01", null]]);
});

test("in_the_past: an expiry that is over, by the clock that judges it", async () => {
  const over = { code: "OVER", start_time: "2001-01-01 12:00Z", expiry: "2001-01-02 12:00Z" };
  assert.deepEqual(await rows(create(over)), [["in_the_past", null, "2001-01-01", null]]);
  const now = admin`
    select outcome from create_coupon('NOW', 'm', '', '2001-01-01 12:00Z', clock_timestamp(), 1)`;
  assert.equal(await value(now), "in_the_past");
});

test("in_the_past: after already_created and code_taken, which a late retry gets, before all others", async () => {
  const coupon = { code: "ENDED", start_time: "2002-01-01 12:00Z" };
  const [made] = await rows(create(coupon));
  await owner`update coupon.coupons set expiry = '2002-01-02Z' where id = ${made?.[1] as number}`;
  assert.equal(await value(create(coupon)), "already_created");
  assert.equal(await value(create({ ...coupon, expiry: "2002-01-02Z" })), "already_created");
  assert.equal(await value(create({ ...coupon, expiry: "2002-01-03Z" })), "code_taken");
  const other = { ...coupon, code: "OTHER", expiry: "2002-01-03Z" };
  assert.equal(await value(create(other)), "in_the_past");
});

test("created, with a warning: it has started already, or can be had for less than a minute", async () => {
  const warned = (code: string, start: string, expiry: string) =>
    rows(admin`
      select outcome, warning from create_coupon(${code}, 'm', '', clock_timestamp() + ${start}::interval,
        clock_timestamp() + ${expiry}::interval, 1)`);
  assert.deepEqual(await warned("W1", "-100 days", "1 day"), [["created", "already_started"]]);
  assert.deepEqual(await warned("W2", "-101 days", "30 seconds"), [["created", "short_lived"]]);
  assert.deepEqual(await warned("W3", "100 days", "100 days 1 second"), [["created", "short_lived"]]);
  assert.deepEqual(await warned("W4", "101 days", "101 days 2 minutes"), [["created", null]]);
});

const day = "2059-09-01";
const precedence: [string, string, Partial<Coupon>][] = [
  ["code_taken", "start_time_taken", { code: "a_2059-09-01", start_time: `${day} 01:00Z`, count: 4 }],
  ["code_taken", "count_taken", { code: "a_2059-09-01", start_time: `${day} 04:00Z`, count: 1 }],
  ["code_taken", "day_full", { code: "a_2059-09-01", start_time: `${day} 04:00Z`, count: 4 }],
  ["start_time_taken", "count_taken", { code: "NEW", start_time: `${day} 01:00Z`, count: 2 }],
  ["start_time_taken", "day_full", { code: "NEW", start_time: `${day} 01:00Z`, count: 4 }],
  ["count_taken", "day_full", { code: "NEW", start_time: `${day} 04:00Z`, count: 1 }],
];
let precedenceDay: Promise<unknown> | undefined;
for (const [first, second, coupon] of precedence) {
  test(`${first} before ${second}`, async () => {
    precedenceDay ??= fullDay(day);
    await precedenceDay;
    assert.equal(await value(create(coupon)), first);
  });
}

const bad: [keyof Coupon, "22004" | "22023", Partial<Coupon>][] = [
  ["code", "22004", { code: null }],
  ["message", "22004", { message: null }],
  ["description", "22004", { description: null }],
  ["start_time", "22004", { start_time: null }],
  ["expiry", "22004", { expiry: null }],
  ["count", "22004", { count: null }],
  ["metadata", "22004", { metadata: null }],
  ["code", "22023", { code: "" }],
  ["code", "22023", { code: "a b" }],
  ["code", "22023", { code: "é" }],
  ["code", "22023", { code: "LUNCH\n" }],
  ["code", "22023", { code: "x".repeat(65) }],
  ["message", "22023", { message: "" }],
  ["message", "22023", { message: "m".repeat(201) }],
  ["description", "22023", { description: "d".repeat(2001) }],
  ["start_time", "22023", { start_time: "1969-12-31 23:59:59.999999Z" }],
  ["start_time", "22023", { start_time: "-infinity" }],
  ["start_time", "22023", { start_time: "9999-12-31 00:00Z", expiry: "infinity" }],
  ["expiry", "22023", { expiry: "9999-12-31 00:00Z" }],
  ["expiry", "22023", { expiry: "infinity" }],
  ["expiry", "22023", { start_time: "2059-01-01", expiry: "2059-01-01" }],
  ["count", "22023", { count: 0 }],
  ["count", "22023", { count: -1 }],
  ["count", "22023", { count: 100_000_001 }],
  ["metadata", "22023", { metadata: "[]" }],
  ["metadata", "22023", { metadata: "null" }],
  ["metadata", "22023", { metadata: `{"a": "${"x".repeat(4096)}"}` }],
  ["metadata", "22023", { metadata: `{"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}` }],
  ["metadata", "22023", { metadata: `{"a": [[[[[1]]]]]}` }],
];
for (const [argument, code, given] of bad) {
  test(`refuses ${JSON.stringify(given).slice(0, 60)}`, () => refusesArgument(create(given), argument, code));
}
