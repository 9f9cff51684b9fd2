/** ./sd token --name and --till as they are run, and ./sd keys. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import type { Caller } from "../api/caller.ts";
import { createAuthenticate } from "../auth/auth.ts";
import { madeTokenSecret } from "../auth/secret.ts";
import { readEnv } from "../env.ts";
import { keys } from "./keys.ts";

after(cleanUp);

test("a key is recorded under its name, listed without itself, and revoked", async (t) => {
  const database = await scratchDatabase();
  t.after(() => database.drop());
  const how = { dataDir: await temporaryDirectory(), env: { DATABASE_URL: database.setupUrl } };
  const said = (args: string[], status = 0) =>
    printed(t, () => keys(readEnv({ ...how.env, DATA_DIR: how.dataDir }), args), status);
  const secret = await madeTokenSecret(readEnv({ DATA_DIR: how.dataDir }));
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
  assert.deepEqual(await said(["revoke", jti, "stolen"]), ["revoked: the key of POS north"]);
  assert.deepEqual(await said(["revoke", jti]), ["was revoked before: the key of POS north"]);
  const nobody = "the key of nobody that is recorded: look whether the id is right";
  assert.deepEqual(await said(["revoke", "typo"], 1), [`revoked: ${nobody}`]);
  assert.deepEqual(await said(["revoke", "typo"], 1), [`was revoked before: ${nobody}`]);
  const audit = await database.owner`select command::text, reason from coupon.audit order by id`;
  assert.deepEqual(
    [...audit].map(({ command, reason }) => [command, reason]),
    [
      ["record_key", null],
      ["revoke_key", "stolen"],
      ["revoke_key", null],
    ],
  );
  await assert.rejects(said(["delete"]), /^Error: usage: \.\/sd keys \|/);

  const till = (await runSd(["token", "--till", "north-3"], how)).stdout.trimEnd();
  const authenticate = await createAuthenticate(readEnv({ JWT_SECRET: secret }));
  const { key_id, ...caller } = (await authenticate(till)) as Exclude<Caller, { role: "user" }>;
  assert.deepEqual(caller, { role: "till", subject: "north-3" });
  const tills = await database.owner`select id from coupon.keys where name = 'north-3' and scope = 'use'`;
  assert.deepEqual([...tills], [{ id: key_id }]);
});
