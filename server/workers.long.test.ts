/** Servers that end, die and start anew while clients ask: one after another behind a port, and several workers behind it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, beforeEach, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bound, holdCoupon, metricsToken } from "../bench/harness/app.ts";
import { createThings } from "../bench/harness/coupons.ts";
import { failedServer, issueBy, load, startLogging } from "../bench/harness/logging-server.ts";
import { type Scratch, scratchDatabase } from "../bench/harness/scratch.ts";
import { untilReady, untilWaiting } from "../bench/harness/waiting.ts";

let scratch: Scratch;
beforeEach(async () => {
  scratch = await scratchDatabase();
});
afterEach(() => scratch.drop());

const startServer = (t: TestContext, variables?: Record<string, string>) =>
  startLogging(t, scratch, variables);

const LOST = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE"]);

test("a restart: each is answered, or lost its connection while nobody listened and got nothing", async (t) => {
  const first = await startServer(t);
  const { asked, answered, end } = await load(t, scratch, first.url);
  await answered(200);
  const ending = performance.now();
  first.child.kill("SIGTERM");
  assert.deepEqual(await first.exited, [0, null]);
  const second = await startServer(t, { PORT: `${first.port}` });
  const listening = performance.now();
  await answered(200);
  await end();

  const lost = asked.filter(({ status }) => status === undefined);
  for (const { code, began, ended } of lost) {
    assert.ok(LOST.has(`${code}`), code);
    assert.ok(ended >= ending && began <= listening, `${code} while one listened`);
  }
  assert.ok(lost.some(({ code }) => code === "ECONNREFUSED"));
  const statuses = new Set(asked.map(({ status }) => status).filter((status) => status !== undefined));
  assert.deepEqual(
    [...statuses].filter((status) => status !== 201 && status !== 503),
    [],
  );
  second.child.kill("SIGTERM");
  assert.deepEqual(await second.exited, [0, null]);
});

/** A server with so many workers, and their process ids. */
async function startWorkers(t: TestContext, many: number, variables: Record<string, string> = {}) {
  const server = await startServer(t, { WORKERS: `${many}`, ...variables });
  const workers = (await server.seen("worker listening", many)).map(({ pid }) => pid as number);
  return { ...server, workers };
}

