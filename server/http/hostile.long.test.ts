/**
 * Clients that are broken or mean no good, on raw sockets, against the process as it is run. Beside each of them an honest one
 * is served; afterwards nothing of them is left.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request, STATUS_CODES } from "node:http";
import { connect, type Socket } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { env } from "../../bench/harness/app.ts";
import { type Service, startService } from "../../bench/harness/service.ts";
import { createCoupon } from "../../bench/harness/tables.ts";
import { withConnection } from "../../db/connect.ts";
import { signToken } from "../auth/auth.ts";
import { LIMITS } from "./wire.ts";

const USERS = 5_000;
let service: Service;
let port: number;
let coupon: number;
let admin: string;
let users = 0;
/** One who has not asked before: who asks often is held back. */
const nextUser = () => (users += 1);

before(async () => {
  service = await startService(USERS);
  port = Number(new URL(service.url).port);
  coupon = await createCoupon(service.database.admin, "hostile", 0, USERS);
  admin = signToken(service.secret, env, { role: "admin", subject: "root" });
});
after(() => service.stop());

// ---- What a client sends, and gets ----------------------------------------------------------------------------------

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Record<string, unknown>;
}

async function open(t: TestContext): Promise<Socket> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** All that comes until the server ends the connection. */
async function received(socket: Socket): Promise<Answer[]> {
  const parts: Buffer[] = [];
  socket.on("data", (part) => parts.push(part));
  if (!socket.closed) await once(socket, "close");
  return answersOf(Buffer.concat(parts));
}

async function exchange(t: TestContext, bytes: string | Uint8Array): Promise<Answer[]> {
  const socket = await open(t);
  socket.write(bytes);
  return received(socket);
}

function answersOf(bytes: Buffer): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf("\r\n\r\n", at);
    const [first = "", ...lines] = bytes.subarray(at, end).toString().split("\r\n");
    const headers = Object.fromEntries(lines.map((line) => line.toLowerCase().split(/: ?(.*)/, 2)));
    const [, status] = first.match(/^HTTP\/1\.1 (\d{3}) /) ?? [];
    assert.ok(end !== -1 && status !== undefined, `no answer: ${bytes.subarray(at, at + 100)}`);
    const length = Number(headers["content-length"] ?? 0);
    const text = bytes.subarray(end + 4, end + 4 + length).toString();
    answers.push({ status: Number(status), headers, body: text === "" ? {} : JSON.parse(text) });
    at = end + 4 + length;
  }
  return answers;
}

/** A request with these headers, whose body has its length unless a header says otherwise. */
function head(line: string, headers: readonly string[] = [], body?: string): string {
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  return [`${line} HTTP/1.1`, "Host: x", ...headers, ...length, "", body ?? ""].join("\r\n");
}
const bearer = (token: string) => `Authorization: Bearer ${token}`;
const JSON_BODY = "Content-Type: application/json";
const issue = (headers: readonly string[] = [], body?: string) =>
  head(`POST /coupons/${coupon}/issue`, [bearer(service.token(nextUser())), ...headers], body);
/** The last request of a connection. */
const LAST = head("GET /livez", ["Connection: close"]);

// ---- What must hold meanwhile, and afterwards -----------------------------------------------------------------------

/** Honest clients, each for its own coupon, one after another until `attack` ends: several are served before it does. */
async function honestBeside(attack: Promise<unknown>): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  let attacked = true;
  const end = attack.finally(() => {
    attacked = false;
  });
  let served = 0;
  while (attacked) {
    assert.equal(await statusOf(agent, service.token(nextUser())), 201);
    if (attacked) served += 1;
    await Promise.race([sleep(20), end.catch(() => {})]);
  }
  agent.destroy();
  await end;
  assert.ok(served >= 3, `${served} honest clients were served meanwhile`);
}

function statusOf(agent: Agent, token: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    request(`${service.url}/coupons/${coupon}/issue`, { method: "POST", agent, headers }, (response) =>
      response.resume().once("end", () => resolve(response.statusCode)),
    )
      .once("error", reject)
      .end();
  });
}

