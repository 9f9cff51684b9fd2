import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, type TestContext, test } from "node:test";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { initCluster, launch } from "../bench/harness/cluster.ts";
import { bin, options } from "../bench/harness/debian.ts";
import { dropDatabase } from "../bench/harness/scratch.ts";
import { rows, run, type Shop, startShop, stock } from "../bench/harness/shop.ts";
import { connect, withConnection } from "./connect.ts";
import { examine } from "./doctor.ts";
import { openLogins } from "./logins.ts";
import { describe, isNothing, pendingOf } from "./pending.ts";
import { setUp } from "./setup.ts";
import { LOGINS, type Target, targetOf } from "./target.ts";

after(cleanUp);

// The roles belong to the whole server: to the login that set up first, whatever another one sets up there.

let shared: Promise<Shop> | undefined;
const server = () => (shared ??= startShop());

const PASSWORDS = "select rolname, rolpassword from pg_authid where rolname ~ '^coupon_' order by 1";
/** Without the number, which is the server's. */
const RECORD = `
  select split_part(shobj_description('coupon_owner'::regrole, 'pg_authid'), format(' (oid %s)', r.oid), 1)
  from pg_roles r where shobj_description('coupon_owner'::regrole, 'pg_authid') like format('%% %s (oid %s)', r.rolname, r.oid)`;
const MEMBERS = "select roleid::regrole::text, member::regrole::text from pg_auth_members order by 1, 2";

/** Who may log in, and so the derived password fits. */
async function open(target: Target): Promise<string[]> {
  const users = LOGINS.map((login) => rows(target.as(login), "select current_user"));
  return (await Promise.all(users)).flat().flat() as string[];
}

test(
  "set-up by a superuser of a database that another login set up: that one's passwords stay",
  options,
  async () => {
    const { newDatabase, superuser } = await server();
    const target = await newDatabase("kept");
    await setUp(target);
    await stock(target);
    const before = await rows(superuser, PASSWORDS);
    await run(superuser.on("kept"), "drop function public.wallet(bigint, date, integer)");

    const lines: string[] = [];
    assert.deepEqual(await setUp(superuser.on("kept"), (line) => lines.push(line)), { keptBy: "login shop" });
    assert.deepEqual(lines, [
      "roles",
      "migrations",
      "functions",
      "coupon_api and coupon_admin keep the passwords that login shop gave them",
    ]);
    assert.deepEqual(await rows(superuser, PASSWORDS), before);
    assert.deepEqual(await open(target), LOGINS);
    assert.deepEqual(
      await rows(target.as("coupon_api"), "select count(*)::integer from wallet(1)"),
      [[0]],
      "all else was done",
    );
    const pending = await pendingOf(superuser.on("kept"));
    assert.equal(
      describe(pending).roles,
      "coupon_api and coupon_admin keep the passwords that login shop gave them",
    );
    assert.equal(isNothing(pending), true);
    assert.deepEqual(await setUp(target), { keptBy: undefined }, "and shop goes on as before");
  },
);

test("the login that gave the passwords was renamed: they stay its", options, async () => {
  const { newDatabase, superuser } = await startShop();
  const target = await newDatabase("renamed");
  await setUp(target);
  const before = await rows(superuser, PASSWORDS);
  const session = connect(target.as("coupon_api"));
  await session`select 1`;
  // Somebody else by its name of before is not it.
  await run(superuser, "alter role shop rename to shop2; create role shop");
  const lines: string[] = [];
  assert.deepEqual(await setUp(superuser.on("renamed"), (line) => lines.push(line)), {
    keptBy: "login shop2",
  });
  assert.equal(lines.at(-1), "coupon_api and coupon_admin keep the passwords that login shop2 gave them");
  assert.deepEqual([...(await session`select 1 as one`)], [{ one: 1 }], "its servers go on");
  const renamed = target.withLogin("shop2", target.password);
  const told = async (as: Target) =>
    (await examine(as)).filter(({ what }) => /coupon_(api|owner)/.test(what));
  assert.deepEqual(await told(superuser.on("renamed")), [], "to another login nothing differs");
  assert.deepEqual(await told(renamed), [
    {
      what: "role coupon_owner: comment doesn't name the login whose passwords coupon_api and coupon_admin have",
      todo: "./sd migrate",
    },
  ]);
  assert.deepEqual(await setUp(renamed), { keptBy: undefined });
  assert.deepEqual(await told(renamed), []);
  assert.deepEqual(await rows(superuser, PASSWORDS), before);
  assert.deepEqual(await rows(superuser, RECORD), [["its logins have passwords from login shop2"]]);
  await session.end({ timeout: 1 });
});

