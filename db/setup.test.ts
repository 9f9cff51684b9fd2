import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { resolveBinary } from "dbmate";
import { as, bin, directory, options, startServer } from "../bench/harness/debian.ts";
import { seed } from "../server/commands/seed.ts";
import { databaseUrl, type Sql, withConnection } from "./connect.ts";
import { setUp } from "./setup.ts";

const MIGRATIONS = fileURLToPath(new URL("./migrations", import.meta.url));
const FUNCTIONS = fileURLToPath(new URL("../sql", import.meta.url));

/** What a URL must encode, a shell would expand and SQL would end at. */
const PASSWORD = `it's "100%" $HOME/@:?#&=\\ é`;

/** One statement or more as whoever the URL says. */
function run(url: string, statements: string): Promise<unknown> {
  return withConnection(url, (sql) => sql.unsafe(statements).simple());
}

async function rows(url: string, statement: string): Promise<unknown[][]> {
  return withConnection(url, async (sql) => [...(await sql.unsafe(statement).values())]);
}

interface Server {
  superUrl: string;
  /** The URL of `shop`, who may create roles, on a new database of its own. */
  newDatabase(name: string, how?: string): Promise<string>;
}

let shared: Promise<Server> | undefined;

/** One server for all but those who need a fresh one. */
function server(): Promise<Server> {
  shared ??= startServer(
    "host closed coupon_api 127.0.0.1/32 reject",
    "host all all 127.0.0.1/32 scram-sha-256",
  ).then(withShop);
  return shared;
}

async function withShop(superUrl: string): Promise<Server> {
  const literal = PASSWORD.replaceAll("'", "''");
  await run(superUrl, `create role shop login createrole nosuperuser password '${literal}'`);
  return {
    superUrl,
    async newDatabase(name, how = "owner shop encoding 'UTF8'") {
      await run(superUrl, `create database ${name} ${how} template template0`);
      return as(superUrl, "shop", PASSWORD, name);
    },
  };
}

/** A live coupon of 10 and the users 1 to 3. */
async function stock(adminUrl: string): Promise<void> {
  await run(
    adminUrl,
    `select * from import_users(array[1, 2, 3], array['Ann', 'Ben', 'Cem']);
    select * from create_coupon('C1', 'm', 'd', now() - interval '1 hour', now() + interval '1 hour', 10)`,
  );
}

const functions = "select count(*)::integer from pg_proc where pronamespace = 'public'::regnamespace";
const SCHEMA_VERSIONS = "select version from coupon.schema_migrations order by version";

const applied = async () => (await fs.readdir(MIGRATIONS)).sort().map((file) => [file.split("_")[0]]);

