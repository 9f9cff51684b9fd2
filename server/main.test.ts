import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { bound, env, holdCoupon, untilWaiting, userToken } from "../bench/harness/app.ts";
import { type Scratch, scratchDatabase } from "../bench/harness/scratch.ts";
import { signToken } from "./auth/auth.ts";

const secret = env.JWT_SECRET as string;
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

// ---- What is logged -------------------------------------------------------------------------------------------------

/** Sends these bytes, and waits for the end of the connection. */
async function send(port: number, text: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(text);
  return Buffer.concat(await socket.toArray()).toString();
}

test("debug: a line a request, nothing secret in any, and none that can be broken", async (t) => {
  const password = "hidden-password";
  const url = new URL(scratch.apiUrl);
  const metricsToken = "hidden-metrics-token";
  const variables = { LOG_LEVEL: "debug", METRICS_TOKEN: metricsToken };
  const { child, port, exited, logged } = await startServer(t, variables);
  const raw: Buffer[] = [];
  child.stdout?.on("data", (part) => raw.push(part));
  const tokens = await Promise.all([
    userToken(3),
    signToken(secret, env, { role: "service", subject: "shop" }),
  ]);
  const [user, shop] = tokens as [string, string];
  const ask = (line: string, headers: string[], body = "") =>
    send(
      port,
      [line, "Host: x", "Connection: close", `Content-Length: ${body.length}`, ...headers, "", body].join(
        "\r\n",
      ),
    );
  const json = "Content-Type: application/json";
  const odd = [
    "X-Request-Id: hidden\tid",
    "Cookie: session=hidden-cookie",
    'X-Odd: hidden-"\\u001b[31m',
    "Traceparent: hidden-trace",
    "Referer: http://x/?code=hidden-referer",
  ];
  const answers = [
    await ask(`POST /coupons/${coupon}/issue HTTP/1.1`, [`Authorization: Bearer ${user}`, ...odd]),
    await ask("GET /coupons?code=hidden-code HTTP/1.1", [`Authorization: Bearer ${shop}`, ...odd]),
    await ask("GET /coupons/live?token=hidden-query HTTP/1.1", [`Authorization: Bearer ${user}`]),
    await ask("GET http://hidden-host@x/coupons?code=hidden-code HTTP/1.1", [
      `Authorization: Bearer ${shop}`,
    ]),
    await ask(
      `POST /coupons/${coupon}/use HTTP/1.1`,
      [`Authorization: Bearer ${user}`, json],
      '{"reference": "hidden-reference"}',
    ),
    await ask("POST /coupons HTTP/1.1", [`Authorization: Bearer ${user}x`, json], '{"code": "hidden-body'),
    await ask("GET /a%0d%0a%7b%22level%22%3a%22error%22%7d%1b[31m HTTP/1.1", []),
    await ask('GET /a"}{"level":"error"} HTTP/1.1', []),
    await ask("GET /metrics HTTP/1.1", [`Authorization: Bearer ${metricsToken}`]),
  ].map((answer) => Number(answer.split(" ")[1]));
  assert.deepEqual(answers, [201, 404, 400, 404, 200, 401, 404, 404, 200]);

  // What can't be reached is a failure, and its line.
  url.password = password;
  const away = await startServer(t, { API_DATABASE_URL: url.href, LOG_LEVEL: "debug" });
  const fromAway: Buffer[] = [];
  away.child.stdout?.on("data", (part) => fromAway.push(part));
  assert.equal((await fetch(`${away.url}/readyz`)).status, 503);

  for (const server of [{ child, exited }, away]) {
    server.child.kill("SIGTERM");
    await server.exited;
  }
  const requests = logged.filter(({ message }) => message === "request");
  assert.deepEqual(
    requests.map(({ status }) => status),
    answers,
  );
  for (const { path } of requests) assert.doesNotMatch(`${path}`, /\?/);
  assert.ok(away.logged.some(({ level, message }) => level === "error" && /password/.test(`${message}`)));
  const said = Buffer.concat([...raw, ...fromAway]).toString();
  const databasePassword = decodeURIComponent(new URL(scratch.apiUrl).password);
  for (const hidden of [...tokens, secret, databasePassword, "hidden"])
    assert.ok(!said.includes(hidden), `${hidden} is in the log`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be there
  assert.doesNotMatch(said, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/);
  for (const line of said.trimEnd().split("\n")) assert.equal(typeof JSON.parse(line).time, "string");
});

// ---- A restart under load -------------------------------------------------------------------------------------------

interface Asked {
  user: number;
  kept: boolean;
  began: number;
  ended: number;
  status?: number | undefined;
  /** Of the connection that was lost. */
  code?: string;
}

/** Asks for a coupon from ten clients without a pause, five of which keep their connections; each user once. */
async function load(t: TestContext, url: string) {
  const [made] = await scratch.admin`
    with added as (
      select count(*) from import_users(
        array(select generate_series(1000000, 1099999)), array_fill('n'::text, array[100000])))
    select c.outcome, c.coupon_id::integer
    from added, create_coupon(
      ${`LOAD${coupons}`}, 'm', 'd', clock_timestamp() - ${`${++coupons} days`}::text::interval,
      clock_timestamp() + interval '1 day', 100000) c`;
  assert.equal(made?.["outcome"], "created");
  const couponId = made?.["coupon_id"];
  const asked: Asked[] = [];
  let ends = false;
  const clients = Array.from({ length: 10 }, async (_, i) => {
    const kept = i % 2 === 0;
    const agent = new Agent({ keepAlive: kept });
    t.after(() => agent.destroy());
    while (!ends) {
      const began = performance.now();
      const user = ++users;
      const told = await issue(url, user, agent, couponId).then(
        ({ status }) => ({ status }),
        (error) => ({ code: error.code as string }),
      );
      asked.push({ user, kept, began, ended: performance.now(), ...told });
      if ("code" in told) await sleep(5);
    }
  });
  return {
    asked,
    answered: async (more: number) => {
      const enough = asked.filter(({ status }) => status === 201).length + more;
      while (asked.filter(({ status }) => status === 201).length < enough) await sleep(5);
    },
    /** Ends the load; the grants that there are. */
    async end(): Promise<number[]> {
      ends = true;
      await Promise.all(clients);
      const rows = await scratch.owner`
        select user_id::integer from coupon.user_coupons where coupon_id = ${couponId} order by 1`;
      return rows.map((row) => row["user_id"]);
    },
  };
}
let users = 1_000_000;
let coupons = 0;

const LOST = new Set(["ECONNREFUSED", "ECONNRESET", "EPIPE"]);

test("a restart: each is answered, or lost its connection while nobody listened and got nothing", async (t) => {
  const first = await startServer(t);
  const { asked, answered, end } = await load(t, first.url);
  await answered(200);
  const ending = performance.now();
  first.child.kill("SIGTERM");
  assert.deepEqual(await first.exited, [0, null]);
  const second = await startServer(t, { PORT: `${first.port}` });
  const listening = performance.now();
  await answered(200);
  const granted = await end();

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
  const told = asked.filter(({ status }) => status === 201).map(({ user }) => user);
  assert.deepEqual(
    granted,
    told.sort((a, b) => a - b),
  );
  second.child.kill("SIGTERM");
  assert.deepEqual(await second.exited, [0, null]);
});

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

test("a worker that is ended under load is replaced, and no connection is refused", async (t) => {
  const { child, url, logged, lines, seen, exited } = await startServer(t, { WORKERS: "2" });
  while (workersOf(logged).length < 2) await once(lines, "line");
  const { asked, answered, end } = await load(t, url);
  await answered(200);
  const ending = performance.now();
  process.kill(workersOf(logged)[0] as number, "SIGTERM");
  await seen("worker died");
  while (workersOf(logged).length < 3) await once(lines, "line");
  const replaced = performance.now();
  await answered(200);
  const granted = await end();

  for (const { status, code, began, ended } of asked) {
    if (status === 201) continue;
    assert.ok(code === "ECONNRESET" || code === "EPIPE", `${status ?? code}`);
    assert.ok(ended >= ending && began <= replaced);
  }
  const told = asked.filter(({ status }) => status === 201).map(({ user }) => user);
  assert.deepEqual(
    granted,
    told.sort((a, b) => a - b),
  );
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});

test("WORKERS=2: /metrics of either tells what both did; 503 when one is silent", async (t) => {
  const { child, url, logged, lines, exited } = await startServer(t, { WORKERS: "2" });
  while (workersOf(logged).length < 2) await once(lines, "line");
  const text = async () => (await fetch(`${url}/metrics`, { headers: { connection: "close" } })).text();
  const ready = () => fetch(`${url}/readyz`, { headers: { connection: "close" } });
  for (let i = 0; i < 7; i++) assert.equal((await ready()).status, 200);
  const count = /^coupon_http_request_duration_seconds_count{route="\/readyz",method="GET",status="200"} 7$/m;
  for (let i = 0; i < 4; i++) {
    const said = await text();
    assert.match(said, count);
    // Of both: each pool has its connections.
    assert.match(said, /^coupon_pool_size{pool="command"} 16$/m);
    assert.match(said, /^process_cpu_seconds_total /m);
  }

  const [silent = 0] = workersOf(logged);
  process.kill(silent, "SIGSTOP");
  const asked = [1, 2].map(() => fetch(`${url}/metrics`, { headers: { connection: "close" } }));
  assert.equal((await Promise.race(asked)).status, 503);
  process.kill(silent, "SIGCONT");
  await Promise.all(asked);
  assert.match(await text(), count);
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
});