/** What the process says of itself, and its sessions in the database. */
async function figures() {
  const text = await (
    await fetch(`${service.url}/metrics`, { headers: { ...service.metricsHeaders, connection: "close" } })
  ).text();
  const figure = (name: string) =>
    Number(text.match(new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (.*)$`, "m"))?.[1] ?? 0);
  const sessions = await withConnection(
    service.database.setupUrl,
    (sql) => sql<{ state: string }[]>`
      select a.state from pg_stat_activity a where a.datname = current_database() and a.usename = 'coupon_api'`,
  );
  return {
    clients: figure('nodejs_active_resources{type="TCPSocketWrap"}') - sessions.length,
    inFlight: figure("coupon_http_requests_in_flight"),
    memory: figure("process_resident_memory_bytes") / 1e6,
    states: [...new Set(sessions.map(({ state }) => state))],
    refused: (status: number) =>
      figure(
        `http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="${status}",url_scheme="http"}`,
      ),
  };
}

/** Waits until this holds of the figures; says what they are when it doesn't for so long that it never will. */
async function untilFigures(isSo: (now: Awaited<ReturnType<typeof figures>>) => boolean) {
  const deadline = performance.now() + 120_000;
  for (;;) {
    const now = await figures();
    if (isSo(now)) return now;
    assert.ok(performance.now() < deadline, `still ${JSON.stringify(now)}`);
    await sleep(50);
  }
}

/** Waits until nobody is connected but who asks for the figures. */
const untilNothingIsLeft = () => untilFigures(({ clients, inFlight }) => clients === 1 && inFlight === 0);

function assertRefused({ headers, body }: Answer, status: number, detail: string): void {
  const { request_id, ...members } = body;
  const outcome = status === 408 ? "request_timeout" : "invalid_request";
  assert.deepEqual(members, { title: STATUS_CODES[status], status, outcome, detail });
  assert.deepEqual([headers["connection"], headers["content-type"]], ["close", "application/problem+json"]);
  assert.equal(headers["x-request-id"], request_id);
}

// ---- What is no request ---------------------------------------------------------------------------------------------

const NOT_HTTP = "This is not HTTP/1.1 as it should be.";
const ONE_HOST = "There must be one Host header.";
const NO_HOST = "The Host header is not valid.";
const NO_URL = "The target is not valid.";
const chunks = (...headers: string[]) => `${issue(headers)}0\r\n\r\n`;
const imported = (...headers: string[]) =>
  head("POST /users/import", [bearer(admin), "Content-Type: application/x-ndjson", ...headers]);

const refused: Record<string, [() => string | Uint8Array, status: number, detail: string]> = {
  "a header of 17,000 bytes": [
    () => head("GET /livez", [`X: ${"x".repeat(17_000)}`]),
    431,
    "The head of the request is too large.",
  ],
  "a target of 17,000 bytes": [
    () => head(`GET /${"x".repeat(17_000)}`),
    431,
    "The head of the request is too large.",
  ],
  "101 headers": [() => head("GET /livez", Array(100).fill("X: y")), 431, "There are more than 100 headers."],
  // Node.js 24.22.3 itself refuses more than it is to keep; 20.20.2 leaves them out.
  "3,000 headers": [
    () => head("GET /livez", Array(3_000).fill("X:y")),
    431,
    process.version < "v24" ? "There are more than 100 headers." : "The head of the request is too large.",
  ],
  "no Host": [() => "GET /livez HTTP/1.1\r\n\r\n", 400, ONE_HOST],
  "two Hosts": [() => head("GET /livez", ["Host: y"]), 400, ONE_HOST],
  "two tokens": [() => issue([bearer(admin)]), 400, "There must be one Authorization header at most."],
  "Host with a blank": [() => "GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", 400, NO_HOST],
  "a Host that makes no URL, in the target": [() => head("GET http://1.2.3.4.5/livez"), 400, NO_URL],
  "two lengths": [() => issue(["Content-Length: 2", "Content-Length: 3"]), 400, NOT_HTTP],
  "the same length twice": [() => issue(["Content-Length: 2", "Content-Length: 2"]), 400, NOT_HTTP],
  "a list of lengths": [() => issue(["Content-Length: 2, 2"]), 400, NOT_HTTP],
  "a length of -1": [() => issue(["Content-Length: -1"]), 400, NOT_HTTP],
  "a length of +2": [() => issue(["Content-Length: +2"]), 400, NOT_HTTP],
  "a length of 0x2": [() => issue(["Content-Length: 0x2"]), 400, NOT_HTTP],
  "a length of 1e23": [() => issue([`Content-Length: 1${"0".repeat(23)}`]), 400, NOT_HTTP],
  "an empty length": [() => issue(["Content-Length:"]), 400, NOT_HTTP],
  "a length and chunks": [() => chunks("Content-Length: 5", "Transfer-Encoding: chunked"), 400, NOT_HTTP],
  "chunks and a length": [() => chunks("Transfer-Encoding: chunked", "Content-Length: 5"), 400, NOT_HTTP],
  "chunked, identity": [() => chunks("Transfer-Encoding: chunked, identity"), 400, NOT_HTTP],
  "chunked, and identity": [
    () => chunks("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    400,
    NOT_HTTP,
  ],
  "chunks in HTTP/1.0": [
    () => chunks("Transfer-Encoding: chunked", "Connection: keep-alive").replace("HTTP/1.1", "HTTP/1.0"),
    400,
    "Transfer-Encoding needs HTTP/1.1.",
  ],
  xchunked: [() => chunks("Transfer-Encoding: xchunked"), 400, NOT_HTTP],
  "a blank before the colon": [() => chunks("Transfer-Encoding : chunked"), 400, NOT_HTTP],
  "a blank before the name": [() => chunks(" Transfer-Encoding: chunked"), 400, NOT_HTTP],
  "a folded header": [() => head("GET /livez", ["X: a", " b"]), 400, NOT_HTTP],
  "lines without CR": [() => "GET /livez HTTP/1.1\nHost: x\n\n", 400, NOT_HTTP],
  "a CR alone": [() => head("GET /livez", ["X: a\rY: b"]), 400, NOT_HTTP],
  "NUL in a header": [() => head("GET /livez", ["X: a\0b"]), 400, NOT_HTTP],
  "NUL in a name": [() => head("GET /livez", ["X\0: a"]), 400, NOT_HTTP],
  "a line without a colon": [() => head("GET /livez", ["X"]), 400, NOT_HTTP],
  "a chunk without a size": [
    () => `${imported("Transfer-Encoding: chunked")}zz\r\n{}\r\n0\r\n\r\n`,
    400,
    NOT_HTTP,
  ],
  "chunks without CR": [() => `${imported("Transfer-Encoding: chunked")}2\n{}\n0\n\n`, 400, NOT_HTTP],
  "a chunk extension of 20,000 bytes": [
    () => `${imported("Transfer-Encoding: chunked")}2;${"x".repeat(20_000)}\r\n{}\r\n0\r\n\r\n`,
    413,
    "The chunk extensions are too large.",
  ],
  "a file as the target": [() => head("GET file:///etc/passwd"), 400, NO_URL],
  "a login in the target": [() => head("POST http://a:b@x/users/import"), 400, NO_URL],
  "half an address as the target": [() => head("GET http://["), 400, NO_URL],
  "a host as the target": [() => head("GET x:80"), 400, NOT_HTTP],
  "a target without /": [() => head("GET livez"), 400, NOT_HTTP],
  "OPTIONS *": [() => head("OPTIONS *"), 400, NO_URL],
  CONNECT: [() => head("CONNECT x:80"), 400, "This is no proxy."],
  "an unknown method": [() => head("FOO /livez"), 400, NOT_HTTP],
  "Expect: something else": [
    () => issue(["Expect: x"]),
    417,
    "Nothing but 100-continue can be expected here.",
  ],
  "HTTP/0.9": [() => "GET /livez\r\n\r\n", 400, ONE_HOST],
  "HTTP/2": [() => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, NOT_HTTP],
  TLS: [() => Buffer.from("1603010200010001fc0303", "hex"), 400, NOT_HTTP],
  garbage: [() => Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 37) % 256)), 400, NOT_HTTP],
};
for (const [what, [bytes, status, detail]] of Object.entries(refused))
  test(`refused, and nothing after it is read: ${what}`, async (t) => {
    const before = (await figures()).refused(status);
    const answers = await exchange(t, Buffer.concat([Buffer.from(bytes()), Buffer.from(LAST)]));
    assert.deepEqual(
      answers.map((answer) => answer.status),
      [status],
    );
    assertRefused(answers[0] as Answer, status, detail);
    assert.equal((await figures()).refused(status), before + 1);
  });

const served: Record<string, [() => string, ...statuses: number[]]> = {
  "100 headers": [() => head("GET /livez", Array(99).fill("X: y")), 200],
  "a whole address as the target": [() => head("GET http://x/livez"), 200],
  "Host is empty": [() => "GET /livez HTTP/1.1\r\nHost:\r\n\r\n", 200],
  "Host is no URL's": [() => "GET /livez HTTP/1.1\r\nHost: 1.2.3.4.5\r\n\r\n", 200],
  "empty lines before": [() => `\r\n\r\n${head("GET /livez")}`, 200],
  "a body of GET": [() => head("GET /livez", [], "hello"), 200],
  "Expect: 100-continue": [() => issue([JSON_BODY, "Expect: 100-continue"], "{}"), 100, 201],
  "a body in chunks": [() => `${issue([JSON_BODY, "Transfer-Encoding: chunked"])}2\r\n{}\r\n0\r\n\r\n`, 201],
  "a method that no path has": [() => head("TRACE /livez"), 404],
  "a path out of here": [() => head("GET /docs/../../../etc/passwd"), 404],
  "no path": [() => head("GET /coupons/%ff%zz", [bearer(admin)]), 400],
};
for (const [what, [bytes, ...statuses]] of Object.entries(served))
  test(`served, and what comes after it: ${what}`, async (t) => {
    const answers = await exchange(t, bytes() + LAST);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [...statuses, 200],
    );
  });

test("a protocol to upgrade to is not looked at, and Node would drop what follows: the connection is closed", async (t) => {
  for (const protocol of ["websocket", "h2c"]) {
    const upgrade = head("GET /livez", ["Connection: Upgrade", `Upgrade: ${protocol}`]);
    const [answer, ...more] = await exchange(t, upgrade + LAST);
    assert.deepEqual([answer?.status, answer?.headers["connection"], more], [200, "close", []]);
  }
});

test("a body that is longer than its length: the request is answered, the rest is none", async (t) => {
  const bytes = `${issue([JSON_BODY], "{}")}garbage\r\n\r\n${LAST}`;
  const [issued, rest, ...more] = await exchange(t, bytes);
  assert.deepEqual([issued?.status, issued?.body["user_id"], rest?.status, more], [201, users, 400, []]);
  assertRefused(rest as Answer, 400, NOT_HTTP);
});

test("half-close in a head or a body is refused; after a request it is hanging up, and asking again tells", async (t) => {
  for (const bytes of [issue().slice(0, -2), issue([JSON_BODY, "Content-Length: 9"], undefined)]) {
    const socket = await open(t);
    socket.end(bytes);
    const [answer, ...more] = await received(socket);
    assertRefused(answer as Answer, 400, NOT_HTTP);
    assert.deepEqual(more, []);
  }
  const socket = await open(t);
  // Nobody is granted a coupon before the end has been seen.
  await service.database.owner.begin(async (sql) => {
    await sql`select coupon.lock_issuing(${coupon}::bigint)`;
    socket.end(issue());
    assert.deepEqual(await received(socket), []);
  });
  assert.ok(
    [200, 201].includes((await statusOf(new Agent({ keepAlive: false }), service.token(users))) as number),
  );
});

test("deep JSON is refused, wherever it is", async (t) => {
  const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  const coupon = (metadata: string) =>
    `{"code": "DEEP", "message": "", "description": "", "start_time": "2031-01-01T00:00:00Z", ` +
    `"expiry": "2032-01-01T00:00:00Z", "count": 1, "metadata": ${metadata}}`;
  for (const [line, body, status] of [
    ["POST /coupons", deep(100_000), 413],
    ["POST /coupons", deep(8_000), 400],
    ["POST /coupons", coupon(deep(8_000)), 400],
    ["POST /coupons", coupon(`${'{"a":'.repeat(2_500)}1${"}".repeat(2_500)}`), 400],
    ["POST /users", deep(100_000), 400],
    ["POST /users", `{"users": ${deep(100_000)}}`, 400],
    ["POST /users", `{"users": [{"user_id": 1, "display_name": ${deep(100_000)}}]}`, 400],
    [`POST /coupons/${coupon}/issue`, deep(8_000), 400],
  ] as const) {
    const answers = await exchange(t, head(line, [bearer(admin), JSON_BODY, "Connection: close"], body));
    assert.deepEqual(
      answers.map((answer) => [answer.status, answer.body["outcome"]]),
      [[status, "invalid_request"]],
    );
  }
  const answer = await fetch(`${service.url}/users/import`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${admin}`,
      "content-type": "application/x-ndjson",
      connection: "close",
    },
    body: `{"user_id": 1, "display_name": ${deep(2_000)}}\n`,
  });
  const [line] = (await answer.text()).split("\n");
  assert.deepEqual(JSON.parse(line as string), {
    line: 1,
    outcome: "invalid",
    detail: "display_name: must be a string",
  });
});

