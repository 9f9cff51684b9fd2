import assert from "node:assert/strict";
import { test } from "node:test";
import { assertReads, reads } from "../bench/harness/reads.ts";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";

const { owner, admin, user, coupon, upcoming, issue, use, expire } = await testDatabase({ time_zone: "UTC" });

/** What `work` added to the audit, without who and when. */
async function audited(work: () => Promise<unknown>): Promise<unknown[][]> {
  const last = await value(owner`select coalesce(max(id), 0) from coupon.audit`);
  await work();
  return rows(owner`
    select command, coupon_id::integer, user_id::integer, old_values, new_values, reason, actor
    from coupon.audit where id > ${String(last)} order by id`);
}

const call = (text: string) => () => rows(admin.unsafe(`select outcome from ${text}`));
const WHO = `reason => 'because', actor => 'admin:root'`;
const who = ["because", "admin:root"];

const inKathmandu = (statement: string) =>
  admin.begin(async (sql) => {
    await sql`set local timezone = 'Asia/Kathmandu'`; // five hours and three quarters ahead
    await sql.unsafe(statement);
  });

const expiryOf = async (coupon_id: number) =>
  String(
    await value(owner`
      select to_char(expiry at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') from coupon.coupons
      where id = ${coupon_id}`),
  )
    .replace(/0+$/, "")
    .concat("+00:00");

// The first: the coupons of the tests below move or not with the hour of the day.
test("set_time_zone", async () => {
  assert.deepEqual(await audited(call(`set_time_zone('UTC', ${WHO})`)), [], "unchanged");
  const [there, back] = [{ time_zone: "Asia/Tokyo" }, { time_zone: "UTC" }];
  assert.deepEqual(await audited(call(`set_time_zone('Asia/Tokyo', ${WHO})`)), [
    ["set_time_zone", null, null, back, there, ...who],
  ]);
  assert.deepEqual(await audited(call(`set_time_zone('UTC')`)), [
    ["set_time_zone", null, null, there, back, null, null],
  ]);
  await admin`select from create_coupon('EVE', 'm', 'd', '2061-01-01 20:00Z', '2062-01-01', 1)`;
  await admin`select from create_coupon('MORN', 'm', 'd', '2061-01-02 06:00Z', '2062-01-01', 1)`;
  assert.deepEqual(await audited(call(`set_time_zone('Asia/Tokyo')`)), [], "breaks_daily_offer");
});

test("create_coupon: all that it was given, times in UTC, whatever the session's time zone", async () => {
  const create = `create_coupon('NEW', 'm', 'd', '2059-01-01 12:00+02', '2059-01-02Z', 5, '{"a": 1}', ${WHO})`;
  const [row = []] = await audited(() => inKathmandu(`select from ${create}`));
  const id = await value(admin`select coupon_id::integer from find_coupon(code => 'NEW')`);
  const given = { code: "NEW", message: "m", description: "d", count: 5, metadata: { a: 1 } };
  const times = { start_time: "2059-01-01T10:00:00+00:00", expiry: "2059-01-02T00:00:00+00:00" };
  assert.deepEqual(row, ["create_coupon", id, null, null, { ...given, ...times }, ...who]);
  assert.deepEqual(await audited(call(create)), [], "already_created");
  assert.deepEqual(await audited(call(create.replace("'d'", "'e'"))), [], "code_taken");
});

test("use_coupon and undo_use: which use, and its reference", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  await issue(holder, lunch);
  const used = `use_coupon(${holder}, ${lunch}, 'order 1', actor => 'service:shop')`;
  const reference = { use_reference: "order 1" };
  assert.deepEqual(await audited(call(used)), [
    ["use_coupon", lunch, holder, null, reference, null, "service:shop"],
  ]);
  assert.deepEqual(await audited(call(used)), [], "used before");
  assert.deepEqual(await audited(call(used.replace("order 1", "order 2"))), [], "already_used");
  const used_date = await value(
    owner`select used_date::text from coupon.user_coupons where coupon_id = ${lunch}`,
  );
  const undo = `undo_use(${holder}, ${lunch}, ${WHO})`;
  assert.deepEqual(await audited(call(undo)), [["undo_use", lunch, holder, reference, null, ...who]]);
  assert.deepEqual(await audited(call(undo)), [], "not_used");
  assert.deepEqual(
    await rows(owner`select used_date::text, at >= used_date from coupon.audit where user_id = ${holder}`),
    [
      [used_date, true],
      [used_date, true],
    ],
  );
  await expire(lunch);
  assert.deepEqual(await audited(call(used)), [], "expired");
});

