/**
 * The service against a model of it: a few arrays and the rules in plain words. Random commands go to both, and every
 * answer is compared. From several sessions at once, some order of all answers must explain each of them: an order in
 * which nothing comes before what had ended when it began (linearizability, Herlihy and Wing 1990; searched as by Wing
 * and Gong 1993). FC_SEED repeats a run; a failure prints its seed and the commands.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { type Scratch, scratchDatabase } from "../bench/harness/scratch.ts";
import { connect, type Sql } from "../db/connect.ts";

fc.configureGlobal({
  includeErrorInReport: true,
  ...(process.env["FC_SEED"] ? { seed: Number(process.env["FC_SEED"]) } : {}),
});

// ---- Commands ---------------------------------------------------------------------------------------------

type Command =
  | { call: "create_coupon"; code: string; message: string; start: number; expiry: number; count: number }
  | { call: "issue_coupon"; user: number; coupon: number }
  | { call: "issue_coupons"; users: number[]; coupon: number }
  | { call: "use_coupon"; user: number; coupon: number; reference: string }
  | { call: "undo_use"; user: number; coupon: number }
  | { call: "pause_coupon"; coupon: number }
  | { call: "resume_coupon"; coupon: number }
  | { call: "set_coupon_count"; coupon: number; count: number }
  | { call: "set_coupon_expiry"; coupon: number; expiry: number }
  | { call: "wallet"; user: number; page: number }
  | { call: "live_coupons" }
  | { call: "upcoming_coupons" }
  | { call: "find_coupon"; code: string }
  | { call: "coupon_stats"; coupon: number }
  | { call: "import_users"; users: number[]; name: string }
  | { call: "midnight" }
  | { call: "expire"; coupon: number };

type Row = Record<string, unknown>;

/** Milliseconds; every instant is days away from now, so that no answer depends on when it was asked. */
const DAY = 86_400_000;
const NOW = Date.now();
const LAST_NIGHT = NOW - DAY / 2;
const OFFER_DAYS = [NOW - 200 * DAY, NOW - 100 * DAY, NOW + 100 * DAY];
const EXPIRIES = [-150, -50, 50, 200, 300].map((days) => NOW + days * DAY);

/** What every run begins with: two coupons to be had, and one that is sold out since yesterday. */
const OPENING: Command[] = [
  { call: "import_users", users: [1, 2, 3, 4], name: "Ann" },
  {
    call: "create_coupon",
    code: "A",
    message: "m",
    start: NOW - 200 * DAY,
    expiry: NOW + 50 * DAY,
    count: 2,
  },
  {
    call: "create_coupon",
    code: "B",
    message: "m",
    start: NOW - 100 * DAY,
    expiry: NOW + 50 * DAY,
    count: 1,
  },
  {
    call: "create_coupon",
    code: "C",
    message: "m",
    start: NOW - 200 * DAY + 1,
    expiry: NOW + 50 * DAY,
    count: 3,
  },
  { call: "issue_coupons", users: [3, 1, 2], coupon: 3 },
  { call: "midnight" },
];

/** Random commands about users 1 to `users` and coupons 1 to `coupons`. */
function commands(users: number, coupons: number) {
  const user = few(users);
  const coupon = few(coupons);
  const count = fc.integer({ min: 1, max: 5 });
  const code = fc.constantFrom(..."aABCDEFGHIJKLM");
  const expiry = fc.constantFrom(...EXPIRIES);
  const start = fc
    .tuple(fc.constantFrom(...OFFER_DAYS), fc.integer({ min: 0, max: 3 }))
    .map(([day, ms]) => day + ms);
  const message = fc.constantFrom("free coffee", "half price");
  const reference = fc.constantFrom("order 1", "order 2");
  const many = fc.array(user, { maxLength: 6 });
  const once = fc.uniqueArray(user, { maxLength: 3 });
  const name = fc.constantFrom("Ann", "Ben");
  const page = fc.integer({ min: 1, max: 3 });
  const call = fc.constant;
  return {
    create: fc
      .record({ call: call("create_coupon" as const), code, message, start, expiry, count })
      .filter(({ start, expiry }) => expiry > start),
    createAgain: fc.constantFrom(...OPENING.filter((command) => command.call === "create_coupon")),
    issue: fc.record({ call: call("issue_coupon" as const), user, coupon }),
    issueAll: fc.record({ call: call("issue_coupons" as const), users: many, coupon }),
    use: fc.record({ call: call("use_coupon" as const), user, coupon, reference }),
    undo: fc.record({ call: call("undo_use" as const), user, coupon }),
    pause: fc.record({ call: call("pause_coupon" as const), coupon }),
    resume: fc.record({ call: call("resume_coupon" as const), coupon }),
    setCount: fc.record({ call: call("set_coupon_count" as const), coupon, count }),
    setExpiry: fc.record({ call: call("set_coupon_expiry" as const), coupon, expiry }),
    wallet: fc.record({ call: call("wallet" as const), user, page }),
    live: fc.record({ call: call("live_coupons" as const) }),
    upcoming: fc.record({ call: call("upcoming_coupons" as const) }),
    find: fc.record({ call: call("find_coupon" as const), code }),
    stats: fc.record({ call: call("coupon_stats" as const), coupon }),
    importUsers: fc.record({ call: call("import_users" as const), users: once, name }),
    midnight: fc.record({ call: call("midnight" as const) }),
    expire: fc.record({ call: call("expire" as const), coupon }),
  };
}