// ---- What takes its time --------------------------------------------------------------------------------------------

/** Seconds until the server has ended the connection, and what it answered. */
async function until(socket: Socket, began: number): Promise<[seconds: number, answers: Answer[]]> {
  const answers = await received(socket);
  return [(performance.now() - began) / 1_000, answers];
}

test("slow and silent clients are cut in time, an upload that is answered meanwhile is not", async (t) => {
  const seconds = (ms: number) => ms / 1_000;
  const kinds: {
    first: string | (() => string);
    drip: string;
    after: number;
    many: number;
    answers: number[];
  }[] = [
    { first: "", drip: "", after: seconds(LIMITS.headMs), many: 300, answers: [] },
    { first: "POST /coup", drip: "", after: seconds(LIMITS.headMs), many: 50, answers: [408] },
    {
      first: "GET /livez HTTP/1.1\r\nHost: x\r\n",
      drip: "X: y\r\n",
      after: seconds(LIMITS.headMs),
      many: 50,
      answers: [408],
    },
    {
      first: () => `${head("GET /livez")}GET /`,
      drip: "x",
      after: seconds(LIMITS.headMs),
      many: 50,
      answers: [200, 408],
    },
    {
      first: () => `${issue([JSON_BODY, "Content-Length: 2"])}{`,
      drip: "",
      after: seconds(LIMITS.requestMs),
      many: 50,
      answers: [408],
    },
    {
      first: () => `${issue([JSON_BODY, "Content-Length: 500"])}{`,
      drip: " ",
      after: seconds(LIMITS.requestMs),
      many: 50,
      answers: [408],
    },
    {
      first: () => `${imported("Content-Length: 500").replace(admin, "x")}`,
      drip: " ",
      after: 0,
      many: 50,
      answers: [401],
    },
  ];
  const began = performance.now();
  const upload = slowUpload(() => Promise.allSettled(attacks));
  const attacks = kinds.flatMap(({ first, drip, after, many, answers }) =>
    Array.from({ length: many }, async () => {
      const socket = await open(t);
      socket.write(typeof first === "string" ? first : first());
      const dripping = drip && setInterval(() => socket.writable && socket.write(drip), 500);
      const [ended, got] = await until(socket, began);
      clearInterval(dripping || undefined);
      return { ended, after, got, answers, first };
    }),
  );
  await honestBeside(
    Promise.all(attacks).then((ends) => {
      for (const { ended, after, got, answers } of ends) {
        assert.deepEqual(
          got.map(({ status }) => status),
          answers,
        );
        assert.ok(ended >= after, `ended after ${ended} s`);
        if (answers.at(-1) === 408)
          assertRefused(got.at(-1) as Answer, 408, "The request did not arrive in time; nothing was done.");
      }
    }),
  );
  assert.deepEqual(await upload, [
    { line: 1, outcome: "unchanged", user_id: 1 },
    { line: 2, outcome: "unchanged", user_id: 2 },
    { outcome: "done", lines: 2, created: 0, updated: 0, unchanged: 2, forgotten: 0, invalid: 0 },
  ]);
  await untilNothingIsLeft();

  /** Two users, of which the second comes when all others were cut, who began later. */
  async function slowUpload(othersAreCut: () => Promise<unknown>): Promise<unknown[]> {
    const user = (user_id: number) =>
      Buffer.from(`{"user_id": ${user_id}, "display_name": "User ${user_id}"}\n`);
    async function* body() {
      yield user(1);
      await othersAreCut();
      yield user(2);
    }
    const answer = await fetch(`${service.url}/users/import`, {
      method: "POST",
      duplex: "half",
      headers: {
        authorization: `Bearer ${admin}`,
        "content-type": "application/x-ndjson",
        connection: "close",
      },
      body: ReadableStream.from(body()),
    } as RequestInit);
    return (await answer.text())
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }
});

