import assert from "node:assert/strict";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { temporaryDirectory } from "../../bench/harness/temporary.ts";
import { createAuthenticate } from "../auth/auth.ts";
import { madeTokenSecret } from "../auth/secret.ts";
import { readEnv } from "../env.ts";
import { tokens } from "./tokens.ts";

after(cleanUp);

for (const [args, expected] of [
  [["--user", "42"], [{ role: "user", user_id: 42, subject: "42" }]],
  [["--service"], [{ role: "service", subject: "service" }]],
  [["--admin"], [{ role: "admin", subject: "admin" }]],
  [["--users", "3-5"], [3, 4, 5].map((id) => ({ role: "user", user_id: id, subject: `${id}` }))],
] as const)
  test(`./sd token ${args.join(" ")}`, async () => {
    const DATA_DIR = await temporaryDirectory();
    const made = await madeTokenSecret(readEnv({ DATA_DIR }));
    assert.equal((await stat(join(DATA_DIR, "token.secret"))).mode & 0o777, 0o600);
    const lines = await tokens(readEnv({ DATA_DIR }), [...args]);
    const byMade = await createAuthenticate(readEnv({ JWT_SECRET: made }));
    assert.deepEqual(await Promise.all(lines.map((token) => byMade(token))), expected);
  });

for (const args of [["--user", "42"], ["--till", "north-3"], ["--metrics"]])
  test(`./sd token ${args.join(" ")}: where no server was started, none is signed and no secret is made`, async () => {
    const DATA_DIR = join(await temporaryDirectory(), "data");
    await assert.rejects(tokens(readEnv({ DATA_DIR }), args), {
      message:
        `there is no ${join(DATA_DIR, "token.secret")} to sign with: ./sd start makes it. ` +
        "Was the server started with another DATA_DIR or JWT_SECRET? Give it here too",
    });
    await assert.rejects(stat(DATA_DIR), { code: "ENOENT" });
  });

test("a secret that is none, cut off or emptied, signs nothing", async () => {
  const DATA_DIR = await temporaryDirectory();
  const path = join(DATA_DIR, "token.secret");
  for (const text of ["", "0123456789\n"]) {
    await writeFile(path, text);
    await assert.rejects(tokens(readEnv({ DATA_DIR }), ["--user", "42"]), {
      message: `${path} has no secret of 32 characters: delete it, and ./sd start makes another one`,
    });
  }
});

const usage =
  "usage: ./sd token --user N | --users A-B | --service | --admin | --metrics\n" +
  '       ./sd token (--service [--scope "issue read use"] | --admin) --name NAME [--days N]\n' +
  "       ./sd token --till NAME [--days N]";
const badName =
  "a key's name begins with a letter or a digit, and has letters, digits, spaces, and . : _ -, 100 at most";
const nameless = "a key needs a --name: it is recorded under it, so that it can be listed and revoked";
for (const [args, message] of [
  [[], usage],
  [["--user", "ann"], usage],
  [["--users", "3"], usage],
  [["--admin", "42"], usage],
  [["--root"], usage],
  [["--till"], usage],
  [["--till", "a", "b"], usage],
  [["--till", "a", "--scope", "read"], usage],
  [["--till", "--days", "9"], usage],
  [["--till", "a/b"], badName],
  [["--till", "a".repeat(101)], badName],
  [["--user", "7", "--scope", "read"], usage],
  [["--admin", "--scope", "read"], usage],
  [["--service", "--scope"], usage],
  [["--service", "--scope", "read", "--scope", "use"], usage],
  [["--service", "--scope", "write"], "a scope has words of issue, read, use, each once"],
  [["--service", "--scope", "read read"], "a scope has words of issue, read, use, each once"],
  [["--service", "--scope", ""], "a scope has words of issue, read, use, each once"],
  [["--service", "--name", " x"], badName],
  [["--service", "--name", "x", "--days", "0"], "--days is 1 to 366"],
  [["--service", "--name", "x", "--days", "367"], "--days is 1 to 366"],
  [["--service", "--scope", "read"], nameless],
  [["--admin", "--days", "9"], nameless],
  [["--user", "0"], "users go from 1 on, and A-B upwards"],
  [["--users", "5-3"], "users go from 1 on, and A-B upwards"],
  [["--users", "1-1000001"], "at most 1000000 tokens at once"],
] as const)
  test(`./sd token ${args.join(" ")}: refused`, async () => {
    const DATA_DIR = await temporaryDirectory();
    await assert.rejects(tokens(readEnv({ DATA_DIR }), [...args]), { message });
    assert.deepEqual(await readdir(DATA_DIR), []);
  });

for (const [name, value] of [
  ["JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\n"],
  ["JWT_JWKS_URL", "https://example.org/jwks.json"],
  ["JWT_ISSUERS", '[{"issuer": "https://id.example", "audience": "shop"}]'],
] as const)
  test(`./sd token: where others sign, by ${name}`, async () => {
    const env = readEnv({ [name]: value });
    await assert.rejects(tokens(env, ["--admin"]), {
      message: `tokens are signed elsewhere: ${name} is set, and no JWT_SECRET; set one to keep the tokens of ./sd`,
    });
    await assert.rejects(tokens(env, ["--metrics"]), {
      message: `there is no /metrics: ${name} is set, and neither METRICS_TOKEN nor JWT_SECRET`,
    });
  });

test("./sd token: a secret of ours signs, whoever else does", async () => {
  const JWT_SECRET = "a secret of the tests, long enough for HS256";
  const JWT_ISSUERS = '[{"issuer": "https://id.example", "audience": "shop"}]';
  const env = readEnv({ JWT_SECRET, JWT_ISSUERS });
  const [token = ""] = await tokens(env, ["--admin"]);
  assert.deepEqual(await (await createAuthenticate(env))(token), { role: "admin", subject: "admin" });
});
