/** What set-up makes, by whom it may be done, and what it says where it can't. ways.long.test.ts has the ways to a database. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { startCluster } from "../bench/harness/cluster.ts";
import { options } from "../bench/harness/debian.ts";
import { embeddedBin } from "../bench/harness/nodes.ts";
import { runSd } from "../bench/harness/sd.ts";
import {
  allVersions,
  PASSWORD,
  rows,
  run,
  SCHEMA_VERSIONS,
  type Shop,
  startShop,
  stock,
} from "../bench/harness/shop.ts";
import { temporaryDirectory } from "../bench/harness/temporary.ts";
import { connect } from "./connect.ts";
import { examine } from "./doctor.ts";
import { describe, isNothing, pendingOf } from "./pending.ts";
import { setUp } from "./setup.ts";
import { LOGINS, type Target, targetOf } from "./target.ts";

after(cleanUp);

let shared: Promise<Shop> | undefined;

/** One server for all but those who need a fresh one. */
function server(): Promise<Shop> {
  shared ??= startShop([
    "host closed coupon_api 127.0.0.1/32 reject",
    "host all all 127.0.0.1/32 scram-sha-256",
  ]);
  return shared;
}

test(
  "eight at once, of two databases on a fresh server, by a login that is no superuser",
  options,
  async () => {
    const { newDatabase, superuser } = await server();
    const targets = [await newDatabase("shop"), await newDatabase("other")];
    await Promise.all([...targets, ...targets, ...targets, ...targets].map((target) => setUp(target)));

    for (const target of targets) {
      assert.deepEqual(await rows(target, SCHEMA_VERSIONS), await allVersions());
      for (const login of LOGINS)
        assert.deepEqual(await rows(target.as(login), "select current_user, current_database()"), [
          [login, target.database],
        ]);
    }
    assert.deepEqual(
      await rows(
        superuser,
        `select rolname, rolcanlogin, rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication
      from pg_roles where rolname like 'coupon%' order by rolname`,
      ),
      [
        ["coupon_admin", true, false],
        ["coupon_api", true, false],
        ["coupon_monitor", false, false],
        ["coupon_owner", false, false],
      ],
    );
  },
);

test("the server is of the version that the tests run on", options, async () => {
  const { superuser } = await server();
  const asked = process.env["SCRATCH_BIN"] && process.env["SCRATCH_SERVER_URL"];
  const version = "show server_version";
  assert.deepEqual(await rows(superuser, version), await rows(asked ? targetOf(asked) : superuser, version));
});

test("again: nothing is made anew", options, async () => {
  const { newDatabase, superuser } = await server();
  const target = await newDatabase("again");
  const everything = `
    select oid::text, relacl::text from pg_class where relnamespace = 'coupon'::regnamespace
    union all select oid::text, proacl::text from pg_proc
      where pronamespace in ('public'::regnamespace, 'coupon'::regnamespace)
    union all select oid::text, xmin::text from pg_type where typnamespace = 'public'::regnamespace
    union all select oid::text, datacl::text from pg_database
    union all select member::text, roleid::text from pg_auth_members
    union all select rolname, rolpassword from pg_authid where rolname like 'coupon%'
    order by 1, 2`;
  await setUp(target);
  const before = await rows(superuser.on("again"), everything);
  const steps: string[] = [];
  await setUp(target, (step) => steps.push(step));
  assert.deepEqual(await rows(superuser.on("again"), everything), before);
  assert.ok(before.length > 50, "there is something to compare");
  assert.deepEqual(steps, ["roles", "migrations", "functions"]);
});