/** 1 to `max`, the lower ones more often. */
function few(max: number) {
  return fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max }));
}

/** As many of each as its weight says. */
function mix(
  users: number,
  coupons: number,
  weights: Partial<Record<keyof ReturnType<typeof commands>, number>>,
) {
  const all = commands(users, coupons);
  const names = Object.keys(weights) as (keyof typeof all)[];
  return fc.oneof(
    ...names.map((name) => ({ weight: weights[name] ?? 0, arbitrary: all[name] as fc.Arbitrary<Command> })),
  );
}

// ---- The model --------------------------------------------------------------------------------------------

interface Coupon {
  coupon_id: number;
  code: string;
  message: string;
  start: number;
  expiry: number;
  count: number;
  issued: number;
  paused: boolean;
  slot: number;
  /** What create_coupon() was given. */
  asked: unknown[];
}

interface Grant {
  user: number;
  coupon: number;
  position: number;
  issued_at: unknown;
  /** Midnights since. */
  age: number;
  used_date: unknown;
  use_reference: string | null;
}

interface Model {
  names: Record<number, string>;
  coupons: Coupon[];
  grants: Grant[];
}

/** Carries a command out on the model; the answer as it must be. Instants are taken from the answer as it was seen. */
function answer(model: Model, command: Command, seen: Row[]): Row[] {
  const { names, coupons, grants } = model;
  const c = coupons.find(({ coupon_id }) => "coupon" in command && coupon_id === command.coupon);
  const sameDay = (start: number) => (other: Coupon) => dayOf(other.start) === dayOf(start);
  switch (command.call) {
    case "create_coupon": {
      const { code, message, start, expiry, count } = command;
      const same = coupons.find((other) => other.code.toLowerCase() === code.toLowerCase());
      if (same) {
        const { coupon_id, slot } = same;
        const now = [same.code, same.message, same.start, same.expiry, same.count];
        const asked = [code, message, start, expiry, count];
        const isSame = [same.asked, now].some((each) => isDeepStrictEqual(each, asked));
        const outcome = isSame ? "already_created" : "code_taken";
        return [{ outcome, coupon_id, live_on: dayOf(same.start), slot }];
      }
      const live_on = dayOf(start);
      const day = coupons.filter(sameDay(start));
      const refuse = (outcome: string, other?: Coupon) => [
        { outcome, coupon_id: other?.coupon_id ?? null, live_on, slot: null },
      ];
      const atOnce = day.find((other) => other.start === start);
      if (atOnce) return refuse("start_time_taken", atOnce);
      const asMany = day.find((other) => other.count === count);
      if (asMany) return refuse("count_taken", asMany);
      if (day.length === 3) return refuse("day_full");
      const slot = day.length + 1;
      const coupon_id = coupons.length + 1;
      const asked = [code, message, start, expiry, count];
      coupons.push({ coupon_id, code, message, start, expiry, count, issued: 0, paused: false, slot, asked });
      return [{ outcome: "created", coupon_id, live_on, slot }];
    }
    case "issue_coupon":
      return [claim(model, command.user, c, seen[0]?.["issued_at"])];
    case "issue_coupons":
      return command.users.map((user, i) => claim(model, user, c, seen[i]?.["issued_at"]));
    case "use_coupon": {
      const held = grants.find((grant) => grant.user === command.user && grant.coupon === command.coupon);
      const none = { used_date: null, use_reference: null };
      if (!c) return [{ outcome: "coupon_not_found", ...none }];
      if (!held) return [{ outcome: "not_issued", ...none }];
      if (held.use_reference !== null) {
        const { used_date, use_reference } = held;
        return [
          {
            outcome: use_reference === command.reference ? "used" : "already_used",
            used_date,
            use_reference,
          },
        ];
      }
      if (c.expiry <= NOW) return [{ outcome: "expired", ...none }];
      held.used_date = seen[0]?.["used_date"];
      held.use_reference = command.reference;
      return [{ outcome: "used", used_date: held.used_date, use_reference: held.use_reference }];
    }
    case "undo_use": {
      const held = grants.find((grant) => grant.user === command.user && grant.coupon === command.coupon);
      if (held?.use_reference) {
        const { used_date, use_reference } = held;
        Object.assign(held, { used_date: null, use_reference: null });
        return [{ outcome: "restored", used_date, use_reference }];
      }
      const outcome = held ? "not_used" : c ? "not_issued" : "coupon_not_found";
      return [{ outcome, used_date: null, use_reference: null }];
    }
    case "pause_coupon":
    case "resume_coupon": {
      const [paused, done, already] =
        command.call === "pause_coupon"
          ? [true, "paused", "already_paused"]
          : [false, "resumed", "not_paused"];
      if (!c) return [{ outcome: "coupon_not_found" }];
      const outcome = c.paused === paused ? already : done;
      c.paused = paused;
      return [{ outcome }];
    }
    case "set_coupon_count": {
      if (!c) return [{ outcome: "coupon_not_found", issued: null, remaining: null }];
      let outcome = "changed";
      if (c.count === command.count) outcome = "unchanged";
      else if (command.count < c.issued) outcome = "below_issued";
      else if (coupons.filter(sameDay(c.start)).some(({ count }) => count === command.count))
        outcome = "count_taken";
      else c.count = command.count;
      return [{ outcome, issued: c.issued, remaining: c.count - c.issued }];
    }
    case "set_coupon_expiry": {
      if (!c) return [{ outcome: "coupon_not_found" }];
      let outcome = "changed";
      if (c.expiry === command.expiry) outcome = "unchanged";
      else if (command.expiry <= c.start) outcome = "not_after_start";
      else if (command.expiry <= NOW) outcome = "in_the_past";
      else c.expiry = command.expiry;
      return [{ outcome }];
    }
    case "wallet":
      return grants
        .filter((grant) => grant.user === command.user)
        .sort((a, b) => a.age - b.age)
        .slice(0, command.page)
        .map(({ coupon, position, age, use_reference }) => {
          const expired = coupons.some(({ coupon_id, expiry }) => coupon_id === coupon && expiry <= NOW);
          const state = use_reference ? "used" : expired ? "expired" : "issued";
          return { state, coupon_id: coupon, position, issued_on: dayAgo(age), use_reference };
        });
    case "live_coupons":
      return offers(coupons.filter(({ start, expiry }) => start <= NOW && expiry > NOW)).toReversed();
    case "upcoming_coupons":
      return offers(coupons.filter(({ start }) => start > NOW));
    case "find_coupon":
      return offers(coupons.filter(({ code }) => code.toLowerCase() === command.code.toLowerCase()));
    case "coupon_stats": {
      const used = grants.filter(
        ({ coupon, use_reference }) => coupon === command.coupon && use_reference,
      ).length;
      return c
        ? [{ code: c.code, count: c.count, issued: c.issued, remaining: c.count - c.issued, used }]
        : [];
    }
    case "import_users":
      return command.users.map((user_id) => {
        const outcome = !names[user_id]
          ? "created"
          : names[user_id] === command.name
            ? "unchanged"
            : "updated";
        names[user_id] = command.name;
        return { outcome, user_id };
      });
    case "midnight":
      for (const grant of grants) grant.age += 1;
      return [];
    case "expire": {
      const isOld = (grant: Grant) =>
        grant.coupon !== command.coupon || (grant.age > 0 && !grant.use_reference);
      if (c && c.start < LAST_NIGHT && grants.every(isOld)) c.expiry = LAST_NIGHT;
      return [];
    }
  }
}

