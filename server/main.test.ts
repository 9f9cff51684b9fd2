import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Scratch, scratchDatabase } from "../db/scratch.ts";
import { bound, env, holdCoupon, untilWaiting, userToken } from "./testing.ts";

let scratch: Scratch;
let coupon: number;
before(async () => {
  scratch = await scratchDatabase();
  await bound(scratch, "lock_timeout = '30s'");
  await scratch.admin`select import_users(array[1, 2, 3], array['Ann', 'Ben', 'Cy'])`;
  const [row] = await scratch.admin`
    select coupon_id::integer
    from create_coupon('A', 'm', 'd', clock_timestamp(), clock_timestamp() + interval '1 day', 10)`;
  coupon = row?.["coupon_id"];
});
after(() => scratch.drop());

/** The process as ./sd start makes it. */
function spawnServer(variables: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, ["--import", "tsx", "server/main.ts"], {
    env: {
      PATH: process.env["PATH"],
      PORT: "0",
      HOST: "127.0.0.1",
      API_DATABASE_URL: scratch.apiUrl,
      JWT_SECRET: env.JWT_SECRET,
      ...variables,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** A server that listens; `events` are the messages of its log so far. */
async function startServer(t: TestContext, variables: Record<string, string> = {}) {
  const child = spawnServer(variables);
  t.after(() => child.kill("SIGKILL"));
  assert.ok(child.stdout);
  const events: string[] = [];
  const logged: Record<string, unknown>[] = [];
  const lines = createInterface({ input: child.stdout });
  const exited = once(child, "exit");
  const url = await new Promise<string>((resolve, reject) => {
    exited.then(() => reject(new Error("the server ended")));
    lines.on("line", (text) => {
      const line = JSON.parse(text);
      events.push(line.message);
      logged.push(line);
      if (line.message === "listening") resolve(line.url);
    });
  });
  const seen = async (message: string) => {
    while (!events.includes(message)) await once(lines, "line");
  };
  return { child, url, port: Number(new URL(url).port), events, logged, lines, seen, exited };
}

/** A POST …/issue on this agent's connections. */
async function issue(url: string, userId: number, agent: Agent, couponId = coupon) {
  const authorization = `Bearer ${await userToken(userId)}`;
  return new Promise<{ status: number | undefined; connection: string | undefined }>((resolve, reject) => {
    const sent = request(
      `${url}/coupons/${couponId}/issue`,
      { method: "POST", agent, headers: { authorization } },
      (response) => {
        response
          .resume()
          .once("end", () =>
            resolve({ status: response.statusCode, connection: response.headers.connection }),
          );
      },
    );
    sent.once("error", reject).end();
  });
}

function openConnection(t: TestContext, port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    t.after(() => socket.destroy());
    socket.on("error", () => {});
  });
}

/** The status and what it said, of a server that doesn't start. */
async function failed(variables: Record<string, string>): Promise<[unknown, string]> {
  const child = spawnServer(variables);
  const [said = [], [code]] = await Promise.all([child.stderr?.toArray(), once(child, "exit")]);
  return [code, Buffer.concat(said).toString()];
}

test("serves on the port that it prints, and ends on SIGTERM", async (t) => {
  const { child, url, events, exited } = await startServer(t);
  assert.deepEqual(await (await fetch(`${url}/readyz`)).json(), { status: "ok" });
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  assert.deepEqual(events, ["listening", "draining", "stopped"]);
});

test("SIGTERM: what is in flight is answered, new connections are refused, idle ones end", async (t) => {
  const { child, url, port, seen, exited } = await startServer(t);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  // Connections of all kinds: kept alive after an answer, silent from the start, in the middle of a head.
  assert.equal((await issue(url, 1, agent)).status, 201);
  const silent = await openConnection(t, port);
  const halfway = await openConnection(t, port);
  halfway.write("POST /coupons/1/issue HTTP/1.1\r\nHost: x\r\n");

  const release = await holdCoupon(scratch, coupon);
  const busy = new Agent({ keepAlive: true });
  t.after(() => busy.destroy());
  const flying = issue(url, 2, busy);
  await untilWaiting(scratch);
  child.kill("SIGTERM");
  await seen("draining");

  const refused = await openRefused(port);
  assert.equal(refused, "ECONNREFUSED");
  const began = performance.now();
  await release();
  assert.deepEqual(await flying, { status: 201, connection: "close" });
  assert.deepEqual(await exited, [0, null]);
  assert.ok(performance.now() - began < 5_000, "no connection held it up");
  assert.ok(silent.destroyed || silent.readableEnded || !silent.writable);
});

async function openRefused(port: number): Promise<string | undefined> {
  const socket = connect(port, "127.0.0.1");
  const [error] = await once(socket, "error");
  return error.code;
}

test("SIGTERM twice, and SIGINT", async (t) => {
  const { child, exited } = await startServer(t);
  for (const signal of ["SIGINT", "SIGTERM", "SIGTERM"] as const) child.kill(signal);
  assert.deepEqual(await exited, [0, null]);
});

test("a port that is in use", async (t) => {
  const other = createServer();
  t.after(() => other.close());
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  assert.deepEqual(await failed({ PORT: `${port}` }), [
    1,
    `server: port ${port} is in use: end what listens there, or set PORT to another one\n`,
  ]);
});

for (const [what, variables, sentence] of [
  [
    "no API_DATABASE_URL",
    { API_DATABASE_URL: "" },
    "API_DATABASE_URL is not set: start with ./sd start, or give the server its login",
  ],
  [
    "a wrong variable",
    { PORT: "x" },
    "the environment is wrong. PORT: must be a whole number from 0 to 65535",
  ],
  [
    "no key for tokens",
    { JWT_SECRET: "" },
    "no key for tokens: set JWT_SECRET, JWT_PUBLIC_KEY or JWT_JWKS_URL",
  ],
  ["an address of another machine", { HOST: "192.0.2.1" }, "HOST 192.0.2.1 is no address of this machine"],
] as const)
  test(what, async () => assert.deepEqual(await failed(variables), [1, `server: ${sentence}\n`]));

// ---- Workers --------------------------------------------------------------------------------------------------------

/** The pids of its workers, by the log. */
const workersOf = (logged: Record<string, unknown>[]) =>
  logged.filter(({ message }) => message === "worker listening").map(({ pid }) => pid as number);

test("WORKERS=3: three processes behind one port, exact together, and all end on SIGTERM", async (t) => {
  const { child, url, events, logged, lines, exited } = await startServer(t, { WORKERS: "3" });
  while (workersOf(logged).length < 3) await once(lines, "line");
  await scratch.admin`
    select count(*) from import_users(array(select generate_series(100, 399)), array_fill('n'::text, array[300]))`;
  const [made] = await scratch.admin`
    select coupon_id::integer from create_coupon('W', 'm', 'd', clock_timestamp(), clock_timestamp() + interval '1 day', 25)`;
  const users = Array.from({ length: 600 }, (_, i) => 100 + (i % 300));
  // A connection each, so that every worker gets some.
  const statuses = await Promise.all(
    users.map(async (user) => {
      const agent = new Agent();
      const { status } = await issue(url, user, agent, made?.["coupon_id"]);
      return status;
    }),
  );
  const count = (status: number) => statuses.filter((given) => given === status).length;
  assert.equal(count(201), 25);
  assert.equal(count(409), 600 - 25 - count(200));
  const [row] = await scratch.owner`
    select count(*)::integer as rows, max(position) as last from coupon.user_coupons where coupon_id = ${made?.["coupon_id"]}`;
  assert.deepEqual({ ...row }, { rows: 25, last: 25 });

  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  while (events.filter((event) => event === "stopped").length < 4) await once(lines, "line");
  for (const pid of workersOf(logged)) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

test("a worker that dies is replaced, and the port answers on", async (t) => {
  const { child, url, logged, seen, exited, lines } = await startServer(t, { WORKERS: "2" });
  while (workersOf(logged).length < 2) await once(lines, "line");
  const [first = 0] = workersOf(logged);
  process.kill(first, "SIGKILL");
  await seen("worker died");
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  while (workersOf(logged).length < 3) await once(lines, "line");
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("workers end when their primary process was killed", async (t) => {
  const { child, logged, lines, exited } = await startServer(t, { WORKERS: "2" });
  while (workersOf(logged).length < 2) await once(lines, "line");
  child.kill("SIGKILL");
  await exited;
  for (const pid of workersOf(logged))
    for (let alive = true; alive; await sleep(20))
      try {
        process.kill(pid, 0);
      } catch {
        alive = false;
      }
});

test("WORKERS and a port that is in use: said once", async (t) => {
  const other = createServer();
  t.after(() => other.close());
  other.listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  assert.deepEqual(await failed({ PORT: `${port}`, WORKERS: "2" }), [
    1,
    `server: port ${port} is in use: end what listens there, or set PORT to another one\n`,
  ]);
});
