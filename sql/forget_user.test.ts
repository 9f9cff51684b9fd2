import assert from "node:assert/strict";
import { test } from "node:test";
import { refusesArgument, rows, testDatabase, value } from "../bench/harness/rows.ts";
import { connect } from "../db/connect.ts";

const { owner, admin, adminUrl, coupon, crowd, user, issue, use, grantedBefore } = await testDatabase();

const forget = (user_id: number, reason: string | null = null) =>
  value(admin`select outcome from forget_user(${user_id}, ${reason}, 'admin:root')`);
const named = (user_id: number, name: string) =>
  value(admin`select outcome from import_users(array[${user_id}]::bigint[], array[${name}])`);

const tables = () =>
  rows(
    owner`select oid::regclass::text from pg_class where relnamespace = 'coupon'::regnamespace and relkind = 'r'`,
  );

/** All rows of all tables of ours, and what the planner knows of them, as text: what a dump has. */
async function dump(): Promise<string> {
  const texts = [
    await value(owner`select string_agg(s::text, chr(10)) from pg_stats s where schemaname = 'coupon'`),
  ];
  for (const [table] of await tables())
    texts.push(await value(owner.unsafe(`select string_agg(t::text, chr(10)) from ${table} t`)));
  return texts.join("\n");
}

test("forgotten: no word of the person is left anywhere, and all numbers are", async () => {
  const [lunch, dinner, old, older] = [
    await coupon(),
    await coupon({ from: "-70 days" }),
    await coupon({ from: "-71 days" }),
    await coupon({ from: "-72 days" }),
  ];
  const [first = 0, ann = 0, last = 0] = await crowd(3);
  const name = "Zoë O'Marple-Nguyễn (Dr.)";
  const word = "zoëmarple";
  await named(ann, name);
  for (const id of [first, ann, last]) await issue(id, lunch);
  await grantedBefore(3, ann, dinner);
  await grantedBefore(45, ann, old);
  await grantedBefore(60, ann, older);
  await admin`select from fold_grants()`;
  await use(ann, lunch, `${word}-1`);
  await admin`select from undo_use(${ann}, ${lunch}, ${`${name} called`}, actor => 'service:till-7')`;
  await use(ann, lunch, `${word}-2`);
  await use(ann, dinner, `${word}-3`);
  await use(ann, old, `${word}-4`);
  await use(first, lunch, "order-9");
  // Others' words that name the person: of an operator, and of another user's use.
  await admin`select from pause_coupon(${dinner}, reason => ${`asked by ${name.toUpperCase()}, twice`})`;
  await admin`select from undo_use(${first}, ${lunch}, ${`the order was ${name}'s`})`;
  // Of two identity providers, and an operator wrote one of the subjects down.
  await owner`
    insert into coupon.subjects (subject, issuer, user_id)
    values (${`google|${word}`}, 'https://a.example/', ${ann}), (${`${word}@b`}, 'https://b.example/', ${ann})`;
  await admin`select from resume_coupon(${dinner}, reason => ${`for Google|${word}`})`;
  await owner`insert into coupon.incoming_users (user_id, display_name) values (${ann}, ${`${word} of a file`})`;
  const stats = () => rows(admin`select code, issued, used from coupon_stats(${lunch})`);
  const before = await stats();
  for (const [table] of await tables()) await owner.unsafe(`analyze ${table}`);

  assert.equal(await forget(ann, `${name} wrote on Monday`), "forgotten");
  const left = (await dump()).toLowerCase();
  for (const trace of [name, "marple", "nguyễn", word, "https://b.example/"])
    assert.equal(left.includes(trace.toLowerCase()), false, trace);
  assert.deepEqual(await stats(), before);
  assert.deepEqual(
    await rows(
      admin`select position, user_id::integer, use_reference from list_grants(${lunch}) order by position`,
    ),
    [
      [1, first, null],
      [2, ann, "(forgotten)"],
      [3, last, null],
    ],
  );
  assert.deepEqual(
    await rows(admin`
      select command, reason, actor, coalesce(old_values, new_values) from audit_trail(user_id => ${ann})
      where coupon_id = ${lunch} or coupon_id is null`),
    [
      ["forget_user", "(forgotten) wrote on Monday", "admin:root", null],
      ["use_coupon", null, null, { use_reference: "(forgotten)" }],
      ["undo_use", "(forgotten)", "service:till-7", { use_reference: "(forgotten)" }],
      ["use_coupon", null, null, { use_reference: "(forgotten)" }],
    ],
  );
  assert.equal(
    await value(admin`select reason from audit_trail(coupon_id => ${dinner}) where command = 'pause_coupon'`),
    "asked by (forgotten), twice",
  );
  assert.equal(
    await value(
      admin`select reason from audit_trail(coupon_id => ${dinner}) where command = 'resume_coupon'`,
    ),
    "for (forgotten)",
  );
  assert.equal(
    await value(admin`select reason from audit_trail(user_id => ${first}) where command = 'undo_use'`),
    "the order was (forgotten)'s",
  );
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});

