import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "postgres";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, apiUrl, adminUrl, coupon, issue, watch } = await testDatabase();

const A = "https://a.example/";
const B = "https://b.example/";
const FIRST = 2 ** 52;

/** Outcomes and numbers, as numbers. */
const resolve = (
  subjects: string[],
  { issuer = A, creating = true, names = null as (string | null)[] | null } = {},
) =>
  rows(admin`
    select outcome, user_id::float8 from resolve_subjects(
      ${issuer}, ${subjects}::text[], ${names}::text[], ${creating})`);
const nameOf = (user_id: unknown) =>
  value(owner`select display_name from coupon.users where id = ${user_id as number}`);
const users = () => value(owner`select count(*)::integer from coupon.users`);

test("created, known, unknown: a row each, in the order given, and numbers from 2^52 on", async () => {
  assert.deepEqual(await resolve(["ann"], { creating: false }), [["unknown", null]]);
  assert.equal(await users(), 0);
  const made = await resolve(["ben", "ann"], { names: [null, "Ann"] });
  const [ben, ann] = made.map(([, id]) => id as number);
  assert.deepEqual(
    made.map(([outcome]) => outcome),
    ["created", "created"],
  );
  assert.deepEqual(await resolve(["cid", "ann", "ben", "ann"], { creating: false }), [
    ["unknown", null],
    ["known", ann],
    ["known", ben],
    ["known", ann],
  ]);
  const later = await resolve(["dan", "ben", "dan"], { names: ["Dan", "Other", "Daniel"] });
  const dan = later[0]?.[1] as number;
  assert.deepEqual(later, [
    ["created", dan],
    ["known", ben],
    ["created", dan],
  ]);
  assert.equal(new Set([ann, ben, dan]).size, 3);
  assert.deepEqual(
    [await nameOf(ann), await nameOf(ben)],
    ["Ann", `User ${ben}`],
    "a name is that of the first sight",
  );
  assert.deepEqual(await resolve([]), []);
  assert.equal(await users(), 3);
});

test("numbers are whole, from 2^52 to 2^53 - 1, and no database gives those of another", async () => {
  const subjects = Array.from({ length: 500 }, (_, i) => `many-${i}`);
  const ids = (await resolve(subjects)).map(([, id]) => id as number);
  assert.ok(ids.every((id) => Number.isSafeInteger(id) && id >= FIRST));
  // As after a restore: the same subjects come to a database that is as this one was.
  const other = await testDatabase();
  const again = (
    await rows(
      other.admin`select user_id::float8 from resolve_subjects(${A}, ${subjects}::text[], null, true)`,
    )
  ).flat();
  assert.equal(new Set([...ids, ...again]).size, 1_000);
});

test("a subject is one of its issuer, letter by letter, and may be any text", async () => {
  const same = [
    "eve",
    "Eve",
    "eve ",
    "é",
    "e\u0301",
    "'; drop table coupon.users",
    "\\",
    '"{}',
    "x".repeat(200),
  ];
  const here = await resolve(same);
  const there = await resolve(same, { issuer: B });
  const ids = [...here, ...there].map(([outcome, id]) => {
    assert.equal(outcome, "created");
    return id;
  });
  assert.equal(new Set(ids).size, 2 * same.length);
  assert.deepEqual(
    await resolve(same, { creating: false }),
    here.map(([, id]) => ["known", id]),
  );
});

test("what is known is told without a lock and without a transaction id", async () => {
  await resolve(["known-1"]);
  const [told] = await admin.begin(async (sql) => {
    await sql`select from resolve_subjects(${A}, '{known-1}', null, true)`;
    return rows(sql`
      select pg_current_xact_id_if_assigned()::text, (
        select count(*)::integer from pg_locks
        where pid = pg_backend_pid() and relation = 'coupon.forgotten_users'::regclass and mode = 'ShareLock')`);
  });
  assert.deepEqual(told, [null, 0]);
});

test("a number that a user has, or had, is passed over", async () => {
  // With this seed each call draws the same numbers, so all but the last were given before.
  const drawn = (subject: string) =>
    admin.begin(async (sql) => {
      await sql`select setseed(0.5)`;
      const [row] = await sql`
        select user_id::float8 from resolve_subjects(${A}, ${[subject]}::text[], null, true)`;
      return row?.["user_id"] as number;
    });
  const [first, second, third] = [await drawn("drawn-1"), await drawn("drawn-2"), await drawn("drawn-3")];
  await admin`select from forget_user(${second}::bigint)`;
  await owner`delete from coupon.forgotten_subjects`;
  const fourth = await drawn("drawn-4");
  assert.equal(new Set([first, second, third, fourth]).size, 4);
});

