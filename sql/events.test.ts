import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { waiting } from "../bench/harness/waiting.ts";
import { connect, type Sql } from "../db/connect.ts";

const { owner, admin, adminUrl, watch, crowd, user, coupon, upcoming, issue, use, planted } =
  await testDatabase();

/** Events after one, or all: what happened, and to which position or by which reference. */
const told = (after: string | null, page_size = 1_000) =>
  rows(admin`
    select event, coupon_id::integer, coalesce("position"::text, use_reference)
    from events(${after}, ${page_size}::integer)`);

/** Where new events begin. */
async function now(): Promise<string | null> {
  const id = await value(admin`select event_id from events('latest')`);
  return id === undefined ? null : String(id);
}

/** Gathers until no id is awaited any more: as soon as transactions of other tests, which share the server, are over. */
async function settled(coupon_id: number): Promise<void> {
  for (
    let message = 1;
    (await value(owner`select awaited <> '{}' from coupon.gathered`)) === true;
    message++
  ) {
    await admin`select from edit_coupon(${coupon_id}, message => ${`m ${message}`})`;
    await now();
  }
}

const allIds = async () => (await rows(admin`select event_id from events(page_size => 1000)`)).flat();

test("each command that changes a coupon is an event, and nothing else is", async () => {
  const start = await now();
  const [lunch, soon, holder] = [await coupon({ count: 2 }), await upcoming(5), await user()];
  await issue(holder, lunch);
  await issue(holder, lunch);
  await use(holder, lunch, "order 1");
  await use(holder, lunch, "order 1");
  await admin`select from undo_use(${holder}, ${lunch}, 'cancelled')`;
  await admin`select from pause_coupon(${lunch})`;
  await admin`select from pause_coupon(${lunch})`;
  await admin`select from resume_coupon(${lunch})`;
  await issue(await user(), lunch);
  await admin`select from set_coupon_count(${lunch}, 4)`;
  await admin`select from set_coupon_count(${lunch}, 5)`;
  await admin`select from set_coupon_count(${lunch}, 2)`;
  await admin`select from set_coupon_expiry(${lunch}, clock_timestamp() + interval '3 days')`;
  await admin`select from edit_coupon(${lunch}, message => 'other')`;
  await admin`select from set_coupon_group(${soon}, 'vip', clock_timestamp() + interval '1 day')`;
  await admin`select from set_coupon_start(${soon}, clock_timestamp() + interval '4 days')`;
  await admin`select from withdraw_coupon(${soon})`;
  await admin`select from set_plan_entry(1, 1, 'P-{date}', 'm', 'd', '11:00', '12:00', 7)`;
  assert.deepEqual(await told(start), [
    ["created", lunch, null],
    ["issued", lunch, "1"],
    ["used", lunch, "order 1"],
    ["undone", lunch, "order 1"],
    ["paused", lunch, null],
    ["resumed", lunch, null],
    ["issued", lunch, "2"],
    ["sold_out", lunch, "2"],
    ["restocked", lunch, null],
    ["edited", lunch, null],
    ["sold_out", lunch, null],
    ["edited", lunch, null],
    ["edited", lunch, null],
    ["created", soon, null],
    ["edited", soon, null],
    ["edited", soon, null],
    ["withdrawn", soon, null],
  ]);
});

test("where units are granted, refused or told again nothing is written to the log: who reads it adds them", async () => {
  const [lunch, askers] = [await coupon({ count: 3 }), await crowd(5)];
  const start = await now();
  const log = () =>
    rows(owner`select (select count(*) from coupon.events)::integer, g::text from coupon.gathered g`);
  const before = await log();
  for (let i = 0; i < 2; i++) await admin`select from issue_coupons(${lunch}, ${askers}::bigint[])`;
  for (const asker of askers) await issue(asker, lunch);
  assert.deepEqual(await log(), before);
  assert.deepEqual(await told(start), [
    ["issued", lunch, "1"],
    ["issued", lunch, "2"],
    ["issued", lunch, "3"],
    ["sold_out", lunch, "3"],
  ]);
  assert.notDeepEqual(await log(), before);
});