test("forgotten: who has a token still is told what the number holds, and gets and uses nothing more", async () => {
  const [lunch, dinner] = [await coupon(), await coupon()];
  const [ann, ben] = [await user(), await user()];
  await issue(ben, lunch);
  await issue(ann, lunch);
  await forget(ann);
  assert.deepEqual(await rows(admin`select outcome, position from issue_coupon(${ann}, ${lunch})`), [
    ["already_issued", 2],
  ]);
  assert.equal(await issue(ann, dinner), "user_not_found");
  assert.equal(await use(ann, lunch, "r"), "user_not_found");
  assert.equal(await use(ann, dinner, "r"), "not_issued");
  assert.deepEqual(await rows(admin`select state, position, claim_code from wallet(${ann})`), [
    ["issued", 2, null],
  ]);
  assert.equal(await use(ben, lunch, "r"), "used");
});

test("forgotten: a use is neither told again nor taken back", async () => {
  const [lunch, ann] = [await coupon(), await user()];
  await issue(ann, lunch);
  await use(ann, lunch, "r");
  await forget(ann);
  assert.deepEqual(await rows(admin`select * from use_coupon(${ann}, ${lunch}, 'r')`), [
    ["user_not_found", null, null],
  ]);
  assert.deepEqual(await rows(admin`select * from use_coupon(${ann}, ${lunch}, '(forgotten)')`), [
    ["user_not_found", null, null],
  ]);
  assert.deepEqual(await rows(admin`select * from undo_use(${ann}, ${lunch}, 'why')`), [
    ["user_not_found", null, null],
  ]);
});

test("forgotten: no import makes the number again, and the others of the import are made", async () => {
  const ann = await user();
  await forget(ann);
  assert.deepEqual(
    await rows(admin`
      select outcome, user_id::integer from import_users(array[900001, ${ann}, 900002]::bigint[], array['A', 'B', 'C'])`),
    [
      ["created", 900_001],
      ["forgotten", ann],
      ["created", 900_002],
    ],
  );
  await admin.begin(async (sql) => {
    await sql`insert into coupon.incoming_users (user_id, display_name) values (${ann}, 'B'), ('900003', 'D')`;
    assert.deepEqual(
      await rows(sql`select outcome, line::integer, user_id::integer, detail from import_incoming_users()`),
      [
        ["forgotten", 1, ann, null],
        ["created", 2, 900_003, null],
      ],
    );
  });
  assert.deepEqual(await rows(admin`select from list_users() where user_id = ${ann}`), []);
  assert.equal(
    await value(
      admin`select new_values from audit_trail() where command = 'import_users' order by id desc limit 1`,
    ).then((counts) => (counts as { created: number }).created),
    1,
  );
});