function claim(model: Model, user: number, c: Coupon | undefined, issued_at: unknown): Row {
  const refuse = (outcome: string) => ({ outcome, position: null, issued_on: null, issued_at: null });
  if (!c) return refuse("coupon_not_found");
  const held = model.grants.find((grant) => grant.user === user && grant.coupon === c.coupon_id);
  if (held)
    return {
      outcome: "already_issued",
      position: held.position,
      issued_on: dayAgo(held.age),
      issued_at: held.issued_at,
    };
  const refusal = closed(c);
  if (refusal) return refuse(refusal);
  if (!model.names[user]) return refuse("user_not_found");
  if (spent(model, user)) return refuse("daily_limit_reached");
  c.issued += 1;
  const position = c.issued;
  model.grants.push({
    user,
    coupon: c.coupon_id,
    position,
    issued_at,
    age: 0,
    used_date: null,
    use_reference: null,
  });
  return { outcome: "issued", position, issued_on: dayAgo(0), issued_at };
}

function closed(c: Coupon): string | undefined {
  if (c.start > NOW) return "not_started";
  if (c.expiry <= NOW) return "ended";
  if (c.paused) return "paused";
  return c.issued === c.count ? "sold_out" : undefined;
}

function spent(model: Model, user: number): boolean {
  return model.grants.some((grant) => grant.user === user && grant.age === 0);
}