test("pause_coupon and resume_coupon", async () => {
  const lunch = await coupon();
  const [on, off] = [{ paused: false }, { paused: true }];
  assert.deepEqual(await audited(call(`resume_coupon(${lunch}, ${WHO})`)), [], "not_paused");
  assert.deepEqual(await audited(call(`pause_coupon(${lunch}, ${WHO})`)), [
    ["pause_coupon", lunch, null, on, off, ...who],
  ]);
  assert.deepEqual(await audited(call(`pause_coupon(${lunch}, ${WHO})`)), [], "already_paused");
  assert.deepEqual(await audited(call(`resume_coupon(${lunch}, ${WHO})`)), [
    ["resume_coupon", lunch, null, off, on, ...who],
  ]);
});

test("set_coupon_count", async () => {
  const lunch = await coupon({ count: 3 });
  for (const _ of [1, 2]) await issue(await user(), lunch);
  assert.deepEqual(await audited(call(`set_coupon_count(${lunch}, 7, ${WHO})`)), [
    ["set_coupon_count", lunch, null, { count: 3 }, { count: 7 }, ...who],
  ]);
  assert.deepEqual(await audited(call(`set_coupon_count(${lunch}, 7, ${WHO})`)), [], "unchanged");
  assert.deepEqual(await audited(call(`set_coupon_count(${lunch}, 1, ${WHO})`)), [], "below_issued");
});

test("set_coupon_expiry: in UTC, whatever the session's time zone", async () => {
  const lunch = await upcoming(3);
  const before = await expiryOf(lunch);
  const [row] = await audited(() =>
    inKathmandu(`select from set_coupon_expiry(${lunch}, '2068-01-01 05:45', ${WHO})`),
  );
  const change = [{ expiry: before }, { expiry: "2068-01-01T00:00:00+00:00" }];
  assert.deepEqual(row, ["set_coupon_expiry", lunch, null, ...change, ...who]);
  assert.deepEqual(
    await audited(call(`set_coupon_expiry(${lunch}, '2068-01-01Z', ${WHO})`)),
    [],
    "unchanged",
  );
  assert.deepEqual(await audited(call(`set_coupon_expiry(${lunch}, '2000-01-01', ${WHO})`)), []);
});

test("import_users: one row a call, how many were created and updated", async () => {
  const people = (ids: string, names: string) => call(`import_users('{${ids}}', '{${names}}', ${WHO})`);
  const row = (created: number, updated: number) => [
    ["import_users", null, null, null, { created, updated }, ...who],
  ];
  assert.deepEqual(await audited(people("901,902,903", "a,b,c")), row(3, 0));
  assert.deepEqual(await audited(people("901,902,904", "a,bb,d")), row(1, 1));
  assert.deepEqual(await audited(people("901,902,904", "a,bb,d")), [], "unchanged");
  assert.deepEqual(await audited(people("901,902", "aa,bbb")), row(0, 2));
  assert.deepEqual(await audited(people("", "")), []);
});

test("issuing is not in it, and neither is what finds no coupon", async () => {
  const [holder, lunch] = [await user(), await coupon()];
  assert.deepEqual(await audited(() => issue(holder, lunch)), []);
  for (const text of [
    `use_coupon(${holder}, 999999, 'r')`,
    `undo_use(${holder}, ${lunch}, 'why')`,
    "pause_coupon(999999)",
    "resume_coupon(999999)",
    "set_coupon_count(999999, 5)",
    "set_coupon_expiry(999999, '2068-01-01')",
  ])
    assert.deepEqual(await audited(call(text)), [], text);
});