test("forgotten: a name is a whole word in any case, and not a part of another one or a pattern", async () => {
  const lunch = await coupon();
  const pause = (reason: string) =>
    admin`select from pause_coupon(${lunch}, reason => ${reason}) cross join resume_coupon(${lunch})`;
  const reasons = async () =>
    (
      await rows(
        admin`select reason from audit_trail(coupon_id => ${lunch}) where reason is not null order by id`,
      )
    ).flat();
  const [li, dot, long] = [await user(), await user(), await user()];
  await named(li, "Li");
  await named(dot, "A.*\\%_");
  await named(long, "Q");
  await pause("Limit: LI, li. Ali li_ Li");
  await pause("Axx\\%_ or a.*\\%_");
  await pause(`Q${" Q".repeat(240)}`);
  for (const id of [li, dot, long]) assert.equal(await forget(id), "forgotten");
  assert.deepEqual(await reasons(), [
    "Limit: (forgotten), (forgotten). Ali li_ (forgotten)",
    "Axx\\%_ or (forgotten)",
    "(forgotten)",
  ]);
});

test("forgotten: also in a session that reads a backslash in another way", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  const [lunch, ann] = [await coupon(), await user()];
  await named(ann, "Back\\slash (100%_)");
  await admin`select from pause_coupon(${lunch}, reason => ${"for back\\SLASH  (100%_), she said"})`;
  await session`set standard_conforming_strings = off`;
  assert.equal(await value(session`select outcome from forget_user(${ann})`), "forgotten");
  assert.equal(
    await value(admin`select reason from audit_trail(coupon_id => ${lunch}) where command = 'pause_coupon'`),
    "for (forgotten), she said",
  );
});

test("forgotten: in every reason, also in a session that wants some of what an index has alone", async (t) => {
  const session = connect(adminUrl);
  t.after(() => session.end());
  const [ann, lunch] = [await user(), await coupon()];
  await named(ann, "Zoltana");
  for (let i = 0; i < 200; i++) {
    await admin`select from pause_coupon(${lunch}, 'Zoltana called')`;
    await admin`select from resume_coupon(${lunch}, 'Zoltana called')`;
  }
  await session`set gin_fuzzy_search_limit = 1`;
  await session`select from forget_user(${ann})`;
  assert.equal(await value(owner`select count(*)::integer from coupon.audit where reason ~ 'Zoltana'`), 0);
});

test("forgotten: every text with a name has the words of that name, by which it is found", async () => {
  const wrong = await rows(owner`
    select n.name, t.text
    from unnest(array['Ann', 'ann lee', 'Lee', '李', '李雷', 'Zoë李', '.*', 'x_1', 'O"Brien (Jr.)', '-a', 'auth0|1', '김', '@',
        'Iris', 'ann\u00a0lee', 'ITIR', 'İnci', 'Ärger', 'Weiß', 'WEISS', 'Νίκος', 'ΝΙΚΟΣ']) n (name)
    cross join unnest(array['', ' ', ',', 'Ann', '李', 'x', '_', '-', '1', 'é', '"', '김']) b (before)
    cross join unnest(array['', ' ', '.', 'lee', '雷', 'y', '_', '|', '2', 'Ü', '"s', '가']) a (after)
    cross join lateral (
      select b.before || n.name || a.after
      union select upper(b.before || n.name || a.after)
      union select upper(b.before || n.name || a.after collate "und-x-icu")
      union select lower(b.before || n.name || a.after collate "und-x-icu")) t (text)
    where coupon.take_out(n.name, t.text) <> t.text and not coupon.words_of(t.text) @> coupon.words_of(n.name)`);
  assert.deepEqual(wrong, []);
});

/** What is left of an operator's reason once the person of that name is forgotten. */
async function assertLeft(cases: [name: string, reason: string, left: string][]): Promise<void> {
  const lunch = await coupon();
  for (const [name, reason, left] of cases) {
    const person = await user();
    await named(person, name);
    await admin`select from pause_coupon(${lunch}, reason => ${reason}) cross join resume_coupon(${lunch})`;
    assert.equal(await forget(person), "forgotten");
    const told = admin`
      select reason from audit_trail(coupon_id => ${lunch}) where reason is not null order by id desc limit 1`;
    assert.equal(await value(told), left, name);
  }
}

