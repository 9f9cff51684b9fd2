import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { Agent } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import { bound, env, holdCoupon, userToken } from "../bench/harness/app.ts";
import { collector } from "../bench/harness/collector.ts";
import { makeCoupon, makeUsers } from "../bench/harness/coupons.ts";
import { failedServer, issueBy, startLogging } from "../bench/harness/logging-server.ts";
import { type Scratch, scratchDatabase } from "../bench/harness/scratch.ts";
import { newSecret } from "../bench/harness/service.ts";
import { untilReady, untilWaiting } from "../bench/harness/waiting.ts";
import { signToken } from "./auth/auth.ts";

const secret = env.JWT_SECRET as string;
let scratch: Scratch;
let coupon: number;
before(async () => {
  scratch = await scratchDatabase();
  await bound(scratch, "lock_timeout = '30s'");
  await makeUsers(scratch.admin, [1, 2, 3]);
  coupon = await makeCoupon(scratch.admin, { code: "A", count: 10 });
});
after(() => scratch.drop());

const startServer = (t: TestContext, variables?: Record<string, string>) =>
  startLogging(t, scratch, variables);
function openConnection(t: TestContext, port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    t.after(() => socket.destroy());
    socket.resume().on("error", () => {});
  });
}

test("serves on the port that it prints, and ends on SIGTERM", async (t) => {
  const { child, url, logged, exited } = await startServer(t);
  assert.deepEqual(await (await fetch(`${url}/livez`)).json(), { status: "ok" });
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  assert.deepEqual(
    logged.map(({ message }) => message),
    ["listening", "draining", "stopped"],
  );
});

test("no process names a secret or a password on its command line", async (t) => {
  const own = newSecret();
  await startServer(t, { JWT_SECRET: own });
  const processes = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    processes.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")),
  );
  if (processes.length > 0)
    assert.ok(
      lines.some((line) => line.includes("server/main.ts")),
      "the server is seen",
    );
  const passwords = [scratch.setupUrl, scratch.apiUrl, scratch.adminUrl].map((url) => new URL(url).password);
  for (const hidden of [own, ...passwords]) {
    assert.ok(hidden.length >= 32);
    assert.ok(!lines.some((line) => line.includes(hidden)));
  }
});

test("SIGTERM: how many asked is told to the last request, whatever a restart does", async (t) => {
  // Of its own: a user gets one coupon a day.
  await makeUsers(scratch.admin, [11, 12, 13]);
  const own = await makeCoupon(scratch.admin, { code: "ASKED", count: 1 });
  const asked = async () => {
    const [found] = await scratch.admin`select asked::integer from find_coupon(${own}::bigint)`;
    return found?.["asked"];
  };
  for (const total of [31, 62]) {
    const { child, url, exited } = await startServer(t);
    const agent = new Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    for (let n = 0; n < 31; n++) await issueBy(agent, url, own, 11 + (n % 3));
    child.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
    assert.equal(await asked(), total);
  }
});

test("SIGTERM: spans that wait are sent", async (t) => {
  const { url: to, spans } = await collector(t);
  const { child, url, exited } = await startServer(t, { OTEL_EXPORTER_OTLP_ENDPOINT: to });
  for (const path of ["livez", "readyz", "livez"]) await (await fetch(`${url}/${path}`)).text();
  child.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  assert.deepEqual(
    spans().map(({ name }) => name),
    ["GET /livez", "GET /readyz", "GET /livez"],
  );
});

test("SIGTERM: what is in flight is answered, new connections are refused, idle ones end", async (t) => {
  const { child, url, port, seen, exited } = await startServer(t);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  // Connections of all kinds: kept alive after an answer, silent from the start, in the middle of a head.
  assert.equal((await issueBy(agent, url, coupon, 1)).status, 201);
  const silent = await openConnection(t, port);
  const halfway = await openConnection(t, port);
  halfway.write("POST /coupons/1/issue HTTP/1.1\r\nHost: x\r\n");

  const release = await holdCoupon(scratch, coupon);
  const busy = new Agent({ keepAlive: true });
  t.after(() => busy.destroy());
  const flying = issueBy(busy, url, coupon, 2);
  await untilWaiting(scratch);
  child.kill("SIGTERM");
  await seen("draining");

  const refused = await openRefused(port);
  assert.equal(refused, "ECONNREFUSED");
  const ended = [silent, halfway].map((socket) => socket.closed || once(socket, "close"));
  await release();
  assert.deepEqual(await flying, { status: 201, connection: "close" });
  // Status 1 would be the deadline's, which a connection held up.
  assert.deepEqual(await exited, [0, null]);
  await Promise.all(ended);
});