test("coupon_api issues, and can do nothing else", options, async () => {
  const { newDatabase } = await server();
  const target = await newDatabase("api");
  await setUp(target);
  await stock(target);
  const api = target.as("coupon_api");

  assert.deepEqual(
    await rows(api, "select outcome, position from issue_coupon(user_id => 2, coupon_id => 1)"),
    [["issued", 1]],
  );
  assert.deepEqual(
    await rows(target.as("coupon_admin"), "select outcome, position from issue_coupon(2, 1)"),
    [["already_issued", 1]],
  );
  assert.deepEqual(await rows(api, "select current_user, session_user"), [["coupon_api", "coupon_api"]]);

  const forbidden = [
    ...["settings", "users", "coupons", "user_coupons", "audit", "schema_migrations"].flatMap((table) => [
      `select from coupon.${table}`,
      `delete from coupon.${table}`,
    ]),
    "set role coupon_owner",
    "set role coupon_admin",
    "set role shop",
    "create table mine (id integer)",
    "create schema mine",
    "select reconcile()",
    "select set_time_zone('UTC')",
    "select coupon.lock_issuing(1)",
  ];
  for (const statement of forbidden)
    await assert.rejects(run(api, statement), { code: "42501" }, `refused: ${statement}`);
});

/** Everything that set-up made and that doesn't belong to coupon_owner. */
const STRANGERS = `
  select 'relation', oid::regclass::text from pg_class
  where relnamespace in ('coupon'::regnamespace, 'public'::regnamespace) and relowner <> 'coupon_owner'::regrole
  union all
  select 'function', oid::regprocedure::text from pg_proc
  where pronamespace in ('coupon'::regnamespace, 'public'::regnamespace) and proowner <> 'coupon_owner'::regrole
  union all
  select 'type', oid::regtype::text from pg_type
  where typnamespace in ('coupon'::regnamespace, 'public'::regnamespace) and typowner <> 'coupon_owner'::regrole
  union all
  select 'schema', nspname from pg_namespace where nspname = 'coupon' and nspowner <> 'coupon_owner'::regrole`;

test("everything belongs to coupon_owner", options, async () => {
  const { newDatabase } = await server();
  const target = await newDatabase("owned");
  await setUp(target);
  assert.deepEqual(await rows(target, STRANGERS), []);
  await run(target, "create function public.mine() returns integer language sql as 'select 1'");
  assert.deepEqual(await rows(target, STRANGERS), [["function", "mine()"]], "the check finds one");
});

test(
  "a superuser's URL works as well; then another login's, which may act as the roles",
  options,
  async () => {
    const { newDatabase, superuser } = await startShop();
    await newDatabase("supers");
    const target = superuser.on("supers");
    for (let time = 1; time <= 2; time++) assert.deepEqual(await setUp(target), { keptBy: undefined });
    assert.deepEqual(await rows(target, STRANGERS), []);
    await stock(target);
    assert.deepEqual(await rows(target.as("coupon_api"), "select outcome from issue_coupon(1, 1)"), [
      ["issued"],
    ]);

    await run(
      superuser,
      `create role keeper login createrole password 'k';
    grant coupon_admin, coupon_api, coupon_monitor, coupon_owner to keeper with admin option`,
    );
    await newDatabase("keeper", "owner keeper encoding 'UTF8'");
    // A database that is called like the login need not be named.
    for (const url of [`postgres://keeper:k@${superuser.host}`, `postgres://keeper:k@${superuser.host}/`]) {
      assert.deepEqual(await setUp(targetOf(url)), { keptBy: "login postgres" });
      assert.deepEqual(await rows(target.on("keeper").as("coupon_api"), "select current_database()"), [
        ["keeper"],
      ]);
    }
  },
);

