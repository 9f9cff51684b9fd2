import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { cleanUp } from "../../bench/harness/cleanup.ts";
import { madeDataDir, newDataDir, nobody } from "../../bench/harness/embedded.ts";
import { scratchDatabase } from "../../bench/harness/scratch.ts";
import {
  CHECKOUT,
  ended,
  firstOf,
  nothingRuns,
  processesOf,
  type Run,
  runSd,
  said,
  sd,
  signalGroup,
  started,
  stop,
  which,
} from "../../bench/harness/sd.ts";
import { until } from "../../bench/harness/waiting.ts";
import { stopEmbedded } from "../../db/embedded/embedded.ts";
import { signToken } from "../auth/auth.ts";
import { tokenSecret } from "../auth/secret.ts";
import { readEnv } from "../env.ts";

after(cleanUp);

/** What is remarked where the embedded database is made. */
const MADE = /^(copying .*\n)?creating a PostgreSQL cluster in .*\n$/;

const NO_DEMO = { SEED: "off" };

/** The demo's breakfast coupon of today is live all day. */
const BREAKFAST = `
  select coupon_id::integer from live_coupons() where code ~ '^BREAKFAST' order by start_time desc limit 1`;

async function tokenOf(dataDir: string, userId: number): Promise<string> {
  const env = readEnv({ DATA_DIR: dataDir }, "");
  return signToken(await tokenSecret(env), env, { role: "user", subject: `${userId}` });
}