test("who did it and when: the session's login, its clock, and nothing when it is taken back", async () => {
  const lunch = await coupon();
  const paused = admin.begin(async (sql) => {
    await sql`select from pause_coupon(${lunch})`;
    assert.deepEqual(
      await rows(sql`
        select login, actor, reason, at between transaction_timestamp() and clock_timestamp()
        from audit_trail(${lunch}) where command = 'pause_coupon'`),
      [["coupon_admin", null, null, true]],
    );
    throw new Error("take it back");
  });
  await assert.rejects(paused, /take it back/);
  const kept = admin`select count(*)::integer from audit_trail(${lunch}) where command = 'pause_coupon'`;
  assert.equal(await value(kept), 0);
});

const trail = (args: string) =>
  rows(admin.unsafe(`select id::integer from audit_trail(${args})`)).then(
    (found) => found.flat() as number[],
  );
const ids = (where: string) =>
  rows(owner.unsafe(`select id::integer from coupon.audit where ${where} order by at desc, id desc`)).then(
    (found) => found.flat() as number[],
  );

test("the reader: newest first, of a coupon, of a user, since an instant, in pages", async () => {
  const [holder, lunch, dinner] = [await user(), await coupon(), await coupon()];
  await issue(holder, lunch);
  for (const reference of ["a", "b", "c"]) {
    await use(holder, lunch, reference);
    await admin`select from undo_use(${holder}, ${lunch}, 'why')`;
    await admin`select from pause_coupon(${dinner})`;
    await admin`select from resume_coupon(${dinner})`;
  }
  const all = await ids("true");
  assert.ok(all.length > 13);
  assert.deepEqual(await trail(""), all);
  assert.deepEqual(await trail(`${lunch}`), await ids(`coupon_id = ${lunch}`));
  assert.equal((await trail(`${lunch}`)).length, 7);
  assert.deepEqual(await trail(`user_id => ${holder}`), await ids(`user_id = ${holder}`));
  assert.equal((await trail(`user_id => ${holder}`)).length, 6);
  assert.deepEqual(await trail(`coupon_id => ${dinner}, user_id => ${holder}`), []);
  const middle = all[5] as number;
  const at = `(select at from coupon.audit where id = ${middle})`;
  assert.deepEqual(await trail(`since => ${at}`), all.slice(0, 6), "that instant included");
  assert.deepEqual(await trail(`since => clock_timestamp()`), []);
  assert.deepEqual(
    await trail(`${lunch}, since => ${at}`),
    await ids(`coupon_id = ${lunch} and at >= ${at}`),
  );
  assert.deepEqual(await trail("page_size => 4"), all.slice(0, 4));
  const pages: number[] = [];
  for (;;) {
    const page = await trail(`page_size => 4, before => ${pages.at(-1) ?? "null"}`);
    pages.push(...page);
    if (page.length < 4) break;
  }
  assert.deepEqual(pages, all);
  assert.deepEqual(
    await trail(`${lunch}, before => ${middle}`),
    await ids(`coupon_id = ${lunch} and id < ${middle}`),
  );
});

test("the reader: rows of one instant are neither lost nor told twice between two pages", async () => {
  const lunch = await coupon();
  await owner.begin(async (sql) => {
    await sql`alter table coupon.audit disable trigger user`;
    await sql`
      insert into coupon.audit (command, coupon_id, at) select 'pause_coupon', ${lunch}, '2026-01-01Z'
      from generate_series(1, 10)`;
    await sql`alter table coupon.audit enable trigger user`;
  });
  const all = await ids(`coupon_id = ${lunch}`);
  const pages: number[] = [];
  for (let page = [0]; page.length > 0; pages.push(...page))
    page = await trail(`${lunch}, page_size => 3, before => ${pages.at(-1) ?? "null"}`);
  assert.deepEqual(pages, all);
});