for (const { title, lose, keptBy } of [
  {
    title: "the login that gave the passwords is no more",
    lose: "reassign owned by shop to postgres; drop owned by shop; alter database lost owner to postgres; drop role shop",
    keptBy: "login shop, which is no more,",
  },
  {
    title: "nobody recorded who gave the passwords",
    lose: "comment on role coupon_owner is null",
    keptBy: "a login that nobody recorded",
  },
])
  test(`${title}: they stay until somebody asks for new ones`, options, async () => {
    const { newDatabase, superuser } = await startShop();
    const target = await newDatabase("lost");
    await setUp(target);
    const before = await rows(superuser, PASSWORDS);
    const other = superuser.on("lost");
    await run(superuser, "grant coupon_owner, coupon_api, coupon_admin, coupon_monitor to postgres");
    await run(other, lose);
    const lines: string[] = [];
    assert.deepEqual(await setUp(other, (line) => lines.push(line)), { keptBy });
    const kept = `coupon_api and coupon_admin keep the passwords that ${keptBy} gave them`;
    assert.equal(lines.at(-1), `${kept}: ./sd migrate --new-passwords gives new ones`);
    assert.deepEqual(await rows(superuser, PASSWORDS), before);
    assert.deepEqual(await open(target), LOGINS);
    assert.deepEqual(
      (await examine(other)).filter(({ what }) => /coupon_(api|owner)/.test(what)),
      [{ what: kept, todo: "./sd migrate --new-passwords" }],
    );
    assert.deepEqual(await setUp(other, () => {}, { newPasswords: true }), { keptBy: undefined });
    assert.deepEqual(await open(other), LOGINS);
    assert.deepEqual(await rows(superuser, RECORD), [["its logins have passwords from login postgres"]]);
  });

test("who asks for new passwords gets the logins", options, async () => {
  const { newDatabase, superuser } = await startShop();
  const target = await newDatabase("taken");
  await setUp(target);
  const taker = superuser.on("taken");
  assert.deepEqual(await setUp(taker, () => {}, { newPasswords: true }), { keptBy: undefined });
  assert.deepEqual(await open(taker), LOGINS);
  const lines: string[] = [];
  assert.deepEqual(await setUp(target, (line) => lines.push(line)), { keptBy: "login postgres" });
  assert.equal(lines.at(-1), "coupon_api and coupon_admin keep the passwords that login postgres gave them");
  await assert.rejects(open(target), { code: "28P01" });
  await setUp(target, () => {}, { newPasswords: true });
  assert.deepEqual(await open(target), LOGINS);
});

/** A login that may create roles, with a database of its own, on the server of the tests. */
async function newTenant(t: TestContext, { serverUrl }: { serverUrl: string }): Promise<Target> {
  const name = `coupon_scratch_${randomBytes(6).toString("hex")}`;
  const server = connect(serverUrl);
  t.after(async () => {
    await dropDatabase(server, name);
    await server.unsafe(`drop role ${name}`);
    await server.end();
  });
  await server.unsafe(`create role ${name} login createrole password 'tenant'`);
  await server.unsafe(`grant ${name} to current_user`);
  await server.unsafe(`create database ${name} owner ${name} encoding 'UTF8' template template0`);
  return targetOf(serverUrl).withLogin(name, "tenant").on(name);
}

test("a second login that may create roles: refused by a sentence, and neither in nor out of anything", async (t) => {
  const serverUrl = process.env["SCRATCH_SERVER_URL"] as string;
  const tenant = await newTenant(t, { serverUrl });
  const first = targetOf(serverUrl);
  const before = await rows(first, MEMBERS);
  for (const newPasswords of [false, true])
    await assert.rejects(
      setUp(tenant, () => {}, { newPasswords }),
      {
        message:
          `${tenant.login} may not act as coupon_admin, coupon_api, coupon_monitor, coupon_owner, with which login ${first.login} ` +
          `set up other databases of this server: give DATABASE_URL as ${first.login}, or of another server`,
      },
    );
  assert.deepEqual(await rows(first, MEMBERS), before);
  await assert.rejects(
    withConnection(tenant, (sql) => sql`set role coupon_owner`),
    { code: "42501" },
  );
  assert.deepEqual(await rows(tenant, "select nspname from pg_namespace where nspname = 'coupon'"), []);
  assert.deepEqual(
    await rows(tenant, "select datacl::text from pg_database where datname = current_database()"),
    [[null]],
    "nothing was granted",
  );
});

