import assert from "node:assert/strict";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { runSd } from "../../bench/harness/sd.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";

after(cleanUp);

test("tokens, one a line; the usage and status 2 otherwise", async () => {
  const dataDir = await temporaryDirectory();
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

test("where the secret can't be kept: an error, status 2", async (t) => {
  if (process.platform !== "linux") return t.skip("needs /proc");
  const { status, stdout, stderr } = await runSd(["token", "--user", "7"], { dataDir: "/proc/x" });
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(stderr, /^sd: ENOENT: .*'\/proc\/x'\n$/);
});
