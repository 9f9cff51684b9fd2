import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import os, { userInfo } from "node:os";
import { resolve } from "node:path";
import { test } from "node:test";
import { readEnv } from "../server/env.ts";
import { targetOf } from "./target.ts";

const me = userInfo().username;
const URL_OF = "postgres://shop:p@db.example:5432/shop";
const PLACE = { host: ["db.example"], port: [5432], database: "shop", user: "shop", password: "p" };
const driver = (parameters: string) => targetOf(`${URL_OF}?${parameters}`).driverOptions();

test("as providers print them: the driver gets options", () => {
  const taken =
    "sslmode=require&channel_binding=prefer&gssencmode=disable&keepalives=1&keepalives_idle=30&keepalives_interval=10" +
    "&keepalives_count=3&connect_timeout=5&application_name=shop&target_session_attrs=read-write";
  assert.deepEqual(driver(taken), {
    ...PLACE,
    ssl: "require",
    connect_timeout: 5,
    keep_alive: 30,
    connection: { application_name: "shop" },
  });
  assert.deepEqual(driver("keepalives=0&pgbouncer=true&options=-c%20jit%3Doff"), {
    ...PLACE,
    ssl: "prefer",
    keep_alive: null,
    prepare: false,
    connection: { options: "-c jit=off" },
  });
});

test("a user by number alone, as in a container: its name is asked for only where it matters", (t) => {
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  t.mock.method(os, "userInfo", () => {
    throw new Error("uv_os_get_passwd returned ENOENT (no such file or directory)");
  });
  syncBuiltinESMExports();
  const READ_DATABASE_URL = "postgres://standby-1.example,standby-2.example:5433";
  const env = readEnv({ API_DATABASE_URL: URL_OF, READ_DATABASE_URL }, "");
  assert.equal(env.READ_DATABASE_URL, READ_DATABASE_URL);
  assert.throws(() => readEnv({ DATABASE_URL: "postgres://db.example/shop" }, ""), {
    message:
      "the environment is wrong. DATABASE_URL: the user that this runs as has no name: write the login, postgres://login@host",
  });
});

test("files by a relative path: of ours, also for a program that runs elsewhere", () => {
  const files = "sslmode=verify-ca&sslrootcert=package.json&sslcert=/dev/null&sslkey=";
  const target = targetOf(`${URL_OF}?${files}`);
  const { PGSSLROOTCERT, PGSSLCERT, PGSSLKEY } = target.libpqVariables();
  assert.deepEqual([PGSSLROOTCERT, PGSSLCERT, PGSSLKEY], [resolve("package.json"), "/dev/null", ""]);
  const migration = new URL(target.migrationUrl(true, {})).searchParams;
  assert.equal(migration.get("sslrootcert"), resolve("package.json"));
  assert.equal(targetOf(`${URL_OF}?sslrootcert=system`).libpqVariables()["PGSSLROOTCERT"], "system");
});

test("the passphrase of a key: the driver has it, and what can't be given it says so", () => {
  const target = targetOf(`${URL_OF}?sslmode=require&sslcert=/dev/null&sslkey=/dev/null&sslpassword=hush`);
  assert.equal((target.driverOptions().ssl as { passphrase: string }).passphrase, "hush");
  const cure = "can't be given it: name a key without passphrase as sslkey, which nobody else can read";
  assert.throws(() => target.migrationUrl(true, {}), {
    message: `sslpassword: dbmate, which runs the migrations, ${cure}`,
  });
  assert.throws(() => target.libpqVariables(), { message: `sslpassword: psql ${cure}` });
});

test("a pooler is named in either of two ways, and denied in both", () => {
  for (const [named, prepare] of [
    ["pgbouncer=true", false],
    ["prepare=false", false],
    ["pgbouncer=false", undefined],
    ["prepare=true", undefined],
  ] as const)
    assert.equal(driver(named).prepare, prepare, named);
});

test("the driver and psql get the decoded parts", () => {
  for (const [url, host, port, login, password, database] of [
    ["postgres://a%40b:p%25%C3%A9@[::1]:45432/my%20coupons", "::1", 45432, "a@b", "p%é", "my coupons"],
    [
      "postgres://shop@[2001:db8::7]/Coupons-%C3%89?sslmode=disable",
      "2001:db8::7",
      5432,
      "shop",
      "",
      "Coupons-É",
    ],
    ["postgres://shop:p@db.example", "db.example", 5432, "shop", "p", "shop"],
    ["postgres:///coupons", "localhost", 5432, me, "", "coupons"],
  ] as const) {
    const target = targetOf(url);
    const given = target.driverOptions();
    assert.deepEqual(
      [given.host, given.port, given.user, given.password, given.database],
      [[host], [port], login, password, database],
    );
    const { PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE } = target.libpqVariables();
    assert.deepEqual(
      [PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE],
      [host, `${port}`, login, password, database],
    );
  }
});