async function openRefused(port: number): Promise<string | undefined> {
  const socket = connect(port, "127.0.0.1");
  const [error] = await once(socket, "error");
  return error.code;
}

test("DRAIN_DELAY: not ready at once, then served as before, then closed", async (t) => {
  const { child, url, port, seen, exited } = await startServer(t, {
    DRAIN_DELAY: "3",
    KEEP_ALIVE_TIMEOUT: "120",
  });
  await untilReady(url);
  const alive = await fetch(`${url}/livez`);
  assert.match(`${alive.headers.get("keep-alive")}`, /^timeout=120\b/);
  await alive.text();
  const signalled = performance.now();
  child.kill("SIGTERM");
  await seen("draining");
  // Each on a connection of its own, since draining answers close theirs.
  const probe = await fetch(`${url}/readyz`);
  assert.deepEqual([probe.status, ((await probe.json()) as { outcome: string }).outcome], [503, "draining"]);
  const agent = new Agent();
  for (const user of [1, 1]) {
    const { status, connection } = await issueBy(agent, url, coupon, user);
    assert.ok(status === 201 || status === 200, `${status}`);
    assert.equal(connection, "close");
  }
  assert.equal((await fetch(`${url}/livez`)).status, 200);
  assert.deepEqual(await exited, [0, null]);
  assert.ok(performance.now() - signalled >= 2_900);
  assert.equal(await openRefused(port), "ECONNREFUSED");
});

test("no Host makes a failure of the server: no URL is made with it", async (t) => {
  const { port, logged } = await startServer(t);
  const hosts = [
    "",
    "1.2.3.4.5",
    "256.1.1.1",
    "999.999.999.999",
    "shop.0x",
    "xn--",
    "[::1]:80",
    "x:99999",
    "a_b.%zz",
  ];
  const routes = { "GET /livez": 200, "GET /": 200, "POST /demo/token": 404, "POST /coupons": 401 };
  const answered = async (route: string, host: string) => {
    const socket = connect(port, "127.0.0.1");
    const length = route.startsWith("POST") ? "Content-Type: application/json\r\nContent-Length: 2\r\n" : "";
    socket.write(`${route} HTTP/1.1\r\nHost: ${host}\r\n${length}Connection: close\r\n\r\n${length && "{}"}`);
    return Number(
      Buffer.concat(await socket.toArray())
        .toString()
        .split(" ", 2)[1],
    );
  };
  for (const [route, status] of Object.entries(routes))
    for (const host of hosts) assert.equal(await answered(route, host), status, `${route}, Host: ${host}`);
  for (const host of ["a b", "a/b", "a@b", "a?b", "a#b", "a\\b", "a,b c", "[::1", "::1", "x:y", "ä"])
    assert.equal(await answered("GET /livez", host), 400, `Host: ${host}`);
  assert.deepEqual(
    logged.filter(({ level }) => level === "error"),
    [],
  );
});

test("a health check in HTTP/1.0 has no Host", async (t) => {
  const { port } = await startServer(t);
  for (const request of ["GET /livez HTTP/1.0\r\n\r\n", "OPTIONS /readyz HTTP/1.0\r\n\r\n"])
    assert.match(
      await send(port, request),
      request.startsWith("GET") ? /^HTTP\/1.1 200 / : /^HTTP\/1.1 404 /,
    );
  assert.match(await send(port, "GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n"), /^HTTP\/1.1 400 /);
});

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
  assert.deepEqual(await failedServer(scratch, { PORT: `${port}` }), [
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
    "no key for tokens: set JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL or JWT_ISSUERS",
  ],
  ["an address of another machine", { HOST: "192.0.2.1" }, "HOST 192.0.2.1 is no address of this machine"],
] as const)
  test(what, async () =>
    assert.deepEqual(await failedServer(scratch, variables), [1, `server: ${sentence}\n`]),
  );

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
    await ask("GET http://hidden-host/coupons?code=hidden-code HTTP/1.1", [`Authorization: Bearer ${shop}`]),
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
