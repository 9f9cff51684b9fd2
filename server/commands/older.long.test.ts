import assert from "node:assert/strict";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { runSd, started, stop } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { SOURCES, setUp } from "../../db/setup.ts";

after(cleanUp);

test("a server of the release before starts again: the newer functions stay, and it serves", async (t) => {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  const functions = join(await temporaryDirectory(), "sql");
  await fs.cp(SOURCES.functions, functions, { recursive: true });
  const edit = async (file: string, change: (text: string) => string) =>
    fs.writeFile(join(functions, file), change(await fs.readFile(join(functions, file), "utf8")));
  await edit("internal/function_set.sql", (text) =>
    text.replace(/^return (\d+);$/m, (_, set) => `return ${Number(set) + 1};`),
  );
  await edit("wallet.sql", (text) => text.replace("begin\n", "begin\n  perform 1;\n"));
  await setUp(scratch.target, () => {}, { functions });
  const wallet = () =>
    scratch.owner`select xmin::text, prosrc from pg_proc where proname = 'wallet'`.then(([row]) => ({
      ...row,
    }));
  const before = await wallet();
  assert.match(before["prosrc"], /perform 1;/);

  const env = {
    DATABASE_URL: scratch.setupUrl,
    SEED: "off",
    JWT_SECRET: "a secret of the tests, long enough for HS256",
    HOST: "127.0.0.1",
  };
  const dataDir = await temporaryDirectory();
  const old = await started({ dataDir, env });
  t.after(() => stop(old));
  assert.match(
    old.stdout,
    /^ {2}the database is of a newer release \(functions \d+, this one has \d+\): .* only serves$/m,
  );
  for (const args of [["migrate"], ["migrate", "--dry-run"], []]) {
    const { status, stderr } = await runSd(args, { dataDir, env });
    assert.equal(status, 1, args.join(" "));
    assert.match(
      stderr,
      /^sd: the database is of a newer release \(functions \d+, this one has \d+\): .* only serves\n$/,
    );
  }
  assert.deepEqual(await wallet(), before);
});