test("WORKERS=3: three processes behind one port, exact together, and all end on SIGTERM", async (t) => {
  const { child, url, seen, exited, workers } = await startWorkers(t, 3);
  const { newUsers, newCoupon } = createThings(scratch.admin);
  const [users, coupon] = [await newUsers(300), await newCoupon({ count: 25 })];
  // A connection each, so that every worker gets some.
  const statuses = await Promise.all(
    [...users, ...users].map(async (user) => {
      // A busy machine may not serve 600 at once within the deadlines of a call: nothing was done then.
      for (;;) {
        const { status } = await issueBy(new Agent(), url, coupon, user);
        if (status !== 503) return status;
      }
    }),
  );
  const count = (status: number) => statuses.filter((given) => given === status).length;
  assert.equal(count(201), 25);
  assert.equal(count(409), 600 - 25 - count(200));
  const [row] = await scratch.owner`
    select count(*)::integer as rows, max(position) as last from coupon.user_coupons where coupon_id = ${coupon}`;
  assert.deepEqual({ ...row }, { rows: 25, last: 25 });

  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  await seen("stopped", 4);
  for (const pid of workers) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

test("a worker that dies is replaced, and the port answers on", async (t) => {
  const { child, url, seen, exited, workers } = await startWorkers(t, 2);
  process.kill(workers[0] as number, "SIGKILL");
  await seen("worker died");
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  await seen("worker listening", 3);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

/** A variable by which the primary process runs this when it gets SIGUSR2: with `cluster`, and its workers as `first` and `second`. */
const onSignal = (statements: string) => {
  const program = `
    import cluster from "node:cluster";
    import { readdirSync, readFileSync } from "node:fs";
    if (cluster.isPrimary)
      process.on("SIGUSR2", () => {
        const [first, second] = Object.values(cluster.workers);
        ${statements}
      });`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(program)}` };
};

test("a worker that was killed a moment ago is asked for its metrics: the others serve on", async (t) => {
  if (process.platform !== "linux") return t.skip("needs /proc");
  // Its end of the channel is closed, with the last of its threads, and the primary process has not had the time to see that.
  const { child, url, seen, exited } = await startWorkers(
    t,
    2,
    onSignal(`
      process.kill(first.process.pid, "SIGKILL");
      const proc = "/proc/" + first.process.pid;
      while (!/\\) Z /.test(readFileSync(proc + "/stat", "utf8")) || readdirSync(proc + "/task").length > 1);
      cluster.emit("message", second, { type: "coupon:metrics wanted", id: "x" });`),
  );
  child.kill("SIGUSR2");
  const died = await Promise.race([seen("worker died"), exited]);
  assert.deepEqual(
    died.map((line) => line?.["how"]),
    ["SIGKILL"],
  );
  await seen("worker listening", 3);
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("a worker cannot be started: it is tried again, and the others serve on", async (t) => {
  const { child, url, seen, exited, workers } = await startWorkers(
    t,
    2,
    onSignal(`process.execPath = process.execPath === "/nowhere" ? process.argv0 : "/nowhere";`),
  );
  child.kill("SIGUSR2");
  process.kill(workers[0] as number, "SIGKILL");
  const died = await Promise.race([seen("worker died", 3), exited]);
  assert.deepEqual(
    died.map((line) => line?.["how"]),
    ["SIGKILL", "ENOENT", "ENOENT"],
  );
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  child.kill("SIGUSR2");
  await seen("worker listening", 3);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

/** Returns when none of these processes is there any more. */
async function gone(pids: readonly number[]): Promise<void> {
  for (const pid of pids)
    for (let alive = true; alive; await sleep(20))
      try {
        process.kill(pid, 0);
      } catch {
        alive = false;
      }
}

test("workers end when their primary process was killed, after their answers", async (t) => {
  await bound(scratch, "lock_timeout = '30s'");
  const { newUsers, newCoupon } = createThings(scratch.admin);
  const [[user = 0], coupon] = [await newUsers(1), await newCoupon({ count: 1 })];
  const { child, url, seen, workers } = await startWorkers(t, 2);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const release = await holdCoupon(scratch, coupon);
  const flying = issueBy(agent, url, coupon, user);
  await untilWaiting(scratch);
  child.kill("SIGKILL");
  await Promise.race([seen("draining", 2), flying]);
  await release();
  assert.deepEqual(await flying, { status: 201, connection: "close" });
  await gone(workers);
});

test("workers that serve for DRAIN_DELAY end at once when their primary process is killed", async (t) => {
  const { child, seen, workers } = await startWorkers(t, 2, { DRAIN_DELAY: "600" });
  child.kill("SIGTERM");
  await seen("draining", 3);
  child.kill("SIGKILL");
  await seen("stopped", 2);
  await gone(workers);
});

test("SIGTERM while a worker is replaced: the new one is ended in order, too", async (t) => {
  if (process.platform !== "linux") return t.skip("needs /proc");
  const { child, seen, exited, workers } = await startWorkers(t, 2);
  const children = () =>
    readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ").map(Number);
  const [died = 0] = workers;
  process.kill(died, "SIGKILL");
  await seen("worker died");
  while (children().every((pid) => workers.includes(pid))) await sleep(5);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  await gone(workers);
});

test("WORKERS and a port that is in use: said once", async (t) => {
  const other = createServer();
  t.after(() => other.close());
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  assert.deepEqual(await failedServer(scratch, { PORT: `${port}`, WORKERS: "2" }), [
    1,
    `server: port ${port} is in use: end what listens there, or set PORT to another one\n`,
  ]);
});

test("a worker that is ended under load is replaced, and no connection is refused", async (t) => {
  const { child, url, seen, exited, workers } = await startWorkers(t, 2);
  const { asked, answered, end } = await load(t, scratch, url);
  await answered(200);
  const ending = performance.now();
  process.kill(workers[0] as number, "SIGTERM");
  await seen("worker ended");
  await seen("worker listening", 3);
  const replaced = performance.now();
  await answered(200);
  await end();

  for (const { status, code, began, ended } of asked) {
    if (status === 201) continue;
    assert.ok(code === "ECONNRESET" || code === "EPIPE", `${status ?? code}`);
    assert.ok(ended >= ending && began <= replaced);
  }
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("WORKERS=2 and DRAIN_DELAY: not ready at once, served as before for so long, no connection refused", async (t) => {
  const delay = 3;
  const { child, url, seen, exited } = await startWorkers(t, 2, { DRAIN_DELAY: `${delay}` });
  const { asked, answered, end } = await load(t, scratch, url);
  await answered(100);
  const signalled = performance.now();
  child.kill("SIGTERM");
  await seen("draining", 3); // the primary process and both workers
  const draining = performance.now();
  // Each on a connection of its own, since draining answers close theirs: any worker may get it.
  for (let i = 0; i < 4; i++) {
    const probe = await fetch(`${url}/readyz`);
    const { outcome } = (await probe.json()) as { outcome: string };
    assert.deepEqual([probe.status, outcome], [503, "draining"]);
  }
  assert.deepEqual(await exited, [0, null]);
  await end();

  const before = asked.filter(({ ended }) => ended < signalled + delay * 1_000 - 100);
  assert.deepEqual(
    before.filter(({ status }) => status !== 201),
    [],
  );
  assert.ok(before.some(({ began }) => began > draining));
});

/** By a connection of its own, which any worker may get. */
const scrape = (url: string) =>
  fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${metricsToken}`, connection: "close" } });

