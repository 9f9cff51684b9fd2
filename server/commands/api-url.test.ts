import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { withConnection } from "../../db/connect.ts";
import { targetOf } from "../../db/target.ts";
import { readEnv } from "../env.ts";
import { apiUrl } from "./api-url.ts";

test("api-url: a URL that works, or a sentence", async (t) => {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  const given = (url: string) => readEnv({ DATABASE_URL: url }, "");
  assert.deepEqual(await printed(t, () => apiUrl(given(scratch.setupUrl))), [scratch.apiUrl]);
  // The passwords of the two follow from the login's: another login's are not theirs.
  const other = `coupon_other_${randomBytes(6).toString("hex")}`;
  const server = process.env["SCRATCH_SERVER_URL"] as string;
  const asSetUp = (statement: string) => withConnection(server, (sql) => sql.unsafe(statement));
  await asSetUp(`create role ${other} login password 'another'`);
  t.after(() => asSetUp(`drop role ${other}`));
  const { host, url } = targetOf(scratch.setupUrl).withLogin(other, "another");
  await assert.rejects(apiUrl(given(url)), {
    message: `coupon_api can't log in at ${host} with this password: ./sd migrate opens it, or says whose password it has`,
  });
});