test("what is missing is said in one sentence, without a password", options, async (t) => {
  const { newDatabase, superuser } = await server();
  const { host } = superuser;
  const shop = await newDatabase("rights");
  await setUp(shop);
  await newDatabase("ascii", "owner shop encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'");
  await newDatabase("elder");
  await run(superuser.on("elder"), "alter schema public owner to postgres");
  await run(
    superuser,
    `create role "my guest" login createrole password 'secret';
    create role member login password 'secret';
    grant coupon_owner, coupon_api, coupon_admin, coupon_monitor to member`,
  );
  for (const [database, owner] of [
    ["guests", '"my guest"'],
    ["members", "member"],
  ])
    await newDatabase(database as string, `owner ${owner} encoding 'UTF8'`);
  await setUp(shop);

  const cases: Record<string, [target: Target, message: string]> = {
    "another's roles": [
      superuser.withLogin("my guest", "secret").on("guests"),
      '"my guest" may not act as coupon_admin, coupon_api, coupon_monitor, coupon_owner, with which login shop set up other ' +
        "databases of this server: give DATABASE_URL as shop, or of another server",
    ],
    "no createrole, on roles that are there with other passwords": [
      superuser.withLogin("member", "secret").on("members"),
      "member may not give coupon_api and coupon_admin a password: as superuser run " +
        '"alter role member createrole; grant coupon_owner, coupon_api, coupon_admin to member with admin option"',
    ],
    "another's database": [
      superuser.withLogin("member", "secret").on("rights"),
      'member may not create in database rights: as superuser run "alter database rights owner to member"',
    ],
    "a schema public from before PostgreSQL 15": [
      superuser.withLogin("shop", PASSWORD).on("elder"),
      "shop may not create in schema public, which postgres owns: as superuser run in database elder " +
        '"alter schema public owner to pg_database_owner"',
    ],
    SQL_ASCII: [
      superuser.withLogin("shop", PASSWORD).on("ascii"),
      "database ascii has encoding SQL_ASCII: make one with encoding 'UTF8'",
    ],
    "wrong password": [
      superuser.withLogin("shop", "secret").on("rights"),
      `shop can't log in at ${host}: correct the password in DATABASE_URL`,
    ],
    "no password": [
      superuser.withLogin("shop", "").on("rights"),
      `shop can't log in at ${host}: correct the password in DATABASE_URL`,
    ],
    "no such login": [
      superuser.withLogin("nobody", "secret").on("rights"),
      `nobody can't log in at ${host}: correct the password in DATABASE_URL`,
    ],
    "no such database": [
      superuser.withLogin("shop", PASSWORD).on("no such"),
      `there is no database no such at ${host}: create it, owned by shop, or correct DATABASE_URL`,
    ],
    "nothing listens": [
      targetOf("postgres://shop:secret@127.0.0.1:1/shop"),
      "no PostgreSQL answers at 127.0.0.1:1 (ECONNREFUSED): start it, or correct DATABASE_URL",
    ],
    "nothing listens, on either address of a name": [
      targetOf("postgres://shop:secret@localhost:1/shop"),
      "no PostgreSQL answers at localhost:1 (ECONNREFUSED): start it, or correct DATABASE_URL",
    ],
    "no such host": [
      targetOf("postgres://shop:secret@no-such-host.invalid/shop"),
      "there is no host no-such-host.invalid: correct DATABASE_URL",
    ],
  };
  for (const [name, [target, message]] of Object.entries(cases))
    await t.test(name, async () => {
      await assert.rejects(
        setUp(target, () => {}, { newPasswords: target.login === "member" }),
        (error: Error) => {
          assert.equal(error.message, message);
          return true;
        },
      );
    });
});