test(
  "a new password of the login: set-up gives new ones, and ends the sessions of the old ones",
  options,
  async () => {
    const { newDatabase, superuser } = await startShop();
    const target = await newDatabase("rotated");
    await setUp(target);
    const sessions = LOGINS.map((login) => connect(target.as(login)));
    for (const session of sessions) await session`select 1`;
    await run(superuser, "alter role shop password 'a new one'");
    const rotated = target.withLogin("shop", "a new one");

    const lines: string[] = [];
    assert.deepEqual(await setUp(rotated, (line) => lines.push(line)), { keptBy: undefined });
    assert.deepEqual(lines.slice(-2), [
      "coupon_api: a new password, and 1 session of the old one ended",
      "coupon_admin: a new password, and 1 session of the old one ended",
    ]);
    assert.deepEqual(await open(rotated), LOGINS);
    for (const login of LOGINS) await assert.rejects(rows(target.as(login), "select 1"), { code: "28P01" });
    const pids = "select pid from pg_stat_activity where usename like 'coupon_%'";
    assert.deepEqual(await rows(superuser, pids), []);
    for (const session of sessions) await session.end({ timeout: 1 });
  },
);

test("sessions that the login may not end are told", options, async () => {
  const { newDatabase, superuser } = await startShop();
  const target = await newDatabase("stubborn");
  await setUp(target);
  await run(superuser.on("stubborn"), "grant create on schema public to shop with grant option");
  const session = connect(target.as("coupon_api"));
  await session`select 1`;
  await run(superuser, "alter role shop noinherit; alter role shop password 'a new one'");
  const lines: string[] = [];
  await setUp(target.withLogin("shop", "a new one"), (line) => lines.push(line));
  assert.deepEqual(
    lines.filter((line) => line.startsWith("coupon_api")),
    [
      "coupon_api: a new password, but of the old one 1 session may go on: as superuser run " +
        "\"select pg_terminate_backend(pid) from pg_stat_activity where usename = 'coupon_api'\"",
    ],
  );
  await session.end({ timeout: 1 });
});

test(
  "coupon_api has all connections that it may have: set-up goes on, and so do its servers",
  options,
  async () => {
    const { newDatabase, superuser } = await startShop();
    const target = await newDatabase("filled");
    await setUp(target);
    await run(superuser, "alter role coupon_api connection limit 1");
    const before = await rows(superuser, PASSWORDS);
    const session = connect(target.as("coupon_api"));
    await session`select 1`;
    assert.deepEqual(await setUp(target), { keptBy: undefined });
    assert.equal(isNothing(await pendingOf(target)), true);
    assert.deepEqual(
      (await examine(target)).filter(({ what }) => /coupon_api/.test(what)),
      [],
    );
    assert.deepEqual(await rows(superuser, PASSWORDS), before);
    assert.deepEqual([...(await session`select 1 as one`)], [{ one: 1 }]);
    await assert.rejects(rows(target.as("coupon_api"), "select 1"), {
      message: `${target.host} has no connection left for coupon_api: too many connections for role "coupon_api". End one, or raise that limit`,
    });
    // Another password is noticed all the same.
    await run(superuser, "alter role shop password 'a new one'");
    const rotated = target.withLogin("shop", "a new one");
    assert.deepEqual(await setUp(rotated), { keptBy: undefined });
    assert.deepEqual(await open(rotated), LOGINS);
    await session.end({ timeout: 1 });
  },
);

test(
  "a second database that not everybody may connect to: the dry run says what set-up would give",
  options,
  async () => {
    const { newDatabase, superuser } = await server();
    await setUp(await newDatabase("first"));
    const target = await newDatabase("guarded");
    await run(superuser, "revoke connect on database guarded from public");
    const pending = await pendingOf(target);
    assert.match(describe(pending).roles, /^differ: coupon_admin, coupon_api, coupon_monitor, coupon_owner$/);
    assert.deepEqual(pending.logins, []);
    assert.deepEqual(await setUp(target), { keptBy: undefined });
    assert.deepEqual(await open(target), LOGINS);
  },
);