test("32 sessions see the same 40 subjects first, in any order: each is one user, and all are told so", async (t) => {
  const pool = connect(adminUrl, { max: 32 });
  t.after(() => pool.end({ timeout: 1 }));
  const subjects = Array.from({ length: 40 }, (_, i) => `racer-${i}`);
  const before = (await users()) as number;
  const answers = await owner.begin(async (sql) => {
    // All of them have read that nobody is known when the first one writes.
    await sql`lock table coupon.forgotten_users in share row exclusive mode`;
    const asked = Array.from({ length: 32 }, (_, i) => {
      const order = i % 2 ? subjects.toReversed() : [...subjects.slice(i), ...subjects.slice(0, i)];
      return pool`
        select i.subject, r.outcome, r.user_id::float8 from (
          select row_number() over () as place, r.* from resolve_subjects(${A}, ${order}::text[], null, true) r
        ) r
        join unnest(${order}::text[]) with ordinality i (subject, place) using (place)`;
    }).map((query) => query.execute());
    await waiting(watch, 32);
    return { asked };
  });
  const told = (await Promise.all(answers.asked)).flat() as {
    subject: string;
    outcome: string;
    user_id: number;
  }[];
  assert.equal(told.length, 32 * 40);
  assert.equal(told.filter(({ outcome }) => outcome === "created").length, 40);
  assert.equal(told.filter(({ outcome }) => outcome === "known").length, 31 * 40);
  for (const subject of subjects)
    assert.equal(new Set(told.filter((row) => row.subject === subject).map((row) => row.user_id)).size, 1);
  assert.equal(new Set(told.map(({ user_id }) => user_id)).size, 40);
  assert.equal(await users(), before + 40);
});

test("forgotten: for two days the subject is the number that it was; then it may be a new user", async () => {
  const [[, ann]] = (await resolve(["forget-me"])) as [[string, number]];
  const [lunch, dinner] = [await coupon(), await coupon()];
  assert.equal(await issue(ann, lunch), "issued");
  await admin`select from forget_user(${ann}::bigint)`;
  for (const creating of [true, false])
    assert.deepEqual(await resolve(["forget-me"], { creating }), [["forgotten", ann]]);
  assert.deepEqual([await issue(ann, lunch), await issue(ann, dinner)], ["already_issued", "user_not_found"]);
  assert.deepEqual(await resolve(["forget-me"], { issuer: B, creating: false }), [["unknown", null]]);
  assert.equal(await value(admin`select forget_subjects()`), 0);
  await owner`update coupon.forgotten_subjects set forgotten_at = forgotten_at - interval '2 days'`;
  assert.equal(await value(admin`select forget_subjects()`), 1);
  const [[outcome, again]] = (await resolve(["forget-me"])) as [[string, number]];
  assert.equal(outcome, "created");
  assert.notEqual(again, ann);
});

test("forget_user and resolve_subjects: whoever comes second waits, and nobody who is forgotten is made anew", async () => {
  const [[, ben]] = (await resolve(["leaver"])) as [[string, number]];
  const late = await owner.begin(async (sql) => {
    await sql`select from forget_user(${ben}::bigint)`;
    const answer = resolve(["leaver", "newcomer"]);
    await waiting(watch);
    return { answer };
  });
  const told = await late.answer;
  assert.deepEqual(told[0], ["forgotten", ben]);
  assert.equal(told[1]?.[0], "created");
});

test("an old snapshot creates nobody a second time", async () => {
  await assert.rejects(
    admin.begin("isolation level repeatable read", async (sql) => {
      await sql`select from resolve_subjects(${A}, '{}', null, true)`;
      await sql`select from coupon.users limit 1`;
      await resolve(["snapshot"]);
      await sql`select from resolve_subjects(${A}, '{snapshot}', null, true)`;
    }),
    { code: "40001" },
  );
  assert.equal(
    await value(owner`select count(*)::integer from coupon.subjects where subject = 'snapshot'`),
    1,
  );
});

test("the server may call it, and reads no row itself", async (t) => {
  const api = connect(apiUrl);
  t.after(() => api.end());
  assert.equal((await api`select * from resolve_subjects(${A}, '{ann}')`)[0]?.["outcome"], "known");
  await assert.rejects(api`select from coupon.subjects`, { code: "42501" });
});

test("refuses bad arguments", async () => {
  const call = (args: string) => admin.unsafe<Row[]>(`select from resolve_subjects(${args})`);
  await refusesArgument(call("null, '{a}'"), "issuer", "22004");
  await refusesArgument(call("'', '{a}'"), "issuer", "22023");
  await refusesArgument(call("repeat('i', 201), '{a}'"), "issuer", "22023");
  await refusesArgument(call("'i', null"), "subjects", "22004");
  for (const subjects of [
    "'{{a},{b}}'",
    "'{a,null}'",
    "array['']",
    "array[repeat('a', 201)]",
    "array(select 's' || generate_series(1, 10001))",
  ])
    await refusesArgument(call(`'i', ${subjects}`), "subjects", "22023");
  for (const names of ["'{}'", "'{a,b}'", "'{{a}}'", "array['']", "array[repeat('a', 201)]"])
    await refusesArgument(call(`'i', '{a}', ${names}`), "display_names", "22023");
  await refusesArgument(call("'i', '{a}', null, null"), "creating", "22004");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