test(
  "coupon_api is kept out from here, as pg_hba.conf may: all is done, and nobody is locked out",
  options,
  async () => {
    const { newDatabase, superuser } = await server();
    const [closed, neighbour] = [await newDatabase("closed"), await newDatabase("beside")];
    await setUp(neighbour);
    const session = connect(neighbour.as("coupon_api"));
    await session`select 1`;
    const why = 'pg_hba.conf rejects connection for host "127.0.0.1", user "coupon_api", database "closed"';
    for (let time = 1; time <= 2; time++) {
      const lines: string[] = [];
      const left = await setUp(closed, (line) => lines.push(line));
      assert.match(left.barred ?? "", new RegExp(`^${why}, (no|SSL) encryption$`));
      assert.equal(lines.at(-1), `coupon_api can't log in from here: ${left.barred}`);
      assert.ok(!lines.some((line) => /new password/.test(line)), "its sessions go on");
    }
    assert.deepEqual([...(await session`select 1 as one`)], [{ one: 1 }]);
    await session.end({ timeout: 1 });
    assert.equal(isNothing(await pendingOf(closed)), true);
    assert.deepEqual(
      (await examine(closed)).filter(({ what }) => /coupon_api/.test(what)),
      [],
    );
    // Its servers, elsewhere, may have a URL of their own.
    const dataDir = await temporaryDirectory();
    const refused = await runSd(["start"], { dataDir, env: { DATABASE_URL: closed.url } });
    assert.equal(refused.status, 1);
    assert.match(
      refused.stderr,
      new RegExp(`^sd: the server can't log in: ${why}, .* Let pg_hba.conf accept coupon_api`),
    );
    const { status, stderr } = await runSd(["migrate"], { dataDir, env: { DATABASE_URL: closed.url } });
    assert.deepEqual([status, stderr], [0, ""]);
    // So does a release that only serves, since it is older than the database.
    await run(superuser.on("closed"), "insert into coupon.schema_migrations values ('29990101000000')");
    const serving = await runSd(["start"], { dataDir, env: { DATABASE_URL: closed.url } });
    assert.match(serving.stdout, /this one changes nothing there and only serves/);
    assert.match(serving.stderr, new RegExp(`^sd: the server can't log in: ${why}, `));
    await run(superuser, "drop database closed");
  },
);

test(
  "by the socket as the system's user, without a password: logins that got their own keep them",
  options,
  async () => {
    const { superuser } = await startShop([
      "host all shop 127.0.0.1/32 trust",
      "host all all 127.0.0.1/32 scram-sha-256",
    ]);
    await run(superuser, "create database coupons owner shop encoding 'UTF8' template template0");
    const target = superuser.withLogin("shop", "").on("coupons");
    const first = await setUp(target);
    assert.match(first.barred ?? "", /coupon_api/);
    await run(superuser, "alter role coupon_api password 'its own'");
    const own = connect(target.withLogin("coupon_api", "its own"));
    await own`select 1`;
    assert.equal((await setUp(target)).barred, first.barred);
    assert.deepEqual([...(await own`select 1 as one`)], [{ one: 1 }], "its session goes on");
    assert.deepEqual(await rows(target.withLogin("coupon_api", "its own"), "select current_user"), [
      ["coupon_api"],
    ]);
    await own.end({ timeout: 1 });
  },
);

test("somebody else's schema of our name: said, and nobody is told to take it", options, async () => {
  const { newDatabase, superuser } = await server();
  const target = await newDatabase("taken");
  await run(
    superuser.on("taken"),
    'create role "Ann B"; create schema coupon authorization "Ann B"; create table coupon.coupons ()',
  );
  const message =
    'there is a schema coupon of "Ann B"\'s, and set-up needs that name: give DATABASE_URL of another database';
  for (const work of [setUp, pendingOf, examine]) await assert.rejects(work(target), { message }, work.name);
});

test(
  "a login whose statements may take no time at all: set-up, check and doctor go on",
  options,
  async () => {
    const { newDatabase, superuser } = await startShop();
    const target = await newDatabase("hurried");
    await run(superuser, "alter role shop set statement_timeout = '2ms'");
    await setUp(target);
    const how = { dataDir: await temporaryDirectory(), env: { DATABASE_URL: target.url } };
    for (const [args, says] of [
      [["check"], /^0 broken invariants /],
      [["doctor"], /^setting fsync is off, .*\n1 thing differs\n$/],
    ] as const) {
      const { stdout, stderr } = await runSd(args, how);
      assert.equal(stderr, "");
      assert.match(stdout, says);
    }
    // Of one's own statement it is the login's to say.
    await run(superuser, "alter role coupon_admin set statement_timeout = '2ms'");
    const own = await runSd(["sql", "select pg_sleep(60)"], how);
    assert.equal(own.stderr, "sd: canceling statement due to statement timeout\n");
  },
);

