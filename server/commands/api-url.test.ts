import assert from "node:assert/strict";
import { test } from "node:test";
import { printed } from "../../bench/harness/printed.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import { targetOf } from "../../db/target.ts";
import { readEnv } from "../env.ts";
import { apiUrl } from "./api-url.ts";

test("api-url: a URL that works, or a sentence", async (t) => {
  const scratch = await scratchDatabase();
  t.after(() => scratch.drop());
  const given = (url: string) => readEnv({ DATABASE_URL: url }, "");
  assert.deepEqual(await printed(t, () => apiUrl(given(scratch.setupUrl))), [scratch.apiUrl]);
  const { host, login, url } = targetOf(scratch.setupUrl).withLogin(scratch.target.login, "another password");
  assert.notEqual(url, scratch.setupUrl);
  await assert.rejects(apiUrl(given(url)), {
    message: `coupon_api can't log in at ${host} with this password: ./sd migrate opens it, or says whose password it has`,
  });
  assert.equal(login, scratch.target.login);
});