test("forgotten: a name in the other case is found by Unicode's rules, whatever the database's locale", async () => {
  await assertLeft([
    ["Iris", "IRIS, iris, Irish", "(forgotten), (forgotten), Irish"],
    ["ITIR", "ıtır, itir, Itır", "(forgotten), (forgotten), (forgotten)"],
    ["İnci", "İNCİ, inci, INCI, İncir", "(forgotten), (forgotten), (forgotten), İncir"],
    ["Ärger", "ÄRGER, ärger, Ärgerlich, Arger", "(forgotten), (forgotten), Ärgerlich, Arger"],
    ["NUÑO", "Nuño, nuño, nuñoz", "(forgotten), (forgotten), nuñoz"],
    ["Weiß", "WEISS, weiß, WEIẞ, Weis", "(forgotten), (forgotten), (forgotten), Weis"],
    ["HESSE", "Hesse, Heße, Hese", "(forgotten), (forgotten), Hese"],
    // An accent as a character of its own, and what JavaScript makes of İ in lower case.
    ["Ärger", "A\u0308RGER, a\u0308rger, A\u0308rgerlich", "(forgotten), (forgotten), Ärgerlich"],
    ["Zoe\u0308", "Zoë, ZOË, Zoe", "(forgotten), (forgotten), Zoe"],
    ["İpek", "i\u0307pek, I\u0307PEK, ipekli", "(forgotten), (forgotten), ipekli"],
    ["i\u0307pek", "İpek, ipek", "(forgotten), (forgotten)"],
    ["ΝΙΚΟΣ", "Νικος.Α, νικοσ, ΝΙΚΟΣ.Α", "(forgotten).Α, (forgotten), (forgotten).Α"],
  ]);
});

test("forgotten: blanks in a name are blanks, whichever they are and however many", async () => {
  await assertLeft([
    ["Ann\u00a0Lee", "Ann Lee, ANN  LEE, AnnLee", "(forgotten), (forgotten), AnnLee"],
    [
      "Ann Lee",
      "Ann\u00a0Lee, Ann\u202fLee, Ann\u3000Lee, Ann\nLee",
      "(forgotten), (forgotten), (forgotten), (forgotten)",
    ],
    [" Ann\u00a0", "for Ann. Annika", "for (forgotten). Annika"],
    [" ", "for Ann", "for Ann"],
    ["Zoë  (Dr.) O", "Zoë (Dr.)\u00a0O, Zoë(Dr.) O", "(forgotten), Zoë(Dr.) O"],
  ]);
});

test("forgotten: a letter with more than two cases is found as each that stands in the index alike", async () => {
  const looks = await rows(owner`
    with letters as materialized (
      select chr(c.code) collate "und-x-icu" as name
      from generate_series(1, x'1FFFF'::integer) c (code)
      where c.code not between x'D800'::integer and x'DFFF'::integer
    ), cases as materialized (
      select l.name, lower(l.name) as low, upper(l.name) as up, lower(upper(l.name)) as low_up, upper(lower(l.name)) as up_low
      from letters l
      where lower(upper(l.name)) <> lower(l.name) or upper(lower(l.name)) <> upper(l.name)
    )
    select c.name, t.text, coupon.words_of(t.text) @> coupon.words_of(c.name)
    from cases c
    cross join lateral (select c.low union select c.up union select c.low_up union select c.up_low) t (text)
    where coupon.take_out(c.name, t.text) <> t.text`);
  const found = looks.map(([name, text]) => `${name}${text}`);
  for (const pair of ["ſS", "ςΣ", "ςσ", "ẞß", "İi\u0307", "\u212ak", "\u00b5\u039c"])
    assert.ok(found.includes(pair), pair);
  assert.deepEqual(
    looks.filter(([, , isIn]) => !isIn),
    [],
  );
});