test(
  "a login that does not own the database, or inherits nothing of it: said, with what helps",
  options,
  async () => {
    const { newDatabase, superuser } = await startShop();
    const target = await newDatabase("inherited");
    await run(superuser, "alter role shop noinherit");
    const [[version] = []] = await rows(superuser, "select current_setting('server_version_num')::integer");
    if (Number(version) < 160_000)
      for (const work of [setUp, pendingOf, examine])
        await assert.rejects(work(target), {
          message:
            'shop owns database inherited and may not create in its schema public: as superuser run "alter role shop inherit"',
        });
    await run(superuser, "alter role shop inherit");
    await setUp(target);
    await run(
      superuser.on("inherited"),
      `create role "Ann B" login createrole password 'secret';
    grant coupon_owner, coupon_api, coupon_admin, coupon_monitor to "Ann B" with admin option;
    grant create on database inherited to "Ann B" with grant option;
    grant create on schema public to "Ann B" with grant option;
    grant create on schema public to shop with grant option`,
    );
    const what =
      "schema public is the database owner's, whose rights this login does not have; before that nothing else can be compared";
    assert.deepEqual(await examine(superuser.withLogin("Ann B", "secret").on("inherited")), [
      { what, todo: "give DATABASE_URL as shop" },
    ]);
    await run(superuser, "alter role shop noinherit");
    if (Number(version) < 160_000)
      assert.deepEqual(await examine(target), [{ what, todo: "alter role shop inherit" }]);
  },
);

test("what a login has for the roles that it makes does not keep it from acting as ours, nor from ending their sessions", async () => {
  for (const grant of ["inherit", "set"]) {
    const { target: superuser, stop } = await startCluster(await embeddedBin());
    await run(superuser, "create role shop login createrole password 'secret'");
    await run(superuser, `alter role shop set createrole_self_grant = '${grant}'`);
    await run(superuser, "create database granted owner shop encoding 'UTF8' template template0");
    const target = superuser.withLogin("shop", "secret").on("granted");
    await setUp(target);
    const session = connect(target.as("coupon_api"));
    await session`select 1`;
    await run(superuser, "alter role shop password 'a new one'");
    const lines: string[] = [];
    await setUp(target.withLogin("shop", "a new one"), (line) => lines.push(line));
    assert.equal(lines.at(-1), "coupon_api: a new password, and 1 session of the old one ended", grant);
    await session.end({ timeout: 1 });
    await stop();
  }
});

test("a login that begins as a group, which owns its database: set-up is the login's that the URL names", async () => {
  const { target: superuser, stop } = await startCluster(await embeddedBin());
  await run(superuser, "create role team");
  await run(superuser, "create role shop login createrole password 'secret' in role team");
  await run(superuser, "alter role shop set role = team");
  await run(superuser, "create database shared owner team encoding 'UTF8' template template0");
  const target = superuser.withLogin("shop", "secret").on("shared");
  await setUp(target);
  assert.deepEqual(
    (await examine(target)).filter(({ what }) => !/^setting fsync/.test(what)),
    [],
  );
  await stop();
});

test("a second database whose schema public is not everybody's", options, async () => {
  const { newDatabase, superuser } = await server();
  await setUp(await newDatabase("roles"));
  const target = await newDatabase("hardened");
  const take = (from: string) => run(superuser.on("hardened"), `revoke all on schema public from ${from}`);
  await take("public");
  await setUp(target);
  const ask = () => rows(target.as("coupon_api"), "select count(*)::integer from live_coupons()");
  assert.deepEqual(await ask(), [[0]]);
  await take("coupon_owner, coupon_api");
  assert.equal(describe(await pendingOf(target)).roles, "differ: coupon_api, coupon_owner");
  const found = (await examine(target)).filter(({ what }) => what.startsWith("schema public"));
  assert.deepEqual(found.map(({ what }) => what).sort(), [
    "schema public: right create of coupon_owner is none, should be given",
    "schema public: right usage of coupon_api is none, should be given",
    "schema public: right usage of coupon_owner is none, should be given",
  ]);
  await setUp(target);
  assert.deepEqual(await ask(), [[0]]);
});

