import assert from "node:assert/strict";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { madeTokenSecret } from "../auth/secret.ts";
import { readEnv } from "../env.ts";

after(cleanUp);

test("tokens, one a line; the usage and status 2 otherwise", async () => {
  const dataDir = await temporaryDirectory();
  await madeTokenSecret(readEnv({ DATA_DIR: dataDir }, ""));
  const { stdout } = await runSd(["token", "--users", "7-9"], { dataDir });
  const subjects = stdout
    .trimEnd()
    .split("\n")
    .map((token) => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).sub);
  assert.deepEqual(subjects, ["7", "8", "9"]);
  assert.deepEqual(await runSd(["token"], { dataDir }), {
    status: 2,
    stdout: "",
    stderr:
      "sd: usage: ./sd token --user N | --users A-B | --service | --admin | --metrics\n" +
      '       ./sd token (--service [--scope "issue read use"] | --admin) --name NAME [--days N]\n' +
      "       ./sd token --till NAME [--days N]\n",
  });
});