test("pages join without a gap, whatever their size, and are the same again", async () => {
  const lunch = await coupon({ count: 7 });
  await admin`select from issue_coupons(${lunch}, ${await crowd(7)}::bigint[])`;
  const whole = await allIds();
  assert.equal(new Set(whole).size, whole.length);
  for (const size of [1, 2, 3, 1_000]) {
    const pages: unknown[] = [];
    for (let after: unknown = null; ; after = pages.at(-1)) {
      const page = (
        await rows(admin`select event_id from events(${after as string}, ${size}::integer)`)
      ).flat();
      if (page.length === 0) break;
      assert.ok(page.length <= size);
      pages.push(...page);
    }
    assert.deepEqual(pages, whole);
  }
});

test("what was not committed when its neighbours were read comes behind them, and what was undone never", async () => {
  const lunch = await coupon();
  const [ann, ben, cid] = (await crowd(3)) as [number, number, number];
  for (const holder of [ann, ben, cid]) await issue(holder, lunch);
  const start = await now();
  const held = connect(adminUrl, { max: 1 });
  const undone = connect(adminUrl, { max: 1 });
  await held`begin`;
  await held`select from use_coupon(${ann}, ${lunch}, 'ann')`;
  await undone`begin`;
  await undone`select from use_coupon(${cid}, ${lunch}, 'undone')`;
  const uses: unknown[][] = [];
  // Any number of gatherings, each with a later one to settle it: as long as it is open, it is awaited.
  for (let i = 0; i < 4; i++) {
    await use(ben, lunch, `ben ${i}`);
    await admin`select from undo_use(${ben}, ${lunch}, 'again')`;
    uses.push(["used", lunch, `ben ${i}`], ["undone", lunch, `ben ${i}`]);
    assert.deepEqual(await told(start), uses);
  }
  // When one that was undone is given up depends on transactions of other tests too: at the end it is.
  assert.equal(await value(owner`select awaited <> '{}' from coupon.gathered`), true, "the ids of both");
  await undone`rollback`;
  await held`commit`;
  assert.deepEqual(await told(start), [...uses, ["used", lunch, "ann"]]);
  await Promise.all([held.end(), undone.end()]);
  await settled(lunch);
});

test("a transaction that wrote long ago and reads now gives up none that is open", async () => {
  const [mine, held, other] = [await coupon(), await coupon(), await coupon()];
  const start = await now();
  let n = 0;
  const edit = (by: Sql, id: number) => by`select from edit_coupon(${id}, message => ${`edit ${++n}`})`;
  const newest = (by: Sql) => by`select from events('latest', 1)`;
  const [gathers, open] = [connect(adminUrl, { max: 1 }), connect(adminUrl, { max: 1 })];
  await gathers`begin`;
  await edit(gathers, mine);
  await open`begin`;
  await edit(open, held);
  await edit(admin, other);
  await newest(admin);
  await edit(admin, other);
  // With a number that is lower than that of the other one, which is open.
  await newest(gathers);
  await gathers`commit`;
  for (let i = 0; i < 2; i++) {
    await edit(admin, other);
    await newest(admin);
  }
  await open`commit`;
  await edit(admin, other);
  const edits = (await told(start)).map(([, id]) => id).sort();
  assert.deepEqual(edits, [mine, held, ...Array<number>(5).fill(other)].sort());
  await Promise.all([gathers.end(), open.end()]);
  await settled(held);
});

test("a page is nothing but what was committed, and one that is undone leaves an event_id that is refused", async () => {
  const lunch = await coupon();
  const start = await now();
  const held = connect(adminUrl, { max: 1 });
  await held`begin`;
  await held`select from issue_coupon(${await user()}, ${lunch})`;
  assert.deepEqual(await told(start), []);
  const inside = await value(held`select event_id from events(${start})`);
  assert.deepEqual(await told(start), [], "while another one gathers, nobody waits");
  await held`rollback`;
  await held.end();
  assert.deepEqual(await told(start), []);
  await issue(await user(), lunch);
  await refusesArgument(admin`select from events(${String(inside)})`, "after", "22023");
  assert.deepEqual(await told(start), [["issued", lunch, "1"]]);
});