test("a database that takes no writes: set-up says so, and the doctor compares it", options, async () => {
  const { newDatabase, superuser } = await server();
  const target = await newDatabase("closing");
  await setUp(target);
  const setting = "default_transaction_read_only";
  for (const place of ["database closing", "role shop in database closing"]) {
    await run(superuser, `alter ${place} set ${setting} = on`);
    const message =
      `the database takes no writes, ${setting} is on: where it may take them again, ` +
      `run "alter ${place} reset ${setting}"`;
    for (const work of [setUp, pendingOf]) await assert.rejects(work(target), { message }, work.name);
    assert.deepEqual(
      (await examine(target)).filter(({ what }) => !/^setting fsync/.test(what)),
      [{ what: `setting ${setting} is on, should be off`, todo: `alter ${place} reset ${setting}` }],
    );
    await run(superuser, `alter ${place} reset ${setting}`);
  }
  const closed = targetOf(`${target.url}?options=-c%20${setting}%3Don`);
  await assert.rejects(setUp(closed), /take that out of the URL or PostgreSQL's configuration$/);
  await setUp(target);
});

test("a login of ours that has another password", options, async () => {
  const { newDatabase } = await server();
  const target = await newDatabase("later");
  await setUp(target);
  await assert.rejects(rows(target.withLogin("coupon_admin", "secret"), "select 1"), {
    message: `coupon_admin can't log in at ${target.host} with this password: ./sd migrate opens it, or says whose password it has`,
  });
});

test("a login that was shut or has another password heals", options, async () => {
  const { newDatabase, superuser } = await server();
  const target = await newDatabase("heals");
  await newDatabase("neighbour");
  await setUp(target);
  const damages = [
    "alter role coupon_api nologin; alter role coupon_admin password 'another'",
    "alter role coupon_api password null; alter role coupon_api reset lock_timeout",
    "alter role coupon_admin nologin; alter role coupon_api set statement_timeout = 0",
    `alter role coupon_api in database ${target.database} set lock_timeout = 0; alter role coupon_api in database ${target.database} set statement_timeout = 0`,
  ];
  for (const damage of damages) {
    await run(superuser, damage);
    // Two databases at once, since a role is the whole server's.
    await Promise.all([setUp(target), setUp(target.on("neighbour"))]);
    assert.deepEqual(
      await rows(
        target.as("coupon_api"),
        "select current_setting('lock_timeout'), current_setting('statement_timeout')",
      ),
      [["2s", "5s"]],
      damage,
    );
    assert.deepEqual(
      await rows(target.as("coupon_admin"), "select current_user"),
      [["coupon_admin"]],
      damage,
    );
  }
});

test("a server that trusts needs no password in the URL", options, async () => {
  const { newDatabase, superuser } = await startShop(["host all all 127.0.0.1/32 trust"]);
  await run(superuser, "create role plain login");
  await newDatabase("plains", "owner plain encoding 'UTF8'");
  await assert.rejects(setUp(superuser.withLogin("plain", "").on("plains")), {
    message: 'plain may not create roles: as superuser run "alter role plain createrole"',
  });
  const target = (await newDatabase("trusting")).withLogin("shop", "");
  for (let time = 1; time <= 2; time++) await setUp(target);
  assert.equal(target.as("coupon_api").url, `postgres://coupon_api@${target.host}/trusting`);
  await stock(target);
  assert.deepEqual(await rows(target.as("coupon_api"), "select outcome from issue_coupon(3, 1)"), [
    ["issued"],
  ]);
});