function offers(coupons: Coupon[]): Row[] {
  return coupons
    .toSorted((a, b) => a.start - b.start)
    .map(({ coupon_id, code, message, start, expiry, count, issued, paused }) => {
      const starts = start > NOW;
      return { coupon_id, code, message, start, expiry, count, remaining: count - issued, paused, starts };
    });
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function dayAgo(days: number): string {
  return dayOf(NOW - days * DAY);
}

// ---- The service ------------------------------------------------------------------------------------------

/** Carries a command out; an error becomes the answer under its constraint or SQLSTATE, which no model gives. */
async function ask(sql: Sql, owner: Sql, command: Command): Promise<Row[]> {
  try {
    return [...(await query(sql, owner, command))].map((row) => ({ ...row }));
  } catch (error) {
    const { code, constraint_name, message } = error as {
      code?: string;
      constraint_name?: string;
      message: string;
    };
    if (!code) throw error;
    return [{ error: constraint_name ?? code, message }];
  }
}

function query(sql: Sql, owner: Sql, command: Command): PromiseLike<readonly Row[]> {
  switch (command.call) {
    case "create_coupon":
      return sql`
        select outcome, coupon_id::integer, live_on::text, slot
        from create_coupon(${command.code}, ${command.message}, 'd', to_timestamp(${command.start} / 1000.0),
          to_timestamp(${command.expiry} / 1000.0), ${command.count})`;
    case "issue_coupon":
      return sql`
        select outcome, position, issued_on::text, ${timeOfDay(sql)}
        from issue_coupon(${command.user}, ${command.coupon})`;
    case "issue_coupons":
      return sql`
        select outcome, position, issued_on::text, ${timeOfDay(sql)}
        from issue_coupons(${command.coupon}, ${command.users}::bigint[])`;
    case "use_coupon":
      return sql`
        select outcome, used_date::text, use_reference
        from use_coupon(${command.user}, ${command.coupon}, ${command.reference})`;
    case "undo_use":
      return sql`
        select outcome, used_date::text, use_reference from undo_use(${command.user}, ${command.coupon}, 'mistake')`;
    case "pause_coupon":
      return sql`select outcome from pause_coupon(${command.coupon})`;
    case "resume_coupon":
      return sql`select outcome from resume_coupon(${command.coupon})`;
    case "set_coupon_count":
      return sql`select outcome, issued, remaining from set_coupon_count(${command.coupon}, ${command.count})`;
    case "set_coupon_expiry":
      return sql`
        select outcome from set_coupon_expiry(${command.coupon}, to_timestamp(${command.expiry} / 1000.0))`;
    case "wallet":
      return sql`
        select state, coupon_id::integer, position, issued_on::text, use_reference
        from wallet(${command.user}, page_size => ${command.page})`;
    case "live_coupons":
      return sql`select ${offer(sql)} from live_coupons()`;
    case "upcoming_coupons":
      return sql`select ${offer(sql)} from upcoming_coupons()`;
    case "find_coupon":
      return sql`select ${offer(sql)} from find_coupon(code => ${command.code})`;
    case "coupon_stats":
      return sql`
        select code, count, issued, remaining, used::integer from coupon_stats(${command.coupon})`;
    case "import_users":
      return sql`
        select outcome, user_id::integer
        from import_users(${command.users}::bigint[], ${command.users.map(() => command.name)}::text[])`;
    case "midnight":
      return pastMidnight(owner);
    case "expire":
      return owner`
        update coupon.coupons c set expiry = to_timestamp(${LAST_NIGHT} / 1000.0)
        where c.id = ${command.coupon} and c.start_time < to_timestamp(${LAST_NIGHT} / 1000.0)
          and not exists (
            select from coupon.user_coupons g
            where g.coupon_id = c.id and (g.is_used or g.issued_on = (now() at time zone c.time_zone)::date))`;
  }
}

function offer(sql: Sql) {
  return sql`
    coupon_id::integer, code, message, (extract(epoch from start_time) * 1000)::float8 as start,
    (extract(epoch from expiry) * 1000)::float8 as expiry, count, remaining, paused, starts_in is not null as starts`;
}

/** Stays the same when the grant becomes a day older. */
function timeOfDay(sql: Sql) {
  return sql`(issued_at - issued_on::timestamptz)::text as issued_at`;
}

/** The clock can't be set, so all that was issued becomes a day older, past the guards. */
async function pastMidnight(owner: Sql): Promise<readonly Row[]> {
  await owner.begin((sql) =>
    sql
      .unsafe(`
        alter table coupon.user_coupons disable trigger user;
        update coupon.user_coupons set issued_on = issued_on + 100000;
        update coupon.user_coupons set issued_on = issued_on - 100001, issued_at = issued_at - interval '1 day';
        alter table coupon.user_coupons enable trigger user`)
      .simple(),
  );
  return [];
}

interface Service {
  scratch: Scratch;
  sessions: Sql[];
  /** Empties the database and carries the opening out; the model of it. */
  open(more?: Command[]): Promise<Model>;
}

async function service(t: TestContext): Promise<Service> {
  const scratch = await scratchDatabase();
  const sessions = Array.from({ length: 6 }, () => connect(scratch.adminUrl));
  t.after(async () => {
    await Promise.all(sessions.map((session) => session.end({ timeout: 1 })));
    await scratch.drop();
  });
  const { owner, admin } = scratch;
  // A zone in which it is noon, so that midnight comes by command only.
  const east = 12 - new Date(NOW).getUTCHours();
  await owner`update coupon.settings set time_zone = ${`Etc/GMT${east > 0 ? "-" : "+"}${Math.abs(east)}`}`;
  for (const { table, trigger } of await owner`
    select tgrelid::regclass::text as table, tgname as trigger
    from pg_trigger where tgtype & 8 <> 0 and not tgisinternal`) // those that refuse delete
    await owner.unsafe(`drop trigger ${trigger} on ${table}`);
  return {
    scratch,
    sessions,
    async open(more = []) {
      await owner.unsafe(`
        delete from coupon.audit;
        delete from coupon.user_coupons;
        delete from coupon.use_counts;
        delete from coupon.coupons;
        delete from coupon.users;
        alter table coupon.coupons alter column id restart`);
      const model: Model = { names: {}, coupons: [], grants: [] };
      for (const command of [...OPENING, ...more]) {
        const rows = await ask(admin, owner, command);
        assert.deepEqual(rows, answer(model, command, rows), JSON.stringify(command));
      }
      return model;
    },
  };
}

// ---- One after another ------------------------------------------------------------------------------------

// biome-ignore format: a table
const alone = mix(5, 7, {
  create: 8, createAgain: 1, issue: 6, issueAll: 6, use: 9, undo: 6, pause: 3, resume: 3, setCount: 4, setExpiry: 3,
  wallet: 2, live: 1, upcoming: 1, find: 1, stats: 1, importUsers: 1, midnight: 3, expire: 3,
});

/** Every outcome that was seen, to know that the sequences reach them all. */
const reached = new Set<string>();

function oneAfterAnother({ scratch, open }: Service) {
  return fc.asyncProperty(fc.noBias(fc.array(alone, { minLength: 20, maxLength: 60 })), async (commands) => {
    const model = await open();
    for (const command of commands) {
      const rows = await ask(scratch.admin, scratch.owner, command);
      assert.deepEqual(rows, answer(model, command, rows), JSON.stringify(command));
      for (const { outcome } of rows) reached.add(`${command.call}: ${outcome}`);
    }
    assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
  });
}

test("one after another: every answer is the model's, and every outcome is reached", async (t) => {
  const right = await service(t);
  await fc.assert(oneAfterAnother(right), { numRuns: 200 });
  const outcomes = await right.scratch.admin`
    select replace(t.typname, '_outcome', '') || ': ' || e.enumlabel as outcome
    from pg_enum e join pg_type t on t.oid = e.enumtypid
    where t.typname like '%outcome'
      and t.typname not in ('set_time_zone_outcome', 'coupon_leases_outcome', 'import_incoming_users_outcome')`;
  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome).filter((outcome) => !reached.has(outcome)),
    [],
  );
});

