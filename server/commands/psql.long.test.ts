import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { CHECKOUT, ended, environment, runSd, sd, signalGroup, which } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { until } from "../../bench/harness/waiting.ts";
import { readEnv } from "../env.ts";
import { psql } from "./psql.ts";

after(cleanUp);

const options = { skip: which("psql") ? false : "needs psql" };

test("psql as coupon_admin: statements from stdin, its exit status, Ctrl-C", options, async (t) => {
  const { setupUrl, admin, drop } = await scratchDatabase();
  t.after(drop);
  const how = { dataDir: await temporaryDirectory(), env: { DATABASE_URL: setupUrl } };
  const statements = "select current_user;\nselect 1 + 1;\n";
  assert.deepEqual(await runSd(["psql", "-qAt"], how, statements), {
    status: 0,
    stdout: "coupon_admin\n2\n",
    stderr: "",
  });
  assert.equal((await runSd(["psql", "-qAtc", "select no_such()"], how)).status, 1);
  const elsewhere = await temporaryDirectory();
  await writeFile(join(elsewhere, "two.sql"), "select 2;\n");
  const { stdout } = await promisify(execFile)(join(CHECKOUT, "sd"), ["psql", "-qAtf", "two.sql"], {
    cwd: elsewhere,
    env: environment(how) as NodeJS.ProcessEnv,
  });
  assert.equal(stdout, "2\n", "files are the caller's");
  const latin = { ...how, env: { ...how.env, PGCLIENTENCODING: "WIN1252" } };
  assert.equal((await runSd(["psql", "-qAtc", "select length('ü')"], latin)).stdout, "1\n");

  // Ctrl-C cancels the statement, and psql is not killed.
  const run = sd(["psql", "-qAt", "-c", "select pg_advisory_lock(4711), pg_sleep(600)"], how);
  await until(async () => {
    const [row] = await admin`
      select count(*)::integer as n from pg_locks l join pg_database d on d.oid = l.database
      where l.locktype = 'advisory' and l.objid = 4711 and d.datname = current_database()`;
    return row?.["n"] === 1;
  });
  signalGroup(run.child, "SIGINT");
  assert.equal(await ended(run), 1);
  assert.equal(run.stderr, "Cancel request sent\nERROR:  canceling statement due to user request\n");
});

test("psql that isn't there: a sentence", async (t) => {
  const path = process.env["PATH"];
  t.after(() => {
    process.env["PATH"] = path;
  });
  process.env["PATH"] = await temporaryDirectory();
  const env = readEnv({ DATABASE_URL: "postgres://shop:secret@127.0.0.1:1/shop" }, "");
  await assert.rejects(psql(env, ["-c", "select 1"]), {
    message:
      "psql is not on this machine: install it (Debian: apt-get install postgresql-client, macOS: brew install libpq), " +
      "or use ./sd sql 'select …'",
  });
});