async function readMetrics(url: string): Promise<string> {
  const answer = await scrape(url);
  assert.equal(answer.status, 200);
  return answer.text();
}

async function askReady(url: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await untilReady(url, { headers: { connection: "close" } });
}

const READY =
  /^http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="\/readyz",url_scheme="http"} (\d+)$/m;

test("WORKERS=2: /metrics of either tells what both did, also while one stands still", async (t) => {
  const { child, url, exited, workers } = await startWorkers(t, 2);
  await askReady(url, 7);
  for (let i = 0; i < 4; i++) {
    const said = await readMetrics(url);
    assert.equal(said.match(READY)?.[1], "7");
    // Of both: each pool has its connections.
    assert.match(said, /^coupon_pool_size{pool="operate"} 4$/m);
    assert.match(said, /^process_cpu_seconds_total /m);
    assert.match(said, /^nodejs_version_info{.*} 1$/m);
  }

  const [silent = 0] = workers;
  process.kill(silent, "SIGSTOP");
  // The silent one takes one of two connections.
  const asked = [1, 2].map(() => readMetrics(url));
  const meanwhile = await Promise.race(asked);
  assert.equal(meanwhile.match(READY)?.[1], "7");
  assert.match(meanwhile, /^coupon_workers_silent 1$/m);
  process.kill(silent, "SIGCONT");
  await Promise.all(asked);
  const after = await readMetrics(url);
  assert.equal(after.match(READY)?.[1], "7");
  assert.match(after, /^coupon_workers_silent 0$/m);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("WORKERS=2: no counter falls when workers are replaced, by whatever signal, also while they are", async (t) => {
  const { child, url, seen, exited, workers } = await startWorkers(t, 2);
  await askReady(url, 40);
  const before = await readMetrics(url);
  assert.equal(before.match(READY)?.[1], "40");
  const started = before.match(/^process_start_time_seconds (.*)$/m)?.[1];
  assert.ok(Math.abs(Number(started) - Date.now() / 1000) < 600, started);

  // Both, one after the other: whoever answered, its counts stay.
  for (const [i, signal] of (["SIGKILL", "SIGTERM"] as const).entries()) {
    process.kill(workers[i] as number, signal);
    await seen(signal === "SIGTERM" ? "worker ended" : "worker died");
    assert.equal((await readMetrics(url)).match(READY)?.[1], "40", `${signal}, one worker is left`);
    await seen("worker listening", 3 + i);
    const replaced = await readMetrics(url);
    assert.equal(replaced.match(READY)?.[1], "40", signal);
    assert.match(replaced, /^coupon_pool_size{pool="operate"} 4$/m);
    assert.equal(replaced.match(/^process_start_time_seconds (.*)$/m)?.[1], started);
  }
  await askReady(url, 2);
  const after = await readMetrics(url);
  assert.equal(after.match(READY)?.[1], "42");
  const counters = (text: string) =>
    new Map(
      [...text.matchAll(/^# TYPE (\w+) (?:counter|histogram)$/gm)].flatMap(([, name = ""]) =>
        [...text.matchAll(new RegExp(`^(${name}\\S*) (\\S+)$`, "gm"))].map(
          ([, series, value]) => [series, Number(value)] as const,
        ),
      ),
    );
  const now = counters(after);
  for (const [series, value] of counters(before))
    assert.ok((now.get(series) ?? -1) >= value, `${series} fell from ${value} to ${now.get(series)}`);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("WORKERS=2: what a worker did in its last second is counted when it ends in order", async (t) => {
  const { child, url, seen, exited, workers } = await startWorkers(t, 2);
  await askReady(url, 20);
  process.kill(workers[0] as number, "SIGTERM");
  await seen("worker ended");
  assert.equal((await readMetrics(url)).match(READY)?.[1], "20");
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});
