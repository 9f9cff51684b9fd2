/** ./sd token --name and --till, ./sd keys and ./sd keys revoke, as they are run. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import type { Caller } from "../api/caller.ts";
import { createAuthenticate } from "../auth/auth.ts";
import { readEnv } from "../env.ts";

after(cleanUp);

test("a key is recorded under its name, listed without itself, and revoked", async (t) => {
  const database = await scratchDatabase();
  t.after(() => database.drop());
  const how = { dataDir: await temporaryDirectory(), env: { DATABASE_URL: database.setupUrl } };
  const named = ["--service", "--scope", "use read", "--name", "POS north", "--days", "30"];
  const before = Math.floor(Date.now() / 1000);
  const made = await runSd(["token", ...named], how);
  assert.deepEqual([made.status, made.stderr], [0, ""]);
  const token = made.stdout.trimEnd();
  const { jti, sub, role, scope, iat, exp } = JSON.parse(
    Buffer.from(token.split(".")[1] ?? "", "base64url").toString(),
  );
  assert.deepEqual([sub, role, scope], ["POS north", "service", "use read"]);
  assert.ok(exp >= before + 30 * 86_400 && exp <= iat + 30 * 86_400);
  const recorded = await database.owner`
    select id, name, scope, extract(epoch from expires_at)::integer as expires, revoked_at from coupon.keys`;
  assert.deepEqual(
    [...recorded],
    [{ id: jti, name: "POS north", scope: "use read", expires: exp, revoked_at: null }],
  );
  const listed = await runSd(["keys"], how);
  assert.match(listed.stdout, new RegExp(`\n ${jti} \\| POS north \\| use read \\| .*\n\\(1 row\\)\n$`));
  for (const part of token.split(".").slice(1)) assert.ok(!listed.stdout.includes(part));
  const revoked = await runSd(["keys", "revoke", jti, "stolen"], how);
  assert.deepEqual([revoked.status, revoked.stdout], [0, "revoked: the key of POS north\n"]);
  assert.equal(
    (await runSd(["keys", "revoke", jti], how)).stdout,
    "was revoked before: the key of POS north\n",
  );
  for (const said of [
    /^revoked: the key of nobody that is recorded/,
    /^was revoked before: the key of nobody/,
  ]) {
    const typo = await runSd(["keys", "revoke", "typo"], how);
    assert.match(typo.stdout, said);
    assert.deepEqual([typo.status, typo.stderr], [1, ""]);
  }
  const audit = await database.owner`select command::text, reason from coupon.audit order by id`;
  assert.deepEqual(
    [...audit].map(({ command, reason }) => [command, reason]),
    [
      ["record_key", null],
      ["revoke_key", "stolen"],
      ["revoke_key", null],
    ],
  );
  const wrong = await runSd(["keys", "delete"], how);
  assert.deepEqual([wrong.status, /usage: \.\/sd keys/.test(wrong.stderr)], [1, true]);

  const till = (await runSd(["token", "--till", "north-3"], how)).stdout.trimEnd();
  const authenticate = await createAuthenticate(
    readEnv({ JWT_SECRET: await readFile(join(how.dataDir, "token.secret"), "utf8") }),
  );
  const { key_id, ...caller } = (await authenticate(till)) as Exclude<Caller, { role: "user" }>;
  assert.deepEqual(caller, { role: "till", subject: "north-3" });
  const tills = await database.owner`select id from coupon.keys where name = 'north-3' and scope = 'use'`;
  assert.deepEqual([...tills], [{ id: key_id }]);
});