async function issue(run: Run, token: string, couponId: number) {
  const response = await fetch(`http://127.0.0.1:${run.port}/coupons/${couponId}/issue`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** Pastes a line that a start has printed into a shell. */
async function paste(line: string, { port }: Run, dataDir: string): Promise<string> {
  const pasted = await runSd(["-c", line], { dataDir, port, command: "sh" });
  assert.equal(pasted.status, 0, pasted.stderr);
  return pasted.stdout;
}

test("a first start that Ctrl-C ended, the next one, and one after kill -9 of everything", async (t) => {
  const dataDir = await newDataDir();
  let firstKey: string | undefined;

  await t.test("Ctrl-C while the demo is made leaves nothing running", async () => {
    const run = sd(["start"], { dataDir, port: 0 });
    await said(run, /users$/m);
    signalGroup(run.child, "SIGINT");
    assert.equal(await ended(run), 130);
    assert.match(run.stderr, MADE);
    assert.match(run.stdout, /^embedded PostgreSQL, on loopback: for trying out.*Production: DATABASE_URL$/m);
    await nothingRuns(dataDir);
  });

  await t.test("the next start goes on from there, serves, and ends with Ctrl-C", async () => {
    const run = await started({ dataDir });
    assert.match(run.stdout, /^ {2}seeded \d+ users, 6 coupons$/m);
    assert.equal(await firstOf(dataDir, "select count(*)::integer from coupon.users"), 100_000);
    [, firstKey] = run.stdout.match(/#demo=(\S+)$/m) ?? [];
    assert.match(firstKey ?? "", /^[\w-]{43}$/);
    signalGroup(run.child, "SIGINT");
    assert.equal(await ended(run), 0);
    assert.equal(run.stderr, "");
    await nothingRuns(dataDir);
  });

  const run = await started({ dataDir, port: 0 });
  await t.test("one more makes nothing anew", () =>
    assert.doesNotMatch(run.stdout + run.stderr, /creating|migrated|seeded/),
  );

  await t.test("the link that it prints has the key of the demo; without it there is none", async () => {
    const [, key] = run.stdout.match(/^ {2}http:\/\/localhost:(?!0)\d+\/#demo=(\S+)$/m) ?? [];
    const ask = async (headers: Record<string, string>) => {
      const json = { "content-type": "application/json", ...headers };
      const url = `http://127.0.0.1:${run.port}/demo/token`;
      return (await fetch(url, { method: "POST", headers: json, body: '{"role":"admin"}' })).status;
    };
    assert.equal(await ask({ authorization: `Bearer ${key}` }), 200);
    assert.equal(await ask({}), 404);
    assert.equal(await ask({ authorization: `Bearer ${firstKey}` }), 404, "an earlier start's");
  });

  await t.test("what it prints works when pasted", async (t) => {
    if (!which("curl")) return t.skip("needs curl");
    const lines = run.stdout.split("\n").filter((line) => /^ {2}(curl|\.\/sd) /.test(line));
    assert.deepEqual(
      lines.map((line) => line.trim().split(" ")[0]),
      ["curl", "curl", "./sd", "curl"],
    );
    const [post, list, psql, scrape] = lines as [string, string, string, string];
    assert.match(await paste(scrape, run, dataDir), /^coupon_streams_open 0$/m);
    assert.equal(JSON.parse(await paste(post, run, dataDir)).outcome, "issued");
    assert.equal(JSON.parse(await paste(post, run, dataDir)).outcome, "already_issued");
    assert.ok(JSON.parse(await paste(list, run, dataDir)).coupons.length >= 1);
    if (which("psql")) assert.match(await paste(psql, run, dataDir), /^ +outcome +\|.*\n.*\n issued +\| +2 /);
  });

  await t.test("after kill -9 of everything it recovers, and a grant is still there", async (t) => {
    if (process.platform !== "linux") return t.skip("needs /proc");
    const token = await tokenOf(dataDir, 4711);
    const coupon = Number(await firstOf(dataDir, BREAKFAST));
    const grant = await issue(run, token, coupon);
    assert.equal(grant.status, 201);
    assert.equal(grant.body["outcome"], "issued");

    const all = processesOf(dataDir);
    assert.ok(all.length >= 8, `supervisor, server and PostgreSQL's processes: ${all.length}`);
    for (const pid of all)
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch (error) {
        // Gone with one that was killed before it.
        assert.equal((error as { code?: string }).code, "ESRCH");
      }
    await ended(run);
    await until(() => processesOf(dataDir).length === 0);

    const again = await started({ dataDir });
    const log = await fs.readFile(join(dataDir, "postgres/postgres.log"), "utf8");
    assert.match(log, /database system was not properly shut down; automatic recovery in progress/);
    const { outcome: _, ...same } = grant.body;
    const replay = await issue(again, token, coupon);
    assert.equal(replay.status, 200);
    assert.deepEqual(replay.body, { outcome: "already_issued", ...same });
    await stop(again);
    await nothingRuns(dataDir);
  });
});

test("the demo on another database: nobody is let in by a link", async (t) => {
  const { setupUrl, drop } = await scratchDatabase();
  t.after(drop);
  const env = { DATABASE_URL: setupUrl, SEED: "demo" };
  const run = await started({ dataDir: await newDataDir(), env });
  assert.match(run.stdout, /^ {2}seeded 100000 users, 6 coupons$/m);
  assert.doesNotMatch(run.stdout, /demo=/);
  const response = await fetch(`http://127.0.0.1:${run.port}/demo/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"role":"admin"}',
  });
  assert.equal(response.status, 404);
  await stop(run);
});

test("Ctrl-C just before it serves: it doesn't serve, or no more", async () => {
  const dataDir = await madeDataDir();
  const run = sd(["start"], { dataDir, port: 0, env: NO_DEMO });
  await said(run, "set up in");
  run.child.kill("SIGINT");
  await ended(run);
  await nothingRuns(dataDir);
});

/** Processes of the server that ./sd start runs; of several the primary one is first. */
function serversOf(dataDir: string): number[] {
  const isServer = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("server/main.ts");
    } catch {
      return false;
    }
  };
  return processesOf(dataDir)
    .filter(isServer)
    .map(Number)
    .sort((a, b) => a - b);
}

test("kill -9 of ./sd start ends its server in order, and kill -9 of that is told", async (t) => {
  if (process.platform !== "linux") return t.skip("needs /proc");
  const dataDir = await madeDataDir();
  for (const WORKERS of ["1", "2"]) {
    const orphaned = await started({ dataDir, env: { ...NO_DEMO, WORKERS } });
    orphaned.child.kill("SIGKILL");
    await until(() => serversOf(dataDir).length === 0);
    await until(() => /"message":"draining","signal":"disconnect"/.test(orphaned.stdout));
    // The port is free; PostgreSQL goes on, as after every kill -9, and the next start takes it.
    const run = await started({ dataDir, port: orphaned.port, env: { ...NO_DEMO, WORKERS } });
    process.kill(serversOf(dataDir)[0] as number, "SIGKILL");
    assert.equal(await ended(run), 137);
    assert.equal(run.stderr, "sd: the server was ended by SIGKILL\n");
    await until(() => serversOf(dataDir).length === 0);
  }
  await stopEmbedded({ dataDir });
  await nothingRuns(dataDir);
});

test("a port in use: a sentence, status 1, nothing left running", async () => {
  const dataDir = await madeDataDir();
  const listener = createServer().listen(0, "0.0.0.0");
  await once(listener, "listening");
  const { port } = listener.address() as { port: number };
  const taken = await runSd(["start"], { dataDir, port, env: NO_DEMO });
  listener.close();
  assert.equal(
    taken.stderr,
    `sd: port ${port} is in use: end what listens there, or set PORT to another one\n`,
  );
  assert.equal(taken.stdout, "", "nothing was set up");
  assert.equal(taken.status, 1);
  await nothingRuns(dataDir);
});

test("a place where nothing can be made: a sentence, status 1", async (t) => {
  if (process.platform !== "linux") return t.skip("needs /proc");
  for (const dataDir of ["/proc/x", "/proc/x/y", "/dev/null/x"]) {
    const { status, stdout, stderr } = await runSd(["start"], { dataDir, port: 0, env: NO_DEMO });
    assert.match(stderr, /^sd: \S+ cannot be used: make it this user's own, or set DATABASE_URL/, dataDir);
    assert.equal(stdout, "");
    assert.equal(status, 1);
  }
});

test("two data directories at once: both serve, neither sees the other's grants", async () => {
  const dirs = [await madeDataDir(), await madeDataDir()] as const;
  const runs = await Promise.all(dirs.map((dataDir) => started({ dataDir, env: NO_DEMO })));
  const [one, two] = runs as [Run, Run];
  const asked = await runSd(["reset"], { dataDir: dirs[0] }, "no\n");
  assert.match(asked.stdout, /, which coupon-server \d+ use\? Type yes: /);
  const coupons: number[] = [];
  for (const dataDir of dirs) {
    await firstOf(dataDir, "select import_users(array[1, 815], array['Ann', 'Ben'])");
    const made = await firstOf(
      dataDir,
      "select coupon_id from create_coupon('TWO', 'm', 'd', now() - interval '1 hour', now() + interval '1 hour', 5)",
    );
    coupons.push(Number(made));
  }
  const [a, b] = coupons as [number, number];
  const tokens = [await tokenOf(dirs[0], 815), await tokenOf(dirs[1], 815)] as const;
  assert.equal((await issue(two, tokens[0], b)).status, 401, "nor takes the other's tokens");
  assert.equal((await issue(one, tokens[0], a)).body["outcome"], "issued");
  assert.equal(await firstOf(dirs[1], "select count(*)::integer from coupon.user_coupons"), 0);
  const grant = await issue(two, tokens[1], b);
  assert.deepEqual([grant.body["outcome"], grant.body["position"]], ["issued", 1]);
  assert.equal((await issue(one, tokens[0], a)).body["outcome"], "already_issued");
  assert.match(
    (await runSd(["stop"], { dataDir: dirs[0] })).stdout,
    /^stopped the embedded PostgreSQL, which coupon-server \d+ used\n$/,
  );
  await Promise.all(runs.map(stop));
  for (const dataDir of dirs) await nothingRuns(dataDir);
});

test("npm start is ./sd start", async () => {
  const dataDir = await madeDataDir();
  const run = await started({ dataDir, command: "npm", env: NO_DEMO });
  signalGroup(run.child, "SIGINT");
  // npm ends as it was ended itself, and need not wait.
  assert.ok([0, 130, "SIGINT"].includes((await ended(run)) ?? ""));
  await until(() => processesOf(dataDir).length === 0);
  await nothingRuns(dataDir);
});

test("another user's start, on a checkout that it may only read", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("only root can start as another user");
  const node = dirname(process.execPath);
  try {
    execFileSync("test", ["-r", join(CHECKOUT, "sd"), "-a", "-x", node], { ...nobody, cwd: "/" });
  } catch {
    return t.skip("nobody can't read this checkout");
  }
  const dataDir = await newDataDir();
  const home = dirname(dataDir);
  await fs.chown(home, nobody.uid, nobody.gid);
  const run = await started({ dataDir, account: nobody, env: { ...NO_DEMO, HOME: home, TMPDIR: home } });
  assert.equal((await fs.stat(join(dataDir, "postgres"))).uid, nobody.uid);
  await stop(run);
  assert.match(run.stderr, MADE);
  await nothingRuns(dataDir);
});

// Before Node.js 22.15 a process cannot become another program. CI runs this file on a newer one too.
if ("execve" in process)
  test("with DATABASE_URL nothing stays of ./sd but the server, which has its own login alone", async (t) => {
    const { setupUrl, drop } = await scratchDatabase();
    t.after(drop);
    const run = await started({ dataDir: await newDataDir(), env: { DATABASE_URL: setupUrl } });
    const [, pid] = run.stdout.match(/"message":"listening".*"pid":(\d+)/) ?? [];
    assert.equal(Number(pid), run.child.pid);
    if (process.platform === "linux")
      assert.doesNotMatch(await fs.readFile(`/proc/${pid}/environ`, "utf8"), /(^|\0)DATABASE_URL=/);
    run.child.kill("SIGHUP");
    assert.equal(await ended(run), 0, run.stderr);
    assert.match(run.stdout, /"message":"draining","signal":"SIGHUP"/);
  });