test("several hosts, paired with ports as libpq does it", () => {
  for (const [given, url, ...places] of [
    ["postgres://a:b@h1:1,h2:2/c", "postgres://a:b@h1:1,h2:2/c", "h1:1", "h2:2"],
    ["postgres://a:b@h1,h2:2/c", "postgres://a:b@h1,h2:2/c", "h1:5432", "h2:2"],
    [
      "postgres://a:b@[::1]:1,h2,[::2]/c",
      "postgres://a:b@[::1]:1,h2,[::2]/c",
      "::1:1",
      "h2:5432",
      "::2:5432",
    ],
    ["postgres://a:b@[fe80::1%25eth0]:1/c", "postgres://a:b@[fe80::1%25eth0]:1/c", "fe80::1%eth0:1"],
    ["postgres://a:b@/c?host=h1,h2&port=7", "postgres://a:b@h1:7,h2:7/c", "h1:7", "h2:7"],
    ["postgres://a:b@h0:1,h9:2/c?host=h1,h2", "postgres://a:b@h1:1,h2:2/c", "h1:1", "h2:2"],
    ["postgres://a:b@/c?host=/x,/y&port=7,", "postgres://a:b@%2Fx:7,%2Fy/c", "/x:7", "/y:5432"],
    ["postgres://a:b@,h2/c", "postgres://a:b@localhost,h2/c", "localhost:5432", "h2:5432"],
  ] as const) {
    const target = targetOf(given);
    assert.equal(target.url, url);
    assert.equal(targetOf(url).url, url, "it can be read again");
    const all = [target, target.as("coupon_api").on("d")].map(({ hosts }) =>
      hosts.map((each) => each.driverOptions()).map(({ host, port }) => `${host}:${port}`),
    );
    assert.deepEqual(all, [places, places]);
  }
  const parameters = "target_session_attrs=read-write&load_balance_hosts=random";
  const target = targetOf(`postgres://a:b@h1:1,h2:2/c?${parameters}`);
  assert.deepEqual([target.host, target.wanted, target.isRandom], ["h1:1,h2:2", "read-write", true]);
  const { PGHOST, PGPORT, PGTARGETSESSIONATTRS, PGLOADBALANCEHOSTS } = target.libpqVariables();
  assert.deepEqual(
    [PGHOST, PGPORT, PGTARGETSESSIONATTRS, PGLOADBALANCEHOSTS],
    ["h1,h2", "1,2", "read-write", "random"],
  );
  assert.equal(targetOf("postgres://a:b@h1,h2/c").libpqVariables()["PGTARGETSESSIONATTRS"], "primary");
});

test("TLS as libpq has it", () => {
  // How the name is compared is seen in tls.long.test.ts.
  const lookedAt = (parameters: string) => {
    const { checkServerIdentity, ...rest } = driver(parameters).ssl as Record<string, unknown>;
    assert.equal(typeof checkServerIdentity, "function");
    return rest;
  };
  assert.deepEqual(lookedAt("sslmode=verify-full&sslrootcert=/dev/null"), {
    rejectUnauthorized: true,
    ca: Buffer.of(),
  });
  assert.equal(driver("sslmode=disable").ssl, false);
  assert.deepEqual(lookedAt("sslrootcert=system"), { rejectUnauthorized: true });
  // With a root certificate, require looks at the server's, and not at its name.
  const required = driver("sslmode=require&sslrootcert=/dev/null").ssl as {
    rejectUnauthorized: boolean;
    checkServerIdentity(): unknown;
  };
  assert.deepEqual([required.rejectUnauthorized, required.checkServerIdentity()], [true, undefined]);
});

test("dbmate and psql get what they know", () => {
  const target = targetOf(`${URL_OF}?sslmode=prefer&channel_binding=prefer&connect_timeout=5&keepalives=1`);
  assert.equal(
    target.migrationUrl(true, { role: "r" }),
    `${URL_OF}?host=db.example&connect_timeout=5&sslmode=require&role=r`,
  );
  const { PGSSLMODE, PGCONNECT_TIMEOUT, PGCHANNELBINDING } = target.libpqVariables();
  assert.deepEqual([PGSSLMODE, PGCONNECT_TIMEOUT, PGCHANNELBINDING], ["prefer", "5", "prefer"]);
});

