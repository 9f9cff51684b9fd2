import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { ReadableStream } from "node:stream/web";
import { type TestContext, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { getRequestListener } from "@hono/node-server";
import { openWorld } from "../../bench/harness/app.ts";
import { DatabaseError } from "../database/errors.ts";
import { exportLines, importLines } from "./lines.ts";

type User = { user_id: number; display_name: string };
type Answer = Record<string, unknown>;

const MAX_BATCH = 1_000;

const line = (user_id: number, display_name = "Ann") => `${JSON.stringify({ user_id, display_name })}\n`;
const lines = (first: number, count: number) =>
  Array.from({ length: count }, (_, i) => line(first + i)).join("");
const created = (of: number, user_id: number) => ({ line: of, outcome: "created", user_id });
const invalid = (of: number, detail: string) => ({ line: of, outcome: "invalid", detail });
const done = (of: number, counts: Answer) => ({
  outcome: "done",
  lines: of,
  created: 0,
  updated: 0,
  unchanged: 0,
  forgotten: 0,
  invalid: 0,
  ...counts,
});

/** These bytes, in chunks of this size. */
function streamOf(given: string | Buffer, size = Number.POSITIVE_INFINITY): ReadableStream<Uint8Array> {
  const bytes = Buffer.from(given);
  return ReadableStream.from(
    (function* () {
      for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
    })(),
  );
}

async function answersOf(stream: ReadableStream<Uint8Array>): Promise<Answer[]> {
  const said = await text(stream);
  assert.equal(said.at(-1), "\n");
  return said
    .slice(0, -1)
    .split("\n")
    .map((answer) => JSON.parse(answer));
}

/** An import_users() that makes everybody; `calls` are the ids of each call. */
function importer(before: () => void = () => {}) {
  const calls: number[][] = [];
  const importUsers = async (users: User[]) => {
    calls.push(users.map((user) => user.user_id));
    before();
    return users.map(({ user_id }) => ({ outcome: "created" as const, user_id }));
  };
  return { calls, importUsers };
}

function imports(
  given: string | Buffer | ReadableStream<Uint8Array>,
  { importUsers } = importer(),
  isDraining = () => false,
) {
  const input = given instanceof ReadableStream ? given : streamOf(given);
  return importLines(input, importUsers, { isDraining });
}

/** A few turns of the event loop, in which everything that can go on does. */
async function settled() {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function openDb(t: TestContext) {
  const world = await openWorld();
  t.after(() => world.close());
  return world;
}

test("a line each, in order, and how many of each at the end", async (t) => {
  const { db } = await openDb(t);
  const run = (given: string) =>
    text(
      importLines(streamOf(given), (users) => db.importUsers(users, { actor: "admin:root" }), {
        isDraining: () => false,
      }),
    );
  assert.equal(
    await run(line(7) + line(3, "Ben") + line(0) + line(9_007_199_254_740_991, '"\\ é𝄞')),
    `{"line":1,"outcome":"created","user_id":7}
{"line":2,"outcome":"created","user_id":3}
{"line":3,"outcome":"invalid","detail":"user_id: must be at least 1"}
{"line":4,"outcome":"created","user_id":9007199254740991}
{"outcome":"done","lines":4,"created":3,"updated":0,"unchanged":0,"forgotten":0,"invalid":1}
`,
  );
  assert.equal(
    await run(line(3, "Benny") + line(7)),
    `{"line":1,"outcome":"updated","user_id":3}
{"line":2,"outcome":"unchanged","user_id":7}
{"outcome":"done","lines":2,"created":0,"updated":1,"unchanged":1,"forgotten":0,"invalid":0}
`,
  );
  assert.deepEqual(
    await answersOf(exportLines({ page: (after) => db.listUsers(after, 2), keyOf: (user) => user.user_id })),
    [
      { user_id: 3, display_name: "Benny" },
      { user_id: 7, display_name: "Ann" },
      { user_id: 9_007_199_254_740_991, display_name: '"\\ é𝄞' },
      { outcome: "done", lines: 3 },
    ],
  );
});

const bad: [of: string, given: string | Buffer, detail: string][] = [
  ["no JSON", "{", "the line: must be JSON"],
  ["two on a line", `${line(1).trim()}${line(2).trim()}`, "the line: must be JSON"],
  ["no object", "7", "the line: must be an object"],
  ["null", "null", "the line: must be an object"],
  ["a list", "[]", "the line: must be an object"],
  ["no id", '{"display_name": "Ann"}', "user_id: is needed"],
  ["an id that is text", '{"user_id": "1", "display_name": "Ann"}', "user_id: must be a number"],
  [
    "an id of 2^53",
    '{"user_id": 9007199254740992, "display_name": "Ann"}',
    "user_id: must be at most 9007199254740991",
  ],
  ["half an id", '{"user_id": 1.5, "display_name": "Ann"}', "user_id: must be a whole number"],
  ["no name", '{"user_id": 1}', "display_name: is needed"],
  ["an empty name", '{"user_id": 1, "display_name": ""}', "display_name: must not be empty"],
  ["a long name", line(1, "é".repeat(201)).trim(), "display_name: must have at most 200 characters"],
  ["a NUL", '{"user_id": 1, "display_name": "A\\u0000"}', "display_name: must be valid text"],
  [
    "a member twice",
    '{"user_id": 1, "display_name": "A", "user_id": 2}',
    "the line: must not have a member twice",
  ],
  ["half a surrogate pair", '{"user_id": 1, "display_name": "A\\ud83d"}', "display_name: must be valid text"],
  [
    "one more member",
    '{"user_id": 1, "display_name": "Ann", "id": 1}',
    "id: is not a member of this request",
  ],
  [
    "other than UTF-8",
    Buffer.from('{"user_id": 1, "display_name": "\xe9"}', "latin1"),
    "the line: must be UTF-8",
  ],
  ["4097 bytes", line(1).trim().padEnd(4097), "the line: must have at most 4096 bytes"],
];
for (const [of, given, detail] of bad)
  test(`invalid: ${of}; the others are imported`, async () => {
    const { calls, importUsers } = importer();
    const body = Buffer.concat([Buffer.from(line(1)), Buffer.from(given), Buffer.from(`\n${line(2)}`)]);
    assert.deepEqual(await answersOf(imports(body, { calls, importUsers })), [
      created(1, 1),
      invalid(2, detail),
      created(3, 2),
      done(3, { created: 2, invalid: 1 }),
    ]);
    assert.deepEqual(calls, [[1, 2]]);
  });

test("in chunks of any size: ends of lines, blank ones, a last one without end", async () => {
  const long = line(1).trim().padEnd(4096);
  const body = `${long}\n\n${line(2, "é𝄞").replace("\n", "\r\n")}\r\n \t\n${"x".repeat(5000)}\n${line(3)}\n${line(4).trim()}`;
  for (const size of [1, 2, 3, 7, 64, 4096, 4097, 5000, 1_000_000])
    assert.deepEqual(
      await answersOf(imports(streamOf(body, size))),
      [
        created(1, 1),
        created(3, 2),
        invalid(6, "the line: must have at most 4096 bytes"),
        created(7, 3),
        created(9, 4),
        done(9, { created: 4, invalid: 1 }),
      ],
      `${size}`,
    );
});

test("nothing, or blank lines only", async () => {
  assert.deepEqual(await answersOf(imports("")), [done(0, {})]);
  assert.deepEqual(await answersOf(imports("\n\r\n \n")), [done(3, {})]);
});

test("of a line without end no more is kept than shows it", async () => {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  /** Buffers that are gone are freed beside the collection, so it is asked twice. */
  const used = async () => {
    gc();
    await settled();
    gc();
    return process.memoryUsage().arrayBuffers;
  };
  let kept = 0;
  async function* endless() {
    const before = await used();
    for (let chunk = 0; chunk < 1024; chunk++) yield Buffer.alloc(64 * 1024, "x");
    kept = (await used()) - before;
    yield Buffer.from(`\n${line(1)}`);
  }
  assert.deepEqual(await answersOf(imports(ReadableStream.from(endless()))), [
    invalid(1, "the line: must have at most 4096 bytes"),
    created(2, 1),
    done(2, { created: 1, invalid: 1 }),
  ]);
  assert.ok(kept < 1024 * 1024, `${kept} bytes`);
});

test("so many lines a call, the invalid ones counted; a repeated id begins the next call", async () => {
  const many = importer();
  const answers = await answersOf(imports(`${lines(1, 1_500)}{\n${lines(2_001, 1_000)}`, many));
  assert.deepEqual(
    many.calls.map((ids) => [ids[0], ids.at(-1), ids.length]),
    [
      [1, 1_000, 1_000],
      [1_001, 2_499, 999],
      [2_500, 3_000, 501],
    ],
  );
  assert.deepEqual(
    answers.slice(0, -1).map((answer) => answer["line"]),
    Array.from({ length: 2_501 }, (_, i) => i + 1),
  );
  assert.deepEqual(answers.at(-1), done(2_501, { created: 2_500, invalid: 1 }));

  const repeated = importer();
  await answersOf(imports([1, 2, 2, 1, 3, 3].map((id) => line(id)).join(""), repeated));
  assert.deepEqual(repeated.calls, [[1, 2], [2, 1, 3], [3]]);

  const none = importer();
  assert.deepEqual(
    (await answersOf(imports("{\n".repeat(2_000), none))).at(-1),
    done(2_000, { invalid: 2_000 }),
  );
  assert.deepEqual(none.calls, []);
});

test("a repeated id has the last of its names", async (t) => {
  const { db, scratch } = await openDb(t);
  const body = ["Ann", "Ben", "Ben", "Cid"].map((name) => line(1, name)).join("");
  const stream = importLines(streamOf(body), (users) => db.importUsers(users, { actor: "admin:root" }), {
    isDraining: () => false,
  });
  assert.deepEqual((await answersOf(stream)).at(-1), done(4, { created: 1, updated: 2, unchanged: 1 }));
  assert.equal((await scratch.owner`select display_name from coupon.users`)[0]?.["display_name"], "Cid");
});

test("reads no further than a batch ahead while nobody takes the answers, and imports none of it", async () => {
  let chunks = 0;
  async function* input() {
    for (; ; chunks++) yield Buffer.from(lines(1 + chunks * 100, 100));
  }
  const { calls, importUsers } = importer();
  const reader = imports(ReadableStream.from(input()), { calls, importUsers }).getReader();
  await settled();
  assert.deepEqual([chunks, calls.length], [0, 0]);
  for (const [batches, read] of [
    [1, 20],
    [2, 30],
  ] as const) {
    const { value } = await reader.read();
    assert.equal(
      Buffer.from(value as Uint8Array)
        .toString()
        .split("\n").length - 1,
      MAX_BATCH,
    );
    await settled();
    assert.deepEqual([chunks, calls.length], [read, batches]);
  }
  await reader.cancel();
});

test("a client that leaves: no more is read or imported", async () => {
  let ended = false;
  async function* input() {
    try {
      for (let first = 1; ; first += 100) yield Buffer.from(lines(first, 100));
    } finally {
      ended = true;
    }
  }
  const { calls, importUsers } = importer();
  const reader = imports(ReadableStream.from(input()), { calls, importUsers }).getReader();
  await reader.read();
  await reader.cancel();
  await settled();
  assert.deepEqual([ended, calls.length], [true, 1]);
});

test("an upload that breaks off breaks off the answer, without a last line; what was whole before may be imported", async () => {
  async function* input() {
    yield Buffer.from(lines(1, 1_001));
    throw new Error("aborted");
  }
  const { importUsers } = importer();
  const slow = async (users: User[]) => {
    await settled(); // it breaks off meanwhile
    return importUsers(users);
  };
  const said: string[] = [];
  const reading = async () => {
    const answers = imports(ReadableStream.from(input()), { calls: [], importUsers: slow });
    for await (const chunk of answers) said.push(Buffer.from(chunk).toString());
  };
  await assert.rejects(reading(), { message: "aborted" });
  assert.equal(said.join("").split("\n").length - 1, 1_000);
});

const failures: [error: Error, outcome: string, detail: string][] = [
  [
    new DatabaseError("unknown", "", "lost"),
    "outcome_unknown",
    "The database did not answer; the request may have been done. Send the same request again.",
  ],
  [
    new DatabaseError("busy", "55P03", "x"),
    "overloaded",
    "The database is busy; nothing was done. Send the request again.",
  ],
  [new Error("x"), "internal_error", "This is our mistake, and was logged."],
];
for (const [error, outcome, detail] of failures)
  test(`${outcome}: says from which line on to send again`, async () => {
    let calls = 0;
    const failing = importer(() => {
      calls += 1;
      if (calls === 2) throw error;
    });
    const body = `${lines(1, 1_000)}\n${lines(1_001, 2_000)}`;
    const answers = await answersOf(imports(body, failing));
    assert.equal(answers.length, 1_001);
    assert.deepEqual(
      [answers[999], answers[1_000]],
      [created(1_000, 1_000), { outcome, detail, next_line: 1_001 }],
    );
    assert.equal(failing.calls.length, 2);
    const rest = body
      .split("\n")
      .slice(1_001 - 1)
      .join("\n");
    assert.deepEqual((await answersOf(imports(rest))).at(-1), done(2_001, { created: 2_000 }));
  });

test("draining: between two batches, says from which line on to send again", async () => {
  let draining = false;
  const last = importer(() => {
    draining = true;
  });
  const answers = await answersOf(imports(lines(1, 3_000), last, () => draining));
  assert.deepEqual(answers.slice(999), [
    created(1_000, 1_000),
    { outcome: "draining", detail: "This server is ending.", next_line: 1_001 },
  ]);
  assert.equal(last.calls.length, 1);
});

test("over HTTP: a long upload, and one that is told the end before it has come to its own", async (t) => {
  let fails = false;
  const { calls, importUsers } = importer(() => {
    if (fails) throw new DatabaseError("unavailable", "ECONNREFUSED", "away");
  });
  const listener = getRequestListener(
    ({ body }) => new Response(imports(body as ReadableStream<Uint8Array>, { calls, importUsers })),
  );
  const server = createServer(listener).listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const post = () => {
    const sent = request({ port, method: "POST", agent: false });
    sent.on("error", () => {}); // cut off, when nobody wants the rest
    return { sent, answered: once(sent, "response").then(([answer]) => text(answer)) };
  };

  const whole = post();
  whole.sent.end(lines(1, 200_000));
  assert.deepEqual(
    JSON.parse((await whole.answered).trim().split("\n").at(-1) as string),
    done(200_000, { created: 200_000 }),
  );

  fails = true;
  const open = post();
  open.sent.write(lines(1, 1_500)); // and no end
  assert.deepEqual(JSON.parse(await open.answered), {
    outcome: "database_unavailable",
    detail: "The database cannot be reached; nothing was done. Send the request again.",
    next_line: 1,
  });
});

test("grants, a line each: as many pages as it takes", async (t) => {
  const { db, issue, newUser, newCoupon } = await openDb(t);
  const [before, coupon] = [await newCoupon(), await newCoupon()];
  const users = [await newUser(), await newUser(), await newUser()];
  await issue(before, await newUser());
  for (const user of users) await issue(coupon, user);
  await db.useCoupon(users[1] as number, coupon, "order 1", "service:shop");
  const answers = await answersOf(
    exportLines({ page: (after) => db.listGrants(coupon, after, 2), keyOf: (grant) => grant.position }),
  );
  const wallets = await Promise.all(users.map((user) => db.wallet(user, null, 1)));
  const times = wallets.map(([held]) => ({ issued_on: held?.issued_on, issued_at: held?.["issued_at"] }));
  assert.deepEqual(answers, [
    { position: 1, user_id: users[0], ...times[0], used_date: null, use_reference: null },
    {
      position: 2,
      user_id: users[1],
      ...times[1],
      used_date: wallets[1]?.[0]?.["used_date"],
      use_reference: "order 1",
    },
    { position: 3, user_id: users[2], ...times[2], used_date: null, use_reference: null },
    { outcome: "done", lines: 3 },
  ]);
});

/** Pages of three rows with keys 1 to `last`; `asked` says after which. */
function pages(last: number) {
  const asked: number[] = [];
  const page = async (after: number) => {
    asked.push(after);
    return Array.from({ length: Math.min(3, last - after) }, (_, i) => ({ key: after + 1 + i }));
  };
  return { asked, page };
}

test("an export asks for a page when the last one was taken, until one is empty", async () => {
  for (const [last, asks] of [
    [0, [0]],
    [3, [0, 3]],
    [7, [0, 3, 6, 7]],
  ] as const) {
    const { asked, page } = pages(last);
    const answers = await answersOf(exportLines({ page, keyOf: (row) => row.key }));
    assert.deepEqual(answers, [
      ...Array.from({ length: last }, (_, i) => ({ key: i + 1 })),
      { outcome: "done", lines: last },
    ]);
    assert.deepEqual(asked, asks);
  }
  const { asked, page } = pages(1_000);
  const reader = exportLines({ page, keyOf: (row) => row.key }).getReader();
  await settled();
  assert.deepEqual(asked, []);
  await reader.read();
  await settled();
  assert.deepEqual(asked, [0]);
  await reader.cancel();
  await settled();
  assert.deepEqual(asked, [0]);
});

test("an export goes on after a key, and one that fails says after which", async () => {
  const { page } = pages(9);
  const rest = await answersOf(exportLines({ page, keyOf: (row) => row.key, after: 7 }));
  assert.deepEqual(rest, [{ key: 8 }, { key: 9 }, { outcome: "done", lines: 2 }]);
  const away = {
    outcome: "database_unavailable",
    detail: "The database cannot be reached; nothing was done. Send the request again.",
    next_after: 6,
  };
  const failing = (after: number) =>
    after === 6 ? Promise.reject(new DatabaseError("unavailable", "ECONNREFUSED", "away")) : page(after);
  const some = await answersOf(exportLines({ page: failing, keyOf: (row) => row.key, after: 3 }));
  assert.deepEqual(some, [{ key: 4 }, { key: 5 }, { key: 6 }, away]);
  assert.deepEqual(await answersOf(exportLines({ page: failing, keyOf: (row) => row.key, after: 6 })), [
    away,
  ]);
});