const BUGS = [
  [
    "issue_coupons",
    "a user that doesn't exist before sold_out",
    /(when [^']*'sold_out')(\s+)(when [^']*'user_not_found')/,
    "$3$2$1",
  ],
  [
    "issue_coupons",
    "replays that end at midnight",
    /where g.coupon_id = issue_coupons.coupon_id(?= and g.user_id = any)/,
    "$& and g.issued_on = v_today",
  ],
] as const;

for (const [name, bug, right, wrong] of BUGS)
  test(`one after another goes red with ${bug}`, async (t) => {
    const broken = await service(t);
    await plant(broken.scratch.owner, name, right, wrong);
    const run = await fc.check(oneAfterAnother(broken), { seed: 1, numRuns: 200, endOnFailure: true });
    assert.ok(run.errorInstance instanceof assert.AssertionError);
  });

// ---- All at once ------------------------------------------------------------------------------------------

interface Call {
  session: number;
  command: Command;
  rows: Row[];
  start: number;
  end: number;
}

/** What must be placed in an order: one thing that a call did, in one step or in two. */
interface Item {
  start: number;
  end: number;
  steps: ((model: Model) => boolean)[];
}

/**
 * A batch answers each of its users as if they had asked one after another, hence an item each. A batch that grants
 * nothing takes no lock: it reads the coupon first and the users' day later, so that daily_limit_reached rests on two
 * instants.
 */