test("readers beside writers: each event once, none missing, of a coupon in order", async () => {
  const drops = [await coupon({ count: 60 }), await coupon({ count: 60 })] as const;
  const start = await now();
  let isOver = false;
  const writers = Array.from({ length: 6 }, async (_, nth) => {
    const users = await crowd(20);
    const session = connect(adminUrl, { max: 1 });
    for (const [i, holder] of users.entries()) {
      const drop = drops[(i + nth) % 2] as number;
      await session`begin`;
      await session`select from issue_coupon(${holder}, ${drop})`;
      await session.unsafe(i % 5 === nth % 5 ? "rollback" : "commit");
      await session`begin`;
      await session`select from use_coupon(${holder}, ${drop}, ${`${nth}-${i}`})`;
      if (i % 3 === 0) await session`select from undo_use(${holder}, ${drop}, 'cancelled')`;
      if (i % 7 === nth) await session`select from pause_coupon(${drop})`;
      if (i % 7 === nth) await session`select from resume_coupon(${drop})`;
      await session.unsafe(i % 4 === nth % 4 ? "rollback" : "commit");
    }
    await session.end();
  });
  const readers = [1, 7, 1_000].map((size) => {
    const seen: unknown[][] = [];
    const next = async () => {
      const page = await rows(admin`
        select event_id, event, coupon_id::integer, user_id::integer, "position", use_reference
        from events(${(seen.at(-1)?.[0] ?? start) as string}, ${size}::integer)`);
      seen.push(...page);
      return page.length > 0;
    };
    const beside = async () => {
      while (!isOver) await next();
    };
    return { seen, next, beside: beside() };
  });
  await Promise.all(writers);
  isOver = true;
  await Promise.all(readers.map(({ beside }) => beside));
  for (const { next } of readers) while (await next());
  const [first = [], ...others] = readers.map(({ seen }) => seen);
  for (const other of others) assert.deepEqual(other, first);
  assert.equal(new Set(first.map(([id]) => id)).size, first.length);
  const facts = await rows(owner`
    select event, coupon_id::integer, user_id::integer, "position", use_reference from (
      select 'issued' as event, coupon_id, user_id, "position", null as use_reference from coupon.user_coupons
      union all
      select coupon.event_of(a)::text, coupon_id, user_id, null, coalesce(new_values, old_values)->>'use_reference'
      from coupon.audit a where command <> 'create_coupon'
    ) f where coupon_id = any (${[...drops]}::bigint[])`);
  assert.deepEqual(
    first.map(([, ...event]) => JSON.stringify(event)).toSorted(),
    facts.map((event) => JSON.stringify(event)).toSorted(),
  );
  for (const drop of drops) {
    const events = first.filter(([, , coupon_id]) => coupon_id === drop);
    const positions = events.filter(([, event]) => event === "issued").map((event) => event[4]);
    assert.deepEqual(
      positions,
      positions.map((_, i) => i + 1),
    );
    const pauses = events
      .map(([, event]) => event)
      .filter((event) => event === "paused" || event === "resumed");
    assert.deepEqual(
      pauses,
      pauses.map((_, i) => (i % 2 === 0 ? "paused" : "resumed")),
    );
    for (const [i, [, event, , holder]] of events.entries()) {
      if (event !== "used" && event !== "undone") continue;
      const before = events.slice(0, i).filter(([, , , user_id]) => user_id === holder);
      assert.equal(before.at(-1)?.[1], event === "used" ? "issued" : "used");
    }
  }
});