test("the reader: reads a page of an index, however long the audit is and whatever the planner knows of it", async () => {
  const [lunch, other] = [await coupon(), await coupon()];
  await owner.begin(async (sql) => {
    await sql`alter table coupon.audit disable trigger user`;
    // Most is the other coupon's and old, so that a walk through the time would be long.
    await sql`
      insert into coupon.audit (command, coupon_id, user_id, used_date, at)
      select 'use_coupon', case when n % 1000 = 0 then ${lunch}::bigint else ${other} end, n, '2026-01-01Z',
        '2026-01-01Z'::timestamptz + n * interval '1 second'
      from generate_series(1, 20000) n`;
    await sql`alter table coupon.audit enable trigger user`;
  });
  const indexes = ["audit_pkey", "audit_by_time", "audit_by_coupon", "audit_tells_a_use_once"];
  const call = (args: string) =>
    reads(owner, indexes, (sql) => sql.unsafe(`select id from audit_trail(${args})`));
  const at = (n: number) => `'2026-01-01Z'::timestamptz + ${n} * interval '1 second'`;
  const last = await value(owner`select max(id)::integer from coupon.audit where user_id = 15000`);
  for (const knows of ["nothing", "everything"]) {
    if (knows === "everything") await owner`analyze coupon.audit`;
    assertReads(await call("page_size => 10"), 10, [0, 10, 0, 0], knows);
    assertReads(await call(`${lunch}, page_size => 10`), 10, [0, 0, 10, 0], knows);
    assertReads(await call(`${other}, page_size => 1000`), 1_000, [0, 0, 1_000, 0], knows);
    assertReads(await call(`${lunch}, since => ${at(19_500)}`), 2, [0, 0, 2, 0], knows);
    assertReads(await call(`user_id => 15000`), 1, [0, 0, 0, 1], knows);
    assertReads(await call(`${lunch}, before => ${last}, page_size => 3`), 3, [1, 0, 3, 0], knows);
    assertReads(await call(`before => ${last}, page_size => 3`), 3, [1, 3, 0, 0], knows);
  }
});

test("the reader refuses bad arguments", async () => {
  for (const page_size of ["null", "0", "1001"])
    await refusesArgument(
      admin.unsafe(`select from audit_trail(page_size => ${page_size})`),
      "page_size",
      "22023",
    );
  await refusesArgument(admin`select from audit_trail(before => 999999999)`, "before", "22023");
});

for (const text of [
  "create_coupon('BAD', 'm', 'd', '2059-01-01', '2060-01-01', 5",
  "pause_coupon(1",
  "resume_coupon(1",
  "set_coupon_count(1, 5",
  "set_coupon_expiry(1, '2068-01-01'",
  "set_time_zone('UTC'",
  "import_users('{1}', '{a}'",
  "undo_use(1, 1",
  "use_coupon(1, 1, 'r'",
]) {
  test(`${text.split("(")[0]} refuses an empty or a long reason or actor`, async () => {
    const bad: [string, number][] = [["actor", 250]];
    if (!text.startsWith("use_coupon")) bad.push(["reason", 500]);
    const needed = text.startsWith("undo_use") ? ", reason => 'why'" : "";
    for (const [argument, longest] of bad) {
      const more = argument === "reason" ? "" : needed;
      for (const given of ["''", `repeat('é', ${longest + 1})`])
        await refusesArgument(
          admin.unsafe(`select from ${text}${more}, ${argument} => ${given})`),
          argument,
          "22023",
        );
      await admin.unsafe(`select from ${text}${more}, ${argument} => repeat('é', ${longest}))`);
    }
  });
}

test("all of this left the data whole", async () => {
  await owner.begin(async (sql) => {
    await sql`alter table coupon.audit disable trigger user`;
    await sql`delete from coupon.audit where used_date = '2026-01-01Z'`;
    await sql`alter table coupon.audit enable trigger user`;
  });
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