test(
  "eight at once, of two databases on a fresh server, by a login that is no superuser",
  options,
  async () => {
    const { newDatabase, superUrl } = await server();
    const urls = [await newDatabase("shop"), await newDatabase("other")];
    const logins = await Promise.all([...urls, ...urls, ...urls, ...urls].map((url) => setUp(url)));

    for (const [i, url] of urls.entries()) {
      assert.deepEqual(logins[i + 2], logins[i], "all come to the same logins");
      assert.deepEqual(await rows(url, SCHEMA_VERSIONS), await applied());
    }
    assert.equal(new URL(logins[0]?.apiUrl ?? "").pathname, "/shop");
    assert.equal(new URL(logins[1]?.apiUrl ?? "").pathname, "/other");
    assert.equal(new URL(logins[0]?.apiUrl ?? "").password, new URL(logins[1]?.apiUrl ?? "").password);
    assert.deepEqual(
      await rows(
        superUrl,
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

test(
  "again: nothing is made anew, and the passwords are derived from the login's URL alone",
  options,
  async () => {
    const { newDatabase } = await server();
    const url = await newDatabase("again");
    const everything = `
    select oid::text, relacl::text from pg_class where relnamespace = 'coupon'::regnamespace
    union all select oid::text, proacl::text from pg_proc
      where pronamespace in ('public'::regnamespace, 'coupon'::regnamespace)
    union all select oid::text, xmin::text from pg_type where typnamespace = 'public'::regnamespace
    union all select oid::text, datacl::text from pg_database
    union all select member::text, roleid::text from pg_auth_members
    union all select rolname, rolpassword from pg_authid where rolname like 'coupon%'
    order by 1, 2`;
    const superUrl = databaseUrl((await server()).superUrl, "again");
    const first = await setUp(url);
    const before = await rows(superUrl, everything);
    const steps: string[] = [];
    assert.deepEqual(await setUp(url, (step) => steps.push(step)), first);
    assert.deepEqual(await rows(superUrl, everything), before);
    assert.ok(before.length > 50, "there is something to compare");
    assert.deepEqual(steps, ["roles", "migrations", "functions"]);
    assert.ok(
      ![first.apiUrl, first.adminUrl].some((login) => login.includes("100")),
      "no trace of the login's own",
    );
  },
);

test("coupon_api issues, and can do nothing else", options, async () => {
  const { newDatabase } = await server();
  const url = await newDatabase("api");
  const { apiUrl, adminUrl } = await setUp(url);
  await stock(adminUrl);

  assert.deepEqual(
    await rows(apiUrl, "select outcome, position from issue_coupon(user_id => 2, coupon_id => 1)"),
    [["issued", 1]],
  );
  assert.deepEqual(await rows(adminUrl, "select outcome, position from issue_coupon(2, 1)"), [
    ["already_issued", 1],
  ]);
  assert.deepEqual(await rows(apiUrl, "select current_user, session_user"), [["coupon_api", "coupon_api"]]);

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
    await assert.rejects(run(apiUrl, statement), { code: "42501" }, `refused: ${statement}`);
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
  const url = await newDatabase("owned");
  await setUp(url);
  assert.deepEqual(await rows(url, STRANGERS), []);
  await run(url, "create function public.mine() returns integer language sql as 'select 1'");
  assert.deepEqual(await rows(url, STRANGERS), [["function", "mine()"]], "the check finds one");
});

test("a superuser's URL works as well", options, async () => {
  const { newDatabase, superUrl } = await server();
  await newDatabase("supers");
  const url = databaseUrl(superUrl, "supers");
  const logins = await setUp(url);
  assert.deepEqual(await setUp(url), logins);
  assert.deepEqual(await rows(url, STRANGERS), []);
  await stock(logins.adminUrl);
  assert.deepEqual(await rows(logins.apiUrl, "select outcome from issue_coupon(1, 1)"), [["issued"]]);
});

test("a database that is called like the login need not be named", options, async () => {
  const { superUrl } = await server();
  await run(superUrl, "create role keeper login createrole password 'k'");
  await run(superUrl, "create database keeper owner keeper encoding 'UTF8' template template0");
  const { host } = new URL(superUrl);
  for (const url of [`postgres://keeper:k@${host}`, `postgres://keeper:k@${host}/`]) {
    const { apiUrl } = await setUp(url);
    assert.equal(new URL(apiUrl).pathname, "/keeper");
    assert.deepEqual(await rows(apiUrl, "select current_database()"), [["keeper"]]);
  }
});

test("what is missing is said in one sentence, without a password", options, async (t) => {
  const { newDatabase, superUrl } = await server();
  const { host } = new URL(superUrl);
  const shop = await newDatabase("rights");
  await setUp(shop);
  await newDatabase("ascii", "owner shop encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'");
  await newDatabase("closed");
  await run(
    superUrl,
    `create role plain login password 'secret'; create role "my guest" login createrole password 'secret';
    create role member login password 'secret';
    grant coupon_owner, coupon_api, coupon_admin, coupon_monitor to member`,
  );
  for (const [database, owner] of [
    ["plains", "plain"],
    ["members", "member"],
  ])
    await newDatabase(database as string, `owner ${owner} encoding 'UTF8'`);
  await setUp(shop);

  const cases: Record<string, [url: string, message: string]> = {
    "no createrole": [
      as(superUrl, "plain", "secret", "plains"),
      'plain may not create roles: as superuser run "alter role plain createrole"',
    ],
    "no createrole, on roles that are there with other passwords": [
      as(superUrl, "member", "secret", "members"),
      'member may not give coupon_api its password: as superuser run "alter role member createrole"',
    ],
    "another's database": [
      as(superUrl, "my guest", "secret", "rights"),
      '"my guest" may not create in database rights: as superuser run "alter database rights owner to "my guest""',
    ],
    SQL_ASCII: [
      as(shop, "shop", PASSWORD, "ascii"),
      "database ascii has encoding SQL_ASCII: make one with encoding 'UTF8'",
    ],
    "wrong password": [
      as(superUrl, "shop", "secret", "rights"),
      `shop can't log in at ${host}: correct the password in DATABASE_URL`,
    ],
    "no password": [
      as(superUrl, "shop", "", "rights"),
      `shop can't log in at ${host}: correct the password in DATABASE_URL`,
    ],
    "no such login": [
      as(superUrl, "nobody", "secret", "rights"),
      `nobody can't log in at ${host}: correct the password in DATABASE_URL`,
    ],
    "no such database": [
      as(shop, "shop", PASSWORD, "no such"),
      `there is no database no such at ${host}: create it, owned by shop, or correct DATABASE_URL`,
    ],
    "pg_hba.conf keeps coupon_api out": [
      as(shop, "shop", PASSWORD, "closed"),
      "coupon_api can't log in with a password: let pg_hba.conf accept it, or set API_DATABASE_URL yourself",
    ],
    "nothing listens": [
      "postgres://shop:secret@127.0.0.1:1/shop",
      "no PostgreSQL answers at 127.0.0.1:1 (ECONNREFUSED): start it, or correct DATABASE_URL",
    ],
    "nothing listens, on either address of a name": [
      "postgres://shop:secret@localhost:1/shop",
      "no PostgreSQL answers at localhost:1 (ECONNREFUSED): start it, or correct DATABASE_URL",
    ],
    "no such host": [
      "postgres://shop:secret@no-such-host.invalid/shop",
      "there is no host no-such-host.invalid: correct DATABASE_URL",
    ],
  };
  for (const [name, [url, message]] of Object.entries(cases))
    await t.test(name, async () => {
      await assert.rejects(setUp(url), (error: Error) => {
        assert.equal(error.message, message);
        return true;
      });
    });
});

test("a login of ours that can't log in yet", options, async () => {
  const { newDatabase } = await server();
  const url = await newDatabase("later");
  const { adminUrl } = await setUp(url);
  const { host } = new URL(url);
  const wrong = new URL(adminUrl);
  wrong.password = "secret";
  await assert.rejects(rows(wrong.href, "select 1"), {
    message: `coupon_admin can't log in at ${host} yet: run ./sd, which sets up`,
  });
});

test("a login that was shut or has another password heals", options, async () => {
  const { newDatabase, superUrl } = await server();
  const url = await newDatabase("heals");
  const logins = await setUp(url);
  const damages = [
    "alter role coupon_api nologin; alter role coupon_admin password 'another'",
    "alter role coupon_api password null; alter role coupon_api reset lock_timeout",
    "alter role coupon_admin nologin; alter role coupon_api set statement_timeout = 0",
  ];
  for (const damage of damages) {
    await run(superUrl, damage);
    // Two databases at once, since a role is the whole server's.
    assert.deepEqual((await Promise.all([setUp(url), setUp(databaseUrl(url, "shop"))]))[0], logins, damage);
    assert.deepEqual(
      await rows(
        logins.apiUrl,
        "select current_setting('lock_timeout'), current_setting('statement_timeout')",
      ),
      [["2s", "5s"]],
      damage,
    );
    assert.deepEqual(await rows(logins.adminUrl, "select current_user"), [["coupon_admin"]], damage);
  }
});

async function copyOf(source: string): Promise<string> {
  const copy = join(await directory(), "copy");
  await fs.cp(source, copy, { recursive: true });
  return copy;
}

test("a migration that fails: named, and nothing of it is left", options, async () => {
  const { newDatabase } = await server();
  const url = await newDatabase("migration");
  const migrations = await copyOf(MIGRATIONS);
  const broken = join(migrations, "29990101000000_broken.sql");
  const up = "-- migrate:up\ncreate table coupon.half (id integer);\n";
  await fs.writeFile(broken, `${up}creat table coupon.other_half (id integer);\n-- migrate:down\n`);
  const failure = {
    message: 'db/migrations/29990101000000_broken.sql:3: syntax error at or near "creat" (42601)',
  };
  for (let run = 1; run <= 2; run++) {
    await assert.rejects(
      setUp(url, () => {}, { migrations }),
      failure,
    );
    assert.deepEqual(await rows(url, SCHEMA_VERSIONS), await applied());
    assert.deepEqual(await rows(url, "select to_regclass('coupon.half')::text"), [[null]]);
    assert.deepEqual(await rows(url, functions), [[0]], "no function on half a schema");
  }
  await fs.writeFile(broken, `${up}-- migrate:down\n`);
  await setUp(url, () => {}, { migrations });
  assert.deepEqual(await rows(url, "select to_regclass('coupon.half')::text"), [["coupon.half"]]);
});

test("a function file that fails: named with its line, and no function is replaced", options, async () => {
  const { newDatabase } = await server();
  const url = await newDatabase("functions");
  const sources = { functions: await copyOf(FUNCTIONS) };
  const file = join(sources.functions, "wallet.sql");
  const right = await fs.readFile(file, "utf8");
  const wrongs: Record<string, string> = {
    [`-- one\n\nselect 1 as;\n${right}`]: 'sql/wallet.sql:3: syntax error at or near ";"',
    [`${right}\nselect no_such();`]: `sql/wallet.sql:${right.split("\n").length + 1}: function no_such() does not exist`,
  };
  for (const [wrong, message] of Object.entries(wrongs)) {
    await fs.writeFile(file, wrong);
    await assert.rejects(
      setUp(url, () => {}, sources),
      { message },
    );
    assert.deepEqual(await rows(url, functions), [[0]], "on a new database there is none");
  }

  await setUp(url);
  const before = await rows(
    url,
    `${functions} union all select xmin::text::integer from pg_proc where proname ~ 'coupon'`,
  );
  assert.ok((before[0]?.[0] as number) > 15);
  await assert.rejects(setUp(url, () => {}, sources));
  assert.deepEqual(
    await rows(
      url,
      `${functions} union all select xmin::text::integer from pg_proc where proname ~ 'coupon'`,
    ),
    before,
    "on an old one there are the old ones",
  );
});

/** The database as statements, without what differs from run to run. */
async function dump(url: string): Promise<string> {
  const { stdout } = await promisify(execFile)(join(bin as string, "pg_dump"), ["--schema-only", url]);
  return stdout.replace(/^\\(un)?restrict .*$/gm, "");
}

test("migrations go down one by one, and up again to the same schema", options, async () => {
  const { newDatabase, superUrl } = await server();
  const url = await newDatabase("down");
  // Without the functions, which depend on the types: they are replaced as a whole after every migration anyway.
  const empty = await copyOf(FUNCTIONS);
  await fs.writeFile(join(empty, "manifest.txt"), "");
  const dumps: string[] = [];
  const migrations = await directory();
  const files = (await fs.readdir(MIGRATIONS)).sort();
  for (const file of files) {
    await fs.copyFile(join(MIGRATIONS, file), join(migrations, file));
    await setUp(url, () => {}, { functions: empty, migrations });
    dumps.push(await dump(databaseUrl(superUrl, "down")));
  }
  assert.equal(new Set(dumps).size, files.length, "each migration changes the schema");

  const rollback = () =>
    promisify(execFile)(
      resolveBinary(),
      ["-d", MIGRATIONS, "--migrations-table", "coupon.schema_migrations", "--no-dump-schema", "rollback"],
      { env: { ...process.env, DATABASE_URL: `${url}?sslmode=disable&role=coupon_owner` } },
    );
  for (let left = files.length - 1; left > 0; left--) {
    await rollback();
    assert.deepEqual(await rows(url, SCHEMA_VERSIONS), (await applied()).slice(0, left));
    assert.equal(await dump(databaseUrl(superUrl, "down")), dumps[left - 1], `down to ${files[left - 1]}`);
  }
  await rollback();
  assert.deepEqual(await rows(url, SCHEMA_VERSIONS), [], "down to zero");
  assert.deepEqual(
    await rows(
      url,
      "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'coupon'::regnamespace",
    ),
    [["coupon.schema_migrations"]],
  );

  await setUp(url, () => {}, { functions: empty });
  assert.equal(await dump(databaseUrl(superUrl, "down")), dumps.at(-1), "up again");
  const { adminUrl } = await setUp(url);
  await stock(adminUrl);
  assert.deepEqual(await rows(adminUrl, "select outcome from issue_coupon(1, 1)"), [["issued"]]);
});

const COUPONS = `
  select regexp_replace(c.code, '-.*', ''), c.count, c.live_on - min(c.live_on) over () as day,
    to_char(c.start_time at time zone c.time_zone, 'HH24:MI:SS'), c.expiry at time zone c.time_zone = c.live_on + 2,
    c.code = regexp_replace(c.code, '-.*', '') || to_char(c.live_on, '-YYYYMMDD')
  from coupon.coupons c order by c.start_time`;
const SIX = [
  ["BREAKFAST", 25, 0, "00:00:00", true, true],
  ["LUNCH", 100, 0, "12:00:00", true, true],
  ["DINNER", 1000, 0, "18:00:00", true, true],
  ["BREAKFAST", 25, 1, "00:00:00", true, true],
  ["LUNCH", 100, 1, "12:00:00", true, true],
  ["DINNER", 1000, 1, "18:00:00", true, true],
];
const USERS = "select count(*)::integer, min(id)::integer, max(id)::integer from coupon.users";
const TODAY = "select (clock_timestamp() at time zone time_zone)::date::text from coupon.settings";

test("seed: 100000 users and six coupons, once, by days of the service's zone", options, async () => {
  const { newDatabase } = await server();
  const { adminUrl } = await setUp(await newDatabase("seeds"));
  await run(adminUrl, "select set_time_zone('Pacific/Kiritimati')"); // 14 hours ahead: mostly another day than UTC's
  const seedNow = () => withConnection(adminUrl, (sql: Sql) => seed(sql));

  // As a run left it that was stopped after its first batch.
  await run(
    adminUrl,
    `select count(*) from import_users(
      array(select generate_series(1, 10000)), array(select 'Demo user ' || n from generate_series(1, 10000) n))`,
  );
  const [[before]] = (await rows(adminUrl, TODAY)) as [[string]];
  assert.deepEqual(await seedNow(), { users: 90_000, coupons: 6 });
  const [[today]] = (await rows(adminUrl, TODAY)) as [[string]];
  assert.deepEqual(await rows(adminUrl, USERS), [[100_000, 1, 100_000]]);
  assert.deepEqual(await rows(adminUrl, COUPONS), SIX);
  const [[first]] = (await rows(adminUrl, "select min(live_on)::text from coupon.coupons")) as [[string]];
  assert.ok(first === before || first === today, `${first} is today, ${before} or ${today}`);
  assert.deepEqual(await rows(adminUrl, "select count(*)::integer from reconcile()"), [[0]]);

  // At midnight a new day's three would be made.
  const again = await seedNow();
  const [[later]] = (await rows(adminUrl, TODAY)) as [[string]];
  assert.deepEqual(again, { users: 0, coupons: later === first ? 0 : 3 });
});

test("seed: a database with users of its own is never touched", options, async () => {
  const { newDatabase } = await server();
  const { adminUrl } = await setUp(await newDatabase("own"));
  await run(adminUrl, "select import_users(array[1, 7], array['Ann', 'Demo user 7'])");
  assert.deepEqual(await withConnection(adminUrl, (sql) => seed(sql)), { users: 0, coupons: 0 });
  assert.deepEqual(await rows(adminUrl, USERS), [[2, 1, 7]]);
  assert.deepEqual(await rows(adminUrl, COUPONS), []);
});

test("./sd on DATABASE_URL: set-up, SEED, a sentence and status 1 when it can't", options, async () => {
  const { newDatabase } = await server();
  const url = await newDatabase("entrance");
  const sd = (...[database, more]: [string, Record<string, string>]) =>
    promisify(execFile)(process.execPath, ["--import", "tsx", "server/commands/main.ts", "setup"], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      env: { PATH: process.env["PATH"], DATA_DIR: dataDir, DATABASE_URL: database, ...more },
    });
  const dataDir = join(await directory(), "data");

  await sd(url, { SEED: "off" });
  const { adminUrl } = await setUp(url);
  assert.deepEqual(await rows(adminUrl, USERS), [[0, null, null]]);
  assert.deepEqual(await rows(adminUrl, COUPONS), []);

  const { stdout } = await sd(url, { SEED: "demo" });
  assert.match(stdout, /^ {2}seeded 100000 users, 6 coupons$/m);
  assert.deepEqual(await rows(adminUrl, USERS), [[100_000, 1, 100_000]]);
  assert.deepEqual(await rows(adminUrl, COUPONS), SIX);
  assert.deepEqual(await fs.readdir(dataDir), ["token.secret"], "no embedded database was made");
  assert.ok(!stdout.includes("100%"), "no password in what is printed");

  const wrong = as(url, "shop", "a wrong password", "entrance");
  await assert.rejects(sd(wrong, {}), (error: { code: number; stderr: string; stdout: string }) => {
    assert.equal(
      error.stderr,
      `sd: shop can't log in at ${new URL(url).host}: correct the password in DATABASE_URL\n`,
    );
    assert.equal(error.code, 1);
    return true;
  });
});

test("a server that trusts needs no password in the URL", options, async () => {
  const superUrl = await startServer("host all all 127.0.0.1/32 trust");
  const { newDatabase } = await withShop(superUrl);
  const url = as(await newDatabase("trusting"), "shop", "", "trusting");
  const logins = await setUp(url);
  const { host } = new URL(superUrl);
  assert.deepEqual(logins, {
    apiUrl: `postgres://coupon_api@${host}/trusting`,
    adminUrl: `postgres://coupon_admin@${host}/trusting`,
  });
  assert.deepEqual(await setUp(url), logins);
  await stock(logins.adminUrl);
  assert.deepEqual(await rows(logins.apiUrl, "select outcome from issue_coupon(3, 1)"), [["issued"]]);
});