// ---- Too much -------------------------------------------------------------------------------------------------------

test("1,000 requests of 1,000 users in one packet are answered in order, each user its own", async (t) => {
  const first = users + 1;
  users += 1_000;
  const asked = Array.from({ length: 1_000 }, (_, i) =>
    head(i % 10 === 9 ? `GET /users/${first + i}/coupons` : `POST /coupons/${coupon}/issue`, [
      bearer(service.token(first + i)),
    ]),
  );
  const socket = await open(t);
  socket.write(asked.join("") + LAST);
  const honest = statusOf(new Agent({ keepAlive: false }), service.token(nextUser()));
  const answers = await received(socket);
  const isWallet = (i: number) => i % 10 === 9;
  const wanted = asked.map((_, i) => [isWallet(i) ? 200 : 201, first + i]);
  // A busy machine has no place for some of them; after that nothing was done.
  const told = answers.map(({ status, body }, i) =>
    status === 503 && body["outcome"] === "overloaded" ? wanted[i] : [status, body["user_id"]],
  );
  assert.ok(answers.filter(({ status }) => status === 201).length > 0, "none was granted");
  assert.deepEqual(told, [...wanted, [200, undefined]]);
  assert.equal(await honest, 201);
  await untilNothingIsLeft();
});

test("answers that nobody reads hold no session of the database, and no memory to speak of", async (t) => {
  const bundles = head("GET /docs/swagger-ui-bundle.js").repeat(20); // 28 MB
  const list = head("GET /users", [bearer(admin)]);
  const { memory: before } = await figures();
  const sockets = await Promise.all(Array.from({ length: 25 }, () => open(t)));
  for (const socket of sockets) socket.write(bundles + list);
  const another = () => exchange(t, head("GET /users", [bearer(admin), "Connection: close"]));
  const full = async () => {
    for (;;) {
      const [answer] = await another();
      if (answer?.status === 503) return assert.equal(answer.body["outcome"], "overloaded");
    }
  };
  await full();
  // They wait for somebody to read, and the sessions for another one who asks.
  const { memory } = await untilFigures(
    ({ states, clients, inFlight }) =>
      states.join() === "idle" && clients === 1 + sockets.length && inFlight >= sockets.length,
  );
  assert.ok(memory - before < 100, `${memory - before} MB`);
  for (let i = 0; i < 3; i++)
    assert.equal(await statusOf(new Agent({ keepAlive: false }), service.token(nextUser())), 201);
  assert.equal((await another())[0]?.status, 503);
  for (const socket of sockets) socket.destroy();
  await untilNothingIsLeft();
  const whole = await fetch(`${service.url}/users`, {
    headers: { authorization: `Bearer ${admin}`, connection: "close" },
  });
  assert.equal((await whole.text()).split("\n").at(-2), `{"outcome":"done","lines":${USERS}}`);
});

test("20,000 tokens with bad signatures", async () => {
  const storm = async () => {
    const statuses = await Promise.all(
      Array.from({ length: 100 }, async (_, c) => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        const seen = new Set();
        for (let i = 1; i <= 200; i++)
          seen.add(await statusOf(agent, `${service.token(c * 200 + i).slice(0, -2)}xx`));
        agent.destroy();
        return [...seen];
      }),
    );
    assert.deepEqual(statuses, Array(100).fill([401]));
  };
  await honestBeside(storm());
  await untilNothingIsLeft();
});