test("changes come after the grants before them, however much is gathered at once", async () => {
  const lunch = await coupon({ count: 3 });
  const start = await now();
  const grant = async () => issue(await user(), lunch);
  await grant();
  await admin`select from pause_coupon(${lunch})`;
  await admin`select from resume_coupon(${lunch})`;
  for (let i = 0; i < 2; i++) await grant();
  await admin`select from set_coupon_count(${lunch}, 5)`;
  await grant();
  await admin`select from set_coupon_count(${lunch}, 4)`;
  await admin`select from set_coupon_count(${lunch}, 5)`;
  await grant();
  assert.deepEqual(
    (await told(start)).map(([event, , position]) => (position === null ? event : `${event} ${position}`)),
    [
      ...["issued 1", "paused", "resumed", "issued 2", "issued 3", "sold_out 3", "restocked", "issued 4"],
      ...["sold_out", "restocked", "issued 5", "sold_out 5"],
    ],
  );
});

test("what is committed while somebody gathers is all told later: grants never come before the restock that allowed them", async () => {
  const [lunch, holders] = [await coupon({ count: 2 }), await crowd(3)];
  const start = await now();
  await admin`select from edit_coupon(${lunch}, message => 'm 1')`;
  await admin`select from issue_coupons(${lunch}, ${holders}::bigint[])`;
  const first = await owner.begin(async (sql) => {
    // Whoever gathers has read the audit by then, and waits before it looks for grants.
    await sql`lock table coupon.coupons`;
    const page = told(start);
    await waiting(watch);
    await sql`select from set_coupon_count(${lunch}, 4)`;
    await sql`select from issue_coupons(${lunch}, ${holders}::bigint[])`;
    return { page };
  });
  await first.page;
  assert.deepEqual(await told(start), [
    ["edited", lunch, null],
    ["issued", lunch, "1"],
    ["issued", lunch, "2"],
    ["sold_out", lunch, "2"],
    ["restocked", lunch, null],
    ["issued", lunch, "3"],
  ]);
});

test("every member is the grant's or the change's", async () => {
  const [lunch, holder] = [await coupon({ count: 1 }), await user()];
  const before = await now();
  await issue(holder, lunch);
  const start = await now();
  await use(holder, lunch, "order 1");
  await admin`select from undo_use(${holder}, ${lunch}, 'a name', 'admin:root')`;
  await admin`select from set_coupon_count(${lunch}, 2, 'a name')`;
  assert.deepEqual(
    await rows(admin`
    select g.position, e.position, e.user_id::integer, e.at = g.issued_at, e.use_reference, e.old_values, e.new_values
    from coupon.user_coupons g, events(${before}) e
    where g.coupon_id = ${lunch} and e.coupon_id = ${lunch} and e.event in ('issued', 'sold_out')`),
    [
      [1, 1, holder, true, null, null, null],
      [1, 1, null, true, null, null, null],
    ],
  );
  const changes = await rows(owner`
    select e.event, e.at = case e.event when 'used' then a.used_date else a.at end, e.user_id::integer, e.position,
      e.use_reference, e.old_values, e.new_values
    from events(${start}) e
    join coupon.audit a on a.coupon_id = e.coupon_id and coupon.event_of(a) = e.event
    order by a.id`);
  assert.deepEqual(changes, [
    ["used", true, holder, null, "order 1", null, null],
    ["undone", true, holder, null, "order 1", null, null],
    ["restocked", true, null, null, null, { count: 1 }, { count: 2 }],
  ]);
});

test("latest is the newest event alone", async () => {
  const lunch = await coupon({ count: 2 });
  const latest = () => told("latest");
  assert.deepEqual(await latest(), [["created", lunch, null]]);
  await issue(await user(), lunch);
  assert.deepEqual(await latest(), [["issued", lunch, "1"]]);
  await issue(await user(), lunch);
  assert.deepEqual(await latest(), [["sold_out", lunch, "2"]]);
  assert.deepEqual(await told(await now()), []);
});

