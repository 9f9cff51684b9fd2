import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { options } from "../../bench/harness/debian.ts";
import { newDataDir } from "../../bench/harness/embedded.ts";
import { printed } from "../../bench/harness/printed.ts";
import { nothingRuns, runSd } from "../../bench/harness/sd.ts";
import { PASSWORD, rows, startShop } from "../../bench/harness/shop.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { embeddedStatus } from "../../db/embedded/embedded.ts";
import { SOURCES } from "../../db/setup.ts";
import { readEnv } from "../env.ts";
import { sql } from "./sql.ts";
import { status } from "./status.ts";
import { stop } from "./stop.ts";

after(cleanUp);

test("./sd on the embedded database: it runs until ./sd stop, and commands start it for themselves", async (t) => {
  const dataDir = await newDataDir();
  const env = readEnv({ DATA_DIR: dataDir, PORT: "1" }, "");
  const shown = () => printed(t, () => status(env));
  assert.deepEqual((await shown()).slice(0, 3), [
    `data        ${dataDir}`,
    "database    embedded, not made yet",
    "settings",
  ]);
  assert.deepEqual(await printed(t, () => stop(env)), ["nothing was running"]);
  await assert.rejects(fs.stat(dataDir), { code: "ENOENT" });

  const made = await runSd([], { dataDir, env: { SEED: "off" } });
  assert.match(made.stderr, /^creating a PostgreSQL cluster in .*\n$/);
  assert.equal(made.status, 0);
  assert.match(made.stdout, /^the database runs until \.\/sd stop; \.\/sd start serves\n$/m);

  const { port } = await embeddedStatus({ dataDir });
  const migrations = (await fs.readdir(SOURCES.migrations)).sort();
  const lines = (await shown()).map((line) =>
    line
      .replace(/^(time zone +)UTC, .*/, "$1UTC, <whose rules>")
      .replace(
        /^(functions +)set \d+ here, \d+ in the database; \d+/,
        "$1set <n> here, <n> in the database; <n>",
      )
      .replace(/\d+\.\d+\.\d+(?= (here|in the database))/g, "<version>"),
  );
  assert.deepEqual(lines.slice(0, lines.indexOf("settings")), [
    `data        ${dataDir}`,
    `database    embedded, PostgreSQL 18.4 at 127.0.0.1:${port}/coupon`,
    "version     <version> here, <version> in the database",
    `migrations  ${migrations.length} applied, the newest ${migrations.at(-1)?.split("_")[0]}; none pending`,
    "roles       as in the files",
    "functions   set <n> here, <n> in the database; <n>, as in the files",
    "rights      as in the files",
    "server      none is connected",
    "commit      waits for this server only",
    "transaction none is open",
    "locks       none is waited for",
    "time zone   UTC, <whose rules>",
    "content     0 users, 0 coupons live",
    "plan        0 coupons a week, no day is filled",
  ]);

  assert.deepEqual(await printed(t, () => stop(env)), ["stopped the embedded PostgreSQL"]);
  await nothingRuns(dataDir);
  const count = () => sql(env, ["select count(*) as n from coupon.coupons"]);
  assert.deepEqual(await printed(t, count), [" n", "---", " 0", "(1 row)"]);
  await nothingRuns(dataDir);
});

test("./sd on DATABASE_URL: set-up, SEED, a sentence and status 1 when it can't", options, async () => {
  const { newDatabase } = await startShop();
  const target = await newDatabase("entrance");
  const dataDir = join(await temporaryDirectory(), "data");
  const sd = (url: string, SEED = "") => runSd([], { dataDir, env: { DATABASE_URL: url, SEED } });

  assert.equal((await sd(target.url)).status, 0);
  const admin = target.as("coupon_admin");
  const counts = `
    select (select count(*)::integer from coupon.users), (select count(*)::integer from coupon.coupons)`;
  assert.deepEqual(await rows(admin, counts), [[0, 0]]);

  const elsewhere = { DATABASE_URL: target.url, JWT_JWKS_URL: "https://id.example/keys" };
  const unsigned = join(await temporaryDirectory(), "data");
  assert.equal((await runSd([], { dataDir: unsigned, env: elsewhere })).status, 0);
  await assert.rejects(fs.stat(unsigned), { code: "ENOENT" }, "who signs elsewhere needs no secret here");

  const { stdout } = await sd(target.url, "demo");
  assert.match(stdout, /^ {2}seeded 100000 users, 6 coupons$/m);
  assert.deepEqual(await rows(admin, counts), [[100_000, 6]]);
  assert.deepEqual(await fs.readdir(dataDir), ["token.secret"], "no embedded database was made");
  assert.ok(
    !stdout.includes("100%") && !stdout.includes(encodeURIComponent(PASSWORD)),
    "no password is printed",
  );

  assert.deepEqual(await rows(admin, "select outcome from forget_user(1, 'asked for it')"), [["forgotten"]]);
  const own = await sd(target.url, "demo");
  assert.match(
    own.stdout,
    /^ {2}SEED=demo: nothing was made, since the database has users or coupons of its own$/m,
  );
  assert.deepEqual(await rows(admin, counts), [[99_999, 6]]);

  const wrong = await sd(target.withLogin("shop", "a wrong password").url);
  assert.equal(
    wrong.stderr,
    `sd: shop can't log in at ${target.host}: correct the password in DATABASE_URL\n`,
  );
  assert.equal(wrong.status, 1);
});
