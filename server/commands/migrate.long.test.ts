import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { readEnv } from "../env.ts";
import { migrate } from "./migrate.ts";

after(cleanUp);

test("migrate: a dry run says what it would do, and then it is done, without the demo", async (t) => {
  const { setupUrl, owner, drop } = await scratchDatabase();
  t.after(drop);
  const env = readEnv({ DATABASE_URL: setupUrl, DATA_DIR: await temporaryDirectory() }, "");
  await printed(t, () => migrate(env, [])); // a copy of a database has lost the roles' rights on the database itself
  const [migrations, roles, functions, ...rest] = await printed(t, () => migrate(env, ["--dry-run"]));
  assert.match(migrations ?? "", /^migrations {2}\d+ applied, the newest \d{14}; none pending$/);
  assert.equal(roles, "roles       as in the files");
  assert.match(functions ?? "", /^functions {3}set \d+ here, \d+ in the database; \d+, as in the files$/);
  assert.deepEqual(rest, ["rights      as in the files", "nothing to do"]);

  await owner`drop function wallet(bigint, date, integer)`;
  const [set] = functions?.split("; ") ?? [];
  assert.deepEqual((await printed(t, () => migrate(env, ["--dry-run"]))).slice(2), [
    `${set}; missing: wallet(bigint,date,integer)`,
    "rights      as in the files",
    "nothing was changed: this was a dry run",
  ]);
  const [last, ...steps] = (await printed(t, () => migrate(env, []))).reverse();
  assert.deepEqual(steps.reverse(), ["  roles", "  migrations", "  functions"]);
  assert.match(last ?? "", /^set up in [\d.]+ s$/);
  assert.equal((await printed(t, () => migrate(env, ["--dry-run"]))).at(-1), "nothing to do");
  const [users] = await owner`select count(*)::integer as n from coupon.users`;
  assert.equal(users?.["n"], 0, "no demo");
  await assert.rejects(migrate(env, ["--dry"]), {
    message: "usage: ./sd migrate [--dry-run | --new-passwords]",
  });
});

test("a dry run where there is no embedded database yet makes none", async (t) => {
  const dataDir = join(await temporaryDirectory(), "data");
  const env = readEnv({ DATA_DIR: dataDir }, "");
  assert.deepEqual(await printed(t, () => migrate(env, ["--dry-run"])), [
    "database    embedded, not made yet: ./sd migrate makes it",
  ]);
  await assert.rejects(stat(dataDir), { code: "ENOENT" });
});
