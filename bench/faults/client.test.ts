/** What an answer means for its client, and that no request is waited for without end. */
import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { createClient, read } from "./client.ts";
import type { Ask } from "./history.ts";

const answer = (status: number, body: object) => read("issue", status, JSON.stringify(body));

test("answers by what they promise", () => {
  const at = "2026-11-22T10:00:00.000001Z";
  assert.deepEqual(answer(201, { outcome: "issued", position: 3, issued_at: at }), {
    is: "ok",
    outcome: "issued",
    position: 3,
    at,
  });
  assert.deepEqual(read("use", 200, JSON.stringify({ outcome: "used", used_date: at })), {
    is: "ok",
    outcome: "used",
    at,
  });
  const day = (outcome: string, day: string, coupon_id: number) => ({ outcome, day, coupon_id });
  const coupons = [
    day("made", "2026-11-30", 7),
    day("already_made", "2026-12-01", 3),
    day("day_full", "2026-12-02", 0),
  ];
  assert.deepEqual(read("fill", 200, JSON.stringify({ coupons })), {
    is: "ok",
    outcome: "filled",
    days: { "2026-11-30": 7, "2026-12-01": 3 },
  });
  assert.deepEqual(answer(409, { outcome: "sold_out" }), { is: "refused", outcome: "sold_out" });
  for (const outcome of [
    "overloaded",
    "database_unavailable",
    "writes_stalled",
    "keys_unavailable",
    "draining",
  ])
    assert.deepEqual(answer(503, { outcome }), { is: "undone", outcome });
  assert.deepEqual(answer(503, { outcome: "outcome_unknown" }), {
    is: "unknown",
    outcome: "outcome_unknown",
  });
  assert.deepEqual(answer(503, { outcome: "new" }), { is: "wrong", outcome: "503 new" });
  // An outcome under another one's status, or of another command.
  for (const [status, outcome] of [
    [200, "sold_out"],
    [200, "issued"],
    [409, "already_issued"],
    [200, "used"],
    [409, "count_taken"],
    [409, "constructor"],
  ] as const)
    assert.deepEqual(answer(status, { outcome }), { is: "wrong", outcome: `${status} ${outcome}` });
  assert.deepEqual(answer(500, { outcome: "internal_error" }), {
    is: "wrong",
    outcome: "500 internal_error",
  });
  assert.deepEqual(read("issue", 502, "<html>"), { is: "wrong", outcome: "502 <html>" });
});

const TOKENS = {
  user: (user: number) => `token ${user}`,
  till: (till: number) => `till ${till}`,
  admin: "admin",
};

/** A server, and a client with this deadline. */
async function serve(t: TestContext, listener: RequestListener, given: { deadlineMs?: number } = {}) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const client = createClient(TOKENS, given);
  t.after(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return { client, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const SCANNED = { coupon: 7, user: 1, till: 2, claim: "7K3M-PX2A-9QTD" };
/** What is asked, and whose token, path and body that is. */
const SENT: [ask: Ask, token: string, path: string, body: string][] = [
  [{ kind: "issue", coupon: 7, user: 1 }, "token 1", "/coupons/7/issue", "{}"],
  [{ kind: "use", coupon: 7, user: 1, reference: "r" }, "token 1", "/coupons/7/use", '{"reference":"r"}'],
  [{ kind: "restock", coupon: 7, count: 9 }, "admin", "/coupons/7/count", '{"count":9}'],
  [
    { kind: "create", code: "C", message: "m", start: 0, end: 1_500, count: 2 },
    "admin",
    "/coupons",
    '{"code":"C","message":"m","description":"","start_time":"1970-01-01T00:00:00.000Z","expiry":"1970-01-01T00:00:01.500Z","count":2}',
  ],
  [{ kind: "edit", coupon: 7, message: "other" }, "admin", "/coupons/7/edit", '{"message":"other"}'],
  [
    { kind: "move", coupon: 7, start: 1 },
    "admin",
    "/coupons/7/start",
    '{"start_time":"1970-01-01T00:00:00.001Z"}',
  ],
  [
    { kind: "early", coupon: 7, from: 1 },
    "admin",
    "/coupons/7/group",
    '{"group_name":"regulars","eligible_from":"1970-01-01T00:00:00.001Z"}',
  ],
  [{ kind: "withdraw", coupon: 7 }, "admin", "/coupons/7/withdraw", "{}"],
  [
    { kind: "scan", ...SCANNED, reference: "slip 1" },
    "till 2",
    "/claims/use",
    '{"claim_code":"7K3M-PX2A-9QTD","reference":"slip 1"}',
  ],
  [
    { kind: "undo", ...SCANNED, used: "2026-11-22T10:00:00.000001Z" },
    "till 2",
    "/claims/undo-use",
    '{"claim_code":"7K3M-PX2A-9QTD","reason":"User 1 brought it back","used_date":"2026-11-22T10:00:00.000001Z"}',
  ],
  [{ kind: "forget", user: 1 }, "admin", "/users/1/forget", "{}"],
  [
    { kind: "plan", weekday: 1, message: "m", count: 3 },
    "admin",
    "/plan",
    '{"weekday":1,"slot":1,"code_pattern":"PLAN-{date}","message":"m","description":"","count":3,"local_start":"00:00","local_expiry":"00:00","expiry_days":1}',
  ],
  [{ kind: "fill", last: "2026-11-30" }, "admin", "/plan/fill", '{"last_day":"2026-11-30"}'],
  [
    { kind: "retire", before: "2026-01-01", most: 5 },
    "admin",
    "/coupons/retire",
    '{"before":"2026-01-01","at_most":5}',
  ],
];

test("what is sent", async (t) => {
  const seen: unknown[] = [];
  const { client, url } = await serve(t, async (request, response) => {
    seen.push([request.method, request.url, request.headers.authorization, await text(request)]);
    response.writeHead(409).end('{"outcome":"sold_out"}');
  });
  for (const [ask] of SENT) await client.send(url, ask);
  assert.deepEqual(
    seen,
    SENT.map(([, token, path, body]) => ["POST", path, `Bearer ${token}`, body]),
  );
});

const ASK = { kind: "issue", coupon: 7, user: 1 } as const;

test("no answer: the connection was lost, nothing listened", async (t) => {
  const { client, server, url } = await serve(t, (request) => void request.socket.destroy());
  assert.deepEqual(await client.send(url, ASK), { is: "unknown", outcome: "lost" });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(await client.send(url, ASK), { is: "undone", outcome: "unreachable" });
});

test("no answer: the deadline passed, the client hung up", async (t) => {
  const { client, url } = await serve(t, () => {}, { deadlineMs: 50 });
  assert.deepEqual(await client.send(url, ASK), { is: "unknown", outcome: "deadline" });
  assert.deepEqual(await client.send(url, ASK, 1), { is: "unknown", outcome: "hung_up" });
});