test("a person who is forgotten is in no word; grants of a retired coupon have no events any more", async () => {
  const start = await now();
  const [old, holder] = [await coupon({ from: "-90 days", count: 3 }), await user()];
  await planted(old, [2, "60 days"]);
  const lunch = await coupon();
  await issue(holder, lunch);
  await use(holder, lunch, "for Ann");
  await now();
  await owner`update coupon.coupons set expiry = clock_timestamp() - interval '50 days' where id = ${old}`;
  await admin`select from forget_user(${holder}, 'asked')`;
  const events = [
    ["created", old, null],
    ["issued", old, "1"],
    ["issued", old, "2"],
    ["created", lunch, null],
    ["issued", lunch, "1"],
    ["used", lunch, "(forgotten)"],
  ];
  assert.deepEqual(await told(start), events);
  const ids = (await rows(admin`select event_id from events(${start})`)).flat() as string[];
  for (let outcome: unknown; outcome !== "done"; )
    outcome = await value(admin`select outcome from retire_coupons(current_date - 40)`);
  const left = [...events.filter(([event, id]) => id !== old || event === "created"), ["retired", old, null]];
  assert.deepEqual(await told(start), left);
  assert.deepEqual(await told(ids[1] as string), left.slice(1), "who had read the first of them goes on");
});

test("who is behind grants that were moved out is told what came after them, in a page of any size", async () => {
  const start = await now();
  const old = await coupon({ from: "-95 days", count: 3 });
  await planted(old, [2, "60 days"]);
  const [created] = (await rows(admin`select event_id from events(${start})`)).flat() as string[];
  await owner`update coupon.coupons set expiry = clock_timestamp() - interval '50 days' where id = ${old}`;
  for (let outcome: unknown; outcome !== "done"; )
    outcome = await value(admin`select outcome from retire_coupons(current_date - 40)`);
  // The next row of the log is theirs and has no event any more; that of the retirement is not gathered yet.
  const undone = connect(adminUrl, { max: 1 });
  await undone`begin`;
  assert.deepEqual(await rows(undone`select event, coupon_id::integer from events(${start}, 2)`), [
    ["created", old],
    ["retired", old],
  ]);
  await undone`rollback`;
  await undone.end();
  assert.deepEqual(await told(created as string, 1), [["retired", old, null]]);
});

test("in a database without changes a page writes nothing, and a standby tells what was gathered", async () => {
  await now();
  const before = await rows(owner`select xmin::text, ctid::text from coupon.gathered`);
  for (let i = 0; i < 3; i++) await now();
  assert.deepEqual(await rows(owner`select xmin::text, ctid::text from coupon.gathered`), before);
  const start = await now();
  const lunch = await coupon();
  const readOnly = connect(adminUrl, { max: 1 });
  await readOnly`set default_transaction_read_only = on`;
  assert.deepEqual(await rows(readOnly`select event from events(${start})`), []);
  assert.deepEqual(await told(start), [["created", lunch, null]]);
  assert.deepEqual(await rows(readOnly`select event from events(${start})`), [["created"]]);
  await readOnly.end();
});

test("of another database, or of one that lost it: refused", async () => {
  const [number, place, tag] = String(await now()).split("-");
  for (const after of [
    `${number}-${place}-${Number(tag) + 1}`,
    `${Number(number) + 1}-${place}-${tag}`,
    `${number}-${Number(place) + 2}-${tag}`,
    `0-0-${tag}`,
    `0${number}-${place}-${tag}`,
    `${number}-0${place}-${tag}`,
    "999999999999999999999-0-0",
    ...["", "1", "x", " latest", "latest ", `${number}-${place}-${tag}\n`, "é", "LATEST"],
  ])
    await refusesArgument(admin`select from events(${after})`, "after", "22023");
  for (const size of [null, 0, 1_001])
    await refusesArgument(admin`select from events(null, ${size}::integer)`, "page_size", "22023");
});

