import assert from "node:assert/strict";
import { test } from "node:test";
import { readEnv } from "../server/env.ts";
import { targetOf } from "./target.ts";

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
    ["postgres:///coupons", "localhost", 5432, "", "", "coupons"],
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

test("TLS as libpq has it", () => {
  const { ssl } = driver("sslmode=verify-full&sslrootcert=/dev/null");
  assert.deepEqual(ssl, { rejectUnauthorized: true, ca: Buffer.of() });
  assert.equal(driver("sslmode=disable").ssl, false);
  assert.deepEqual(driver("sslrootcert=system").ssl, { rejectUnauthorized: true });
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
  ["sslmode=on", /sslmode=on: must be one of disable, /],
  ["connect_timeout=soon", /connect_timeout=soon: must look like/],
  ["lock_timeout=1s", /lock_timeout: is not known here.*options=-c name=value/],
  ["password=hush", /password: write it at its place/],
] as const)
  test(`refused by name: ${parameters}`, () => {
    for (const name of ["DATABASE_URL", "API_DATABASE_URL"])
      assert.throws(() => readEnv({ [name]: `${URL_OF}?${parameters}` }), sentence);
  });

test("several hosts are refused, by a sentence", () => {
  assert.throws(() => targetOf("postgres://shop:p@h1,h2/shop"), /several hosts: give one/);
});
