/** The ways to a database: names, addresses, sockets, paths, and an environment that says otherwise. Each is set up, and served. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import * as fs from "node:fs/promises";
import { connect, createServer, type ListenOptions } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { cleanUp } from "../bench/harness/cleanup.ts";
import { options } from "../bench/harness/debian.ts";
import { checkoutWith, runSd } from "../bench/harness/sd.ts";
import { allVersions, PASSWORD, rows, SCHEMA_VERSIONS, type Shop, startShop } from "../bench/harness/shop.ts";
import { temporaryDirectory } from "../bench/harness/temporary.ts";
import { open as openPool } from "../server/database/session.ts";
import { SOURCES, setUp } from "./setup.ts";
import { targetOf } from "./target.ts";
import { readUrl } from "./url.ts";

after(cleanUp);

let shared: Promise<Shop> | undefined;

/** One server for all. */
function server(): Promise<Shop> {
  shared ??= startShop();
  return shared;
}

test("a database whose name a URL must encode", options, async () => {
  const { newDatabase } = await server();
  for (const name of ["my coupons", "Coupons-É", "100%25 a/b?c#d"]) {
    const target = (await newDatabase(`"${name}"`)).on(name);
    await setUp(target);
    for (const to of [target, target.as("coupon_api"), targetOf(target.url)])
      assert.deepEqual(await rows(to, "select current_database()"), [[name]]);
  }
});

const hasIpv6 = Object.values(networkInterfaces()).some((each) =>
  each?.some(({ address }) => address === "::1"),
);

/** Sets up through a relay that listens there, and connects as the server does. */
async function throughRelay(
  t: TestContext,
  name: string,
  listen: ListenOptions,
  written: (at: string) => string,
) {
  const { newDatabase } = await server();
  const target = await newDatabase(name);
  const port = Number(readUrl(target.url).hosts[0]?.port);
  const relay = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const])
      from
        .on("error", () => {})
        .on("close", () => to.destroy())
        .pipe(to);
  });
  t.after(() => relay.close());
  await new Promise<void>((resolve) => void relay.listen(listen, resolve));
  const at = relay.address();
  const through = targetOf(written(typeof at === "object" ? `${at?.port}` : ""));
  await setUp(through);
  assert.deepEqual(await rows(through.as("coupon_api"), "select current_database()"), [[name]]);
  const pool = openPool(through.as("coupon_api"), 1, { closed() {}, unreplicated() {} });
  t.after(() => pool.end());
  assert.deepEqual([...(await pool`select current_user`.values())], [["coupon_api"]]);
  return through;
}

test("at an IPv6 address", { skip: options.skip || (!hasIpv6 && "needs ::1") }, async (t) => {
  await throughRelay(
    t,
    "six",
    { host: "::1", port: 0 },
    (port) => `postgres://shop:${encodeURIComponent(PASSWORD)}@[::1]:${port}/six`,
  );
});

test("at a Unix socket", options, async (t) => {
  for (const [name, parameters] of [
    ["socket", ""],
    // Over a socket there is no TLS, as for libpq.
    ["other_socket", "&port=6543&sslmode=require&connect_timeout=5"],
  ] as const) {
    const directory = await temporaryDirectory();
    const path = join(directory, `.s.PGSQL.${parameters === "" ? 5432 : 6543}`);
    const url = `postgres://shop:${encodeURIComponent(PASSWORD)}@/${name}?host=${directory}${parameters}`;
    const target = await throughRelay(t, name, { path }, () => url);
    const psql = await promisify(execFile)("psql", ["-Atc", "select current_user"], {
      env: { PATH: process.env["PATH"], ...target.as("coupon_admin").libpqVariables() },
    });
    assert.equal(psql.stdout, "coupon_admin\n");
    await assert.rejects(rows(targetOf(`${url}&port=1`), "select 1"), {
      message: `no PostgreSQL answers at ${directory}:1 (ENOENT): start it, or correct DATABASE_URL`,
    });
  }
});

test("what the environment says to libpq and dbmate means nothing", options, async () => {
  const { newDatabase } = await server();
  const target = await newDatabase("environment");
  const env = {
    ...{
      DATABASE_URL: target.url,
      PGHOSTADDR: "192.0.2.1",
      PGHOST: "192.0.2.1",
      PGPORT: "1",
      PGSERVICE: "none",
    },
    ...{ PGCLIENTENCODING: "WIN1252", PGDATESTYLE: "German", PGTARGETSESSIONATTRS: "any", PGREALM: "none" },
    ...{ PGOPTIONS: "-c statement_timeout=1", PGCHANNELBINDING: "require", DBMATE_STRICT: "none" },
  };
  const how = { dataDir: await temporaryDirectory(), env };
  for (const [args, says] of [
    [["migrate"], /^set up in /m],
    [["psql", "-Atc", "select current_user"], /^coupon_admin$/m],
  ] as const) {
    const { status, stdout, stderr } = await runSd(args, how);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, says);
  }
});

test("a checkout whose path has a comma, and a .env that dbmate can't read", options, async () => {
  const { newDatabase } = await server();
  const target = await newDatabase("comma");
  const migrations = join(await temporaryDirectory(), "a, b é");
  await fs.cp(SOURCES.migrations, migrations, { recursive: true });
  await setUp(target, () => {}, { migrations });
  assert.deepEqual(await rows(target, SCHEMA_VERSIONS), await allVersions());

  const dataDir = await temporaryDirectory();
  const key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2Vw\n-----END PUBLIC KEY-----";
  const checkout = await checkoutWith(`JWT_PUBLIC_KEY=\`${key}\`\n`);
  const env = { DATABASE_URL: (await newDatabase("dotted")).url, ENV_FILE: ".env" };
  const { status, stderr } = await runSd(["migrate"], { dataDir, command: join(checkout, "sd"), env });
  assert.deepEqual([status, stderr], [0, ""]);
});