test("newer than the snapshot of the transaction: refused, and said so", async () => {
  const [known, lunch] = [await now(), await coupon()];
  const old = connect(adminUrl, { max: 1 });
  for (const level of ["repeatable read", "serializable"]) {
    await old.unsafe(`begin isolation level ${level}`);
    assert.deepEqual(await rows(old`select 1`), [[1]]); // takes the snapshot
    await admin`select from edit_coupon(${lunch}, message => ${level})`;
    const later = String(await now());
    await assert.rejects(old`select from events(${later})`, {
      ...{ code: "22023", column_name: "after" },
      message: /this transaction sees: it began before; ask in another one$/,
    });
    await old`rollback`;
    // What it sees, it tells; and what no database has is no matter of the snapshot.
    await old.unsafe(`begin isolation level ${level}`);
    assert.deepEqual((await rows(old`select event from events(${known})`)).flat()[0], "created");
    await assert.rejects(old`select from events('1-0-1')`, {
      message: /of this database, or latest; if it was one/,
    });
    await old`rollback`;
  }
  await old.end();
});

test("a restored copy goes on: of a greater and of a smaller count of transactions", async () => {
  for (const settled_by of ["9000000000000000000", "3"]) {
    await now();
    await owner`select nextval('coupon.audit_id_seq')`; // of a transaction that is not in the copy
    await owner`update coupon.gathered set settled_by = ${settled_by}::text::xid8`;
    const start = await now();
    const lunch = await coupon();
    assert.deepEqual(await told(start), [["created", lunch, null]]);
    await settled(lunch);
    assert.deepEqual(await rows(owner`select settled_by <= pg_current_xact_id() from coupon.gathered`), [
      [true],
    ]);
  }
});

test("a page costs the same at the end of many grants and changes, and reads no other ones", async () => {
  const drop = await coupon({ count: 60_000 });
  for (let i = 0; i < 5; i++) {
    await planted(drop, [10_000, "1 minute"]);
    await now();
  }
  /** Rows of the grants, of the audit and of the log that a page reads; and scans of whole tables. */
  const reads = (after: string, size: number) =>
    owner.begin(async (sql) => {
      const count = async () =>
        (
          await rows(sql`
            select sum(pg_stat_get_xact_tuples_returned(i.indexrelid))::integer
            from unnest('{user_coupons,audit,events,coupons}'::text[]) with ordinality t (name, place)
            join pg_index i on i.indrelid = ('coupon.' || t.name)::regclass
            group by t.place
            union all
            select sum(pg_stat_get_xact_numscans(('coupon.' || t.name)::regclass))::integer
            from unnest('{user_coupons,audit,events}'::text[]) t (name)`)
        ).flat() as number[];
      const before = await count();
      const found = await rows(sql`select event_id from events(${after}, ${size}::integer)`);
      return [found.length, (await count()).map((n, i) => n - (before[i] ?? 0))];
    });
  const [middle, end] = [25_000, 49_990].map((position) =>
    value(owner`
      select coupon.event_id(e, ${position}::integer) from coupon.events e
      where e.coupon_id = ${drop} and ${position}::integer between e.first_position and e.last_position`),
  );
  for (const knows of ["nothing", "everything"]) {
    if (knows === "everything") await owner`analyze`;
    for (const [after, size, found] of [
      [await middle, 100, 100],
      [await middle, 1_000, 1_000],
      [await end, 100, 10],
    ] as const) {
      const [count, [grants = 0, changes = 0, log = 0, coupons = 0, scans] = []] = (await reads(
        String(after),
        size,
      )) as [number, number[]];
      assert.deepEqual([count, scans], [found, 0], knows);
      // Seen on PostgreSQL 15: those of the page, three times. What reads others reads tens of thousands.
      assert.ok(grants <= 5 * found + 2, `${grants} grants are read`);
      assert.ok(changes <= 2, `${changes} changes are read`);
      assert.ok(log <= 60, `${log} rows of the log are read`);
      assert.ok(coupons <= 100, `${coupons} coupons are read`);
    }
  }
});

test("a page calls no function for each event: PostgreSQL inlines what an event is called and which one it is", async () => {
  const plan = await rows(owner`
    explain (verbose)
    select coupon.event_id(e, 1), coupon.event_of(a) from coupon.events e join coupon.audit a on a.id = e.audit_id`);
  assert.match(plan.join("\n"), /\n +Output: /);
  assert.doesNotMatch(plan.join("\n"), /event_id\(|event_of\(/);
});