function items({ command, rows, start, end }: Call): Item[] {
  if (command.call !== "issue_coupon" && command.call !== "issue_coupons")
    return [{ start, end, steps: [(model) => isDeepStrictEqual(rows, answer(model, command, rows))] }];
  const users = command.call === "issue_coupon" ? [command.user] : command.users;
  if (rows.length !== users.length) return [{ start, end, steps: [() => false] }];
  const couponOf = (model: Model) => model.coupons.find(({ coupon_id }) => coupon_id === command.coupon);
  return users.map((user, i) => {
    const row = rows[i] ?? {};
    const once = (model: Model) =>
      isDeepStrictEqual(row, claim(model, user, couponOf(model), row["issued_at"]));
    const isOpen = (model: Model) => {
      const c = couponOf(model);
      return c !== undefined && !closed(c);
    };
    const isSpent = (model: Model) =>
      spent(model, user) &&
      !model.grants.some((grant) => grant.user === user && grant.coupon === command.coupon);
    return { start, end, steps: row["outcome"] === "daily_limit_reached" ? [isOpen, isSpent] : [once] };
  });
}

/** Whether some order explains all answers, in which nothing comes before what had ended when it began. */
function isExplained(calls: Call[], first: Model): boolean {
  const all = calls.flatMap(items);
  const seen = new Set<string>();
  const search = (done: number[], model: Model): boolean => {
    const open = all.flatMap((item, i) => (done[i] === item.steps.length ? [] : [{ item, i }]));
    if (open.length === 0) return true;
    const key = JSON.stringify([done, model]);
    if (seen.has(key)) return false;
    seen.add(key);
    const firstEnd = Math.min(...open.map(({ item }) => item.end));
    return open.some(({ item, i }) => {
      if (item.start > firstEnd) return false;
      const next = structuredClone(model);
      const step = done[i] ?? 0;
      return item.steps[step]?.(next) && search(done.with(i, step + 1), next);
    });
  };
  return search(
    all.map(() => 0),
    first,
  );
}