test("forgotten: the index and the search for a name know the same scripts without spaces", async () => {
  const wrong = await rows(owner`
    select to_hex(c.code)
    from generate_series(0, x'3FFFF'::integer, 16) r (first)
    cross join lateral (values (r.first), (r.first + 15)) c (code)
    cross join lateral (values ('Q' || chr(greatest(c.code, 1)))) t (text)
    where c.code not between x'D800'::integer and x'DFFF'::integer
      -- Part of a word, and no letter to the index: it finds more texts than have the name.
      and t.text !~ '[\\u0300-\\u036F\\u0591-\\u05C7\\u064B-\\u065F\\u0900-\\u0963\\u0966-\\u0DFF]'
      and (coupon.take_out('Q', t.text) <> t.text) <> ((coupon.words_of(t.text))[1] = 'Q')`);
  assert.deepEqual(wrong, []);
});

test("forgotten: a name in a script without spaces is found amid other words, and one of letters beside them", async () => {
  await assertLeft([
    ["李雷", "请李雷来，李四", "请(forgotten)来，李四"],
    ["𠮷野", "𠮷野さん、吉野", "(forgotten)さん、吉野"],
    ["たなか", "たなかさん", "(forgotten)さん"],
    ["김철수", "김철수가 왔다", "(forgotten)가 왔다"],
    ["สมชาย", "คุณสมชายมา", "คุณ(forgotten)มา"],
    ["Zoë李", "请zoë李雷, Annzoë李", "请(forgotten)雷, Annzoë李"],
    ["Zoë", "请Zoë来 Zoëlle", "请(forgotten)来 Zoëlle"],
    // These have spaces, and signs of vowels that are no letters to ICU.
    ["राम", "by राम, रामेश्वर। राम।", "by (forgotten), रामेश्वर। (forgotten)।"],
    ["x", "x x\u0304", "(forgotten) x\u0304"],
  ]);
});

test("forgotten: a subject that is a word of the name leaves no other word of it, and the other way round", async () => {
  const lunch = await coupon();
  const [ann, bea] = [await user(), await user()];
  await named(ann, "Annemarie Quuxley");
  await named(bea, "Beatrix");
  await owner`
    insert into coupon.subjects (subject, issuer, user_id)
    values ('annemarie', 'https://a.example/', ${ann}), ('quuxley', 'https://b.example/', ${ann}),
      ('beatrix of zork', 'https://a.example/', ${bea})`;
  await admin`select from pause_coupon(${lunch}, reason => 'for Annemarie Quuxley, and annemarie')`;
  await admin`select from resume_coupon(${lunch}, reason => 'Beatrix of Zork and Beatrix')`;
  for (const id of [ann, bea]) assert.equal(await forget(id), "forgotten");
  assert.deepEqual(
    await rows(
      admin`select reason from audit_trail(coupon_id => ${lunch}) where reason is not null order by id`,
    ),
    [["for (forgotten), and (forgotten)"], ["(forgotten) and (forgotten)"]],
  );
});

test("already_forgotten: again, and nothing more is in the audit", async () => {
  const ann = await user();
  assert.equal(await forget(ann), "forgotten");
  assert.equal(await forget(ann, "again"), "already_forgotten");
  assert.deepEqual(await rows(admin`select command, reason from audit_trail(user_id => ${ann})`), [
    ["forget_user", null],
  ]);
});

test("user_not_found: there never was one", async () => {
  assert.equal(await forget(999_999), "user_not_found");
  assert.deepEqual(await rows(owner`select from coupon.forgotten_users where user_id = 999999`), []);
});

test("refuses bad arguments", async () => {
  await refusesArgument(admin`select from forget_user(null)`, "user_id", "22004");
  await refusesArgument(admin`select from forget_user(1, reason => '')`, "reason", "22023");
  await refusesArgument(admin`select from forget_user(1, actor => '')`, "actor", "22023");
});

test("all of this left the data whole", async () => {
  assert.deepEqual(await rows(admin`select * from reconcile()`), []);
});