for (const [parameters, sentence] of [
  ["channel_binding=require", /channel_binding=require: the driver has no channel binding/],
  ["gssencmode=require", /gssencmode=require: the driver has no GSSAPI/],
  ["target_session_attrs=standby", /target_session_attrs=standby: the database must take writes/],
  ["target_session_attrs=read-only", /target_session_attrs=read-only: the database must take writes/],
  ["target_session_attrs=prefer-standby", /=prefer-standby: the database must take writes/],
  ["target_session_attrs=master", /=master: must be one of any, read-write/],
  ["sslmode=on", /sslmode=on: must be one of disable, /],
  ["connect_timeout=soon", /connect_timeout=soon: must look like/],
  ["lock_timeout=1s", /lock_timeout: is not known here.*options=-c name=value/],
  ["hostaddr=192.0.2.1", /hostaddr: write the address as the host/],
  ["ssl=1", /ssl=1: say sslmode/],
  ["port=0", /host and port must be such as/],
] as const)
  test(`refused by name: ${parameters}`, () => {
    for (const name of ["DATABASE_URL", "API_DATABASE_URL"])
      assert.throws(() => readEnv({ [name]: `${URL_OF}?${parameters}` }), sentence);
  });

for (const [url, sentence] of [
  ["postgres://shop:p@h1,h2,h3/shop?port=1,2", /3 hosts and 2 ports/],
  ["postgres://shop:p@h1:1,h2:2/shop?host=h3", /1 hosts and 2 ports/],
  ["postgres://shop:p@h1:1,h2:x/shop", /host and port must be such as/],
  ["postgres://shop:p@h1:1,h2:0/shop", /host and port must be such as/],
  ["postgres://shop:p@h1,%2Frun%2Fpg/shop", /give all by TCP, or all by/],
  ["postgres://shop:p@h1,h2/shop?load_balance_hosts=on", /load_balance_hosts=on: must look like/],
  ["postgres://shop:p@::1/shop", /host and port must be such as/],
  ["postgres://shop:p@h:543210/shop", /host and port must be such as/],
  ["postgres://shop:p@h:65536/shop", /host and port must be such as/],
  ["postgres://shop:hush#@h/shop", /a # must be written as %23/],
  ["postgres://shop:hu%sh@h/shop", /a % must be written as %25/],
  ["postgres://shop:hush%00@h/shop", /a % must be written as %25/],
  ["postgres://shop:hu/sh@h/shop", /must be/],
  ["postgres:shop", /must begin with postgres:/],
] as const)
  test(`refused by a sentence, without its password: ${url}`, () => {
    const error = thrown(() => readEnv({ DATABASE_URL: url }));
    assert.match(error.message, sentence);
    assert.doesNotMatch(error.message, /hu[/%]?sh/);
  });

test("Unix sockets, and places given as parameters", () => {
  const SOCKET = "postgres://shop:p@%2Frun%2Fpg/db";
  for (const [given, url] of [
    ["postgres://shop:p@/db?host=/run/pg", SOCKET],
    ["postgresql://shop:p@%2frun%2fpg/db", SOCKET],
    ["postgres:///db?host=%2Frun%2Fpg&user=shop&password=p", SOCKET],
    ["postgres:///?dbname=db&user=shop&password=p&host=/run/pg", SOCKET],
    [
      "postgres://shop:p@/db?host=/cloudsql/a:b:c&port=6543",
      "postgres://shop:p@%2Fcloudsql%2Fa%3Ab%3Ac:6543/db",
    ],
    [
      "postgres://h?options=-c%20a%3Db&application_name=a+b",
      `postgres://${me}@h/${me}?options=-c%20a%3Db&application_name=a%2Bb`,
    ],
    [
      "postgres://shop:p@h/db?options=-c%20a=b%20-c%20c=d",
      "postgres://shop:p@h/db?options=-c%20a%3Db%20-c%20c%3Dd",
    ],
    ["postgres://shop:p@ss@h/", "postgres://shop:p%40ss@h/shop"],
  ] as const) {
    assert.equal(targetOf(given).url, url);
    assert.equal(targetOf(url).url, url, "it can be read again");
  }
  const target = targetOf(`${SOCKET}?sslmode=require`);
  const { path, ssl } = target.driverOptions();
  assert.deepEqual([target.host, path, ssl], ["/run/pg", "/run/pg/.s.PGSQL.5432", false]);
  assert.equal(target.as("coupon_api").on("other").driverOptions().path, path);
  assert.equal(target.libpqVariables()["PGHOST"], "/run/pg");
  assert.equal(
    target.migrationUrl(false, {}),
    "postgres://shop:p@localhost/db?host=%2Frun%2Fpg&sslmode=disable",
  );
});

test("a certificate that cannot be read", () => {
  assert.throws(() => driver("sslrootcert=/none&sslmode=verify-ca"), {
    message: "sslrootcert: cannot read /none (ENOENT)",
  });
});

test("JDBC's word for TLS", () => {
  assert.equal(driver("ssl=true").ssl, "require");
  for (const both of ["ssl=true&sslmode=prefer", "sslmode=prefer&ssl=true"])
    assert.equal(driver(both).ssl, "prefer");
});

function thrown(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new assert.AssertionError({ message: "nothing was thrown" });
}