// biome-ignore format: a table
const contended = mix(3, 3, {
  issue: 8, issueAll: 6, use: 5, undo: 3, pause: 3, resume: 3, setCount: 4, setExpiry: 1,
  wallet: 1, live: 1, stats: 1, create: 1, importUsers: 1,
});

/** What each session asks; few commands each, because the search is exponential in them. */
const lists = fc.oneof(
  fc.array(fc.array(contended, { minLength: 2, maxLength: 4 }), { minLength: 3, maxLength: 3 }),
  fc.array(fc.array(contended, { minLength: 1, maxLength: 2 }), { minLength: 4, maxLength: 6 }),
);

function allAtOnce({ scratch, sessions, open }: Service) {
  const opening = fc.array(contended, { maxLength: 8 });
  return fc.asyncProperty(opening, lists, async (opening, lists) => {
    const model = await open(opening);
    const calls: Call[] = [];
    await Promise.all(
      lists.map(async (list, i) => {
        const session = sessions[i];
        assert.ok(session);
        for (const command of list) {
          const start = performance.now();
          const rows = await ask(session, scratch.owner, command);
          calls.push({ session: i, command, rows, start, end: performance.now() });
        }
      }),
    );
    assert.ok(isExplained(calls, model), calls.map((call) => JSON.stringify(call)).join("\n"));
    assert.deepEqual([...(await scratch.admin`select * from reconcile()`)], []);
  });
}

test("all at once: some order of the model explains every answer", async (t) => {
  // The same commands may race another way the next time, so there is nothing to shrink.
  await fc.assert(allAtOnce(await service(t)), { numRuns: 250, endOnFailure: true });
});

const RACES = [
  ["lock_issuing", "no lock", /lock table[^;]*;.*\s*perform[^;]*;/, ""],
  ["lock_issuing", "no lock across coupons", /lock table[^;]*;/, ""],
  ["use_coupon", "a use that doesn't lock", /for no key update/, ""],
] as const;

for (const [name, bug, right, wrong] of RACES)
  test(`all at once goes red with ${bug}`, async (t) => {
    const broken = await service(t);
    await plant(broken.scratch.owner, name, right, wrong);
    const run = await fc.check(allAtOnce(broken), { seed: 1, numRuns: 500, endOnFailure: true });
    assert.ok(run.errorInstance instanceof assert.AssertionError);
  });

test("the search refuses histories that no order explains", () => {
  const model = (): Model => ({
    names: { 1: "Ann", 2: "Ben" },
    // biome-ignore format: a row
    coupons: [{ coupon_id: 1, code: "A", message: "m", start: NOW - DAY, expiry: NOW + DAY, count: 1, issued: 0, paused: false, slot: 1, asked: [] }],
    grants: [],
  });
  const claimed = (user: number, outcome: string, position: number | null, start: number): Call => {
    const [issued_on, issued_at] = position ? [dayAgo(0), "00:00:01"] : [null, null];
    const rows = [{ outcome, position, issued_on, issued_at }];
    return { session: user, command: { call: "issue_coupon", user, coupon: 1 }, rows, start, end: start + 2 };
  };
  const explained = (...calls: Call[]) => isExplained(calls, model());
  assert.equal(explained(claimed(1, "issued", 1, 0), claimed(2, "sold_out", null, 1)), true);
  assert.equal(explained(claimed(1, "issued", 1, 1), claimed(2, "sold_out", null, 0)), true);
  assert.equal(explained(claimed(1, "issued", 1, 3), claimed(2, "sold_out", null, 0)), false); // it wasn't yet
  assert.equal(explained(claimed(1, "issued", 1, 0), claimed(2, "issued", 1, 1)), false);
  assert.equal(explained(claimed(1, "issued", 1, 0), claimed(2, "issued", 2, 1)), false);
  assert.equal(explained(claimed(1, "already_issued", 1, 0)), false);
});

/** Breaks a function of the scratch database on purpose. */
async function plant(owner: Sql, name: string, right: RegExp, wrong: string): Promise<void> {
  const [has] =
    await owner`select pg_get_functiondef(p.oid) as text from pg_proc p where p.proname = ${name}`;
  assert.match(has?.["text"], right);
  await owner.unsafe(has?.["text"].replace(right, wrong));
}