test("a password that has expired: set-up gives it anew, for good", options, async () => {
  const { newDatabase, superuser } = await startShop();
  const target = await newDatabase("expired");
  await setUp(target);
  await run(
    superuser,
    "alter role coupon_api valid until '2020-01-01Z'; alter role coupon_admin valid until '2999-01-01Z'",
  );
  assert.deepEqual(await setUp(target), { keptBy: undefined });
  assert.deepEqual(await open(target), LOGINS);
  const until =
    "select rolname, rolvaliduntil::text from pg_roles where rolname = any('{coupon_api, coupon_admin}') order by 1";
  assert.deepEqual(await rows(superuser, until), [
    ["coupon_admin", "2999-01-01 00:00:00+00"],
    ["coupon_api", "infinity"],
  ]);
});

test(
  "roles that were copied from another server: the number of the record is another role's here",
  options,
  async () => {
    const { newDatabase, superuser } = await startShop();
    const target = await newDatabase("moved");
    await setUp(target);
    // As pg_dumpall copies it: on a new server the first role that it makes has the number that the first login had.
    const record = "its logins have passwords from login shop (oid %s)";
    await run(
      superuser,
      `do $$ begin execute format('comment on role coupon_owner is %L', format('${record}', 'coupon_admin'::regrole::oid)); end $$`,
    );
    await run(superuser, "alter role shop password 'a new one'");
    const rotated = target.withLogin("shop", "a new one");
    assert.deepEqual(await setUp(rotated), { keptBy: undefined });
    assert.deepEqual(await open(rotated), LOGINS);
    assert.deepEqual(await rows(superuser, RECORD), [["its logins have passwords from login shop"]]);
  },
);

test("coupon_owner has another name: said, and no other one is made", options, async () => {
  const { newDatabase, superuser } = await startShop();
  const target = await newDatabase("misnamed");
  await setUp(target);
  await run(superuser, 'alter role coupon_owner rename to "Owner 2"');
  const rename = 'alter role "Owner 2" rename to coupon_owner';
  const message = `role coupon_owner is called "Owner 2", and set-up would make another one beside it: run '${rename}' first`;
  for (const work of [setUp, pendingOf, examine]) await assert.rejects(work(target), { message }, work.name);
  assert.deepEqual(await rows(superuser, "select rolname from pg_roles where rolname = 'coupon_owner'"), []);
  await run(target, rename);
  assert.deepEqual(await setUp(target), { keptBy: undefined });
});

test("no password stands in pg_stat_statements, nor in a log that has all statements", options, async (t) => {
  const { target: superuser, end } = await launch(await initCluster(process.env["SCRATCH_BIN"] ?? bin), [
    "shared_preload_libraries=pg_stat_statements",
    // With a verifier that the server made of a password nobody could log in: pg_hba.conf asks for SCRAM.
    "password_encryption=md5",
  ]);
  t.after(() => end("SIGQUIT"));
  await run(
    superuser,
    `create extension pg_stat_statements;
    set password_encryption = 'scram-sha-256';
    create role shop login createrole password 'secret'`,
  );
  await run(superuser, "create database watched owner shop encoding 'UTF8' template template0");
  const target = superuser.withLogin("shop", "secret").on("watched");
  assert.deepEqual(await setUp(target), { keptBy: undefined });
  assert.deepEqual(await open(target), LOGINS);
  const said = await rows(superuser, "select query from pg_stat_statements where query ~* 'login password'");
  assert.deepEqual(said.map(([query]) => `${query}`.replace(/\$.*/, "")).sort(), [
    "alter role coupon_admin login password 'SCRAM-SHA-256",
    "alter role coupon_api login password 'SCRAM-SHA-256",
  ]);
  for (const login of LOGINS)
    assert.doesNotMatch(JSON.stringify(said), new RegExp(target.as(login).password));
});

test("a provider's PostgreSQL that takes passwords alone", options, async () => {
  const { newDatabase, superuser } = await startShop();
  const target = await newDatabase("strict");
  await setUp(target);
  await run(superuser, "alter role shop password 'a new one'");
  const rotated = target.withLogin("shop", "a new one");
  let refused = 0;
  const opened = await withConnection(rotated, (sql) => {
    const really = sql.begin.bind(sql);
    const begin = (work: (all: unknown) => Promise<unknown>) =>
      really((all) =>
        work({
          unsafe(statement: string) {
            if (!statement.includes("SCRAM-SHA-256$")) return all.unsafe(statement);
            refused += 1;
            return all.unsafe("do $$ begin raise 'passwords alone' using errcode = 'XX000'; end $$");
          },
        }),
      );
    return openLogins(Object.assign(sql, { begin }) as typeof sql, rotated, false, () => {});
  });
  assert.deepEqual([opened, refused], [{ keptBy: undefined }, 1]);
  assert.deepEqual(await open(rotated), LOGINS);
});
