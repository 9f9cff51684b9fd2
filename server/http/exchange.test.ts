import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseError } from "../database/errors.ts";
import { createMetrics } from "../observability/metrics.ts";
import { createCors } from "./cors.ts";
import { createExchanges, type Tracer } from "./exchange.ts";
import { Problem } from "./problem.ts";
import { createRateLimit } from "./rate-limit.ts";

const SHOP = "https://shop.example";

interface Given {
  draining?: boolean;
  limit?: number;
  tracer?: Tracer;
}

/** Exchanges, and what they tell. */
function told({ draining = false, limit = 0, tracer }: Given = {}) {
  const counted: string[] = [];
  const logged: unknown[][] = [];
  const exchanges = createExchanges({
    clock: { now: () => 1_005 },
    log: {
      request: (method, path, status, ms, ...ids) => {
        logged.push([method, path, status, ms, ...ids]);
      },
      failure: (error, requestId) => logged.push([error, requestId]),
    },
    metrics: {
      ...createMetrics(),
      requests: {
        of: (method, route) => (status) => void counted.push(`${method} ${route ?? "unmatched"} ${status}`),
      },
    },
    cors: createCors([SHOP]),
    rateLimit: createRateLimit(limit, { now: () => 0 }),
    isDraining: () => draining,
    tracer,
  });
  const begin = (headers: string[] | Headers, method = "GET") =>
    exchanges.begin(1_000, method, "/livez", headers);
  return { ...exchanges, begin, counted, logged };
}

test("counts and logs each once, by its own id or a new one", () => {
  const { begin, matched, granted, end, counted, logged } = told();
  const [mine, other, strange] = [begin(["X-Request-ID", "mine:1"]), begin([]), begin([], "PROPFIND")];
  matched(mine, "/livez");
  const grant = { user_id: 7, position: 1, issued_at: "2026-11-29T12:00:00.000001Z" };
  granted(mine, 9, grant);
  granted(other, 9, { user_id: 8, position: null, issued_at: null });
  for (const exchange of [mine, other, strange]) end(exchange, 200, {});
  assert.deepEqual(counted, ["GET /livez 200", "GET unmatched 200", "PROPFIND unmatched 200"]);
  assert.match(other.requestId, /^[0-9a-f-]{36}$/);
  assert.deepEqual(logged, [
    ["GET", "/livez", 200, 5, "mine:1", undefined, { coupon_id: 9, ...grant }],
    ["GET", "/livez", 200, 5, other.requestId, undefined, undefined],
    ["PROPFIND", "/livez", 200, 5, strange.requestId, undefined, undefined],
  ]);
});

test("the same headers from Node's list and from a Headers object", () => {
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const { begin, end, limit, logged } = told({ draining: true, limit: 3 });
  const given = { Origin: SHOP, Traceparent: traceparent };
  for (const [i, headers] of [Object.entries(given).flat(), new Headers(given)].entries()) {
    const exchange = begin(headers);
    assert.equal(limit(exchange, 7), undefined);
    const answer: Record<string, string> = {};
    end(exchange, 200, answer);
    const { "access-control-expose-headers": _, ...rest } = answer;
    assert.deepEqual(rest, {
      ratelimit: `"user";r=${2 - i};t=0`,
      connection: "close",
      vary: "origin",
      "access-control-allow-origin": SHOP,
    });
    assert.equal(logged.at(-1)?.[5], "4bf92f3577b34da6a3ce929d0e0e4736");
  }
});

test("a traceparent is answered when a span is exported, not while there is no room for it, and the log has its trace in any case", () => {
  const [traceId, parentId, spanId] = [
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "00f067aa0ba902b7",
    "b7ad6b7169203331",
  ];
  const ended: unknown[] = [];
  let hasRoom = true;
  const tracer: Tracer = {
    begin: (parent) => (parent?.isSampled ? { ...parent, spanId } : undefined),
    hasRoom: () => hasRoom,
    end: (span, { method }, status, ms) => void ended.push([span, method, status, ms]),
  };
  const { begin, end, logged } = told({ tracer });
  const answers = ["01", "00"].map((flags) => {
    const answer: Record<string, string> = {};
    end(begin(["traceparent", `00-${traceId}-${parentId}-${flags}`]), 200, answer);
    return answer["traceparent"];
  });
  assert.deepEqual(answers, [`00-${traceId}-${spanId}-01`, undefined]);
  assert.deepEqual(ended, [[{ traceId, parentId, isSampled: true, spanId }, "GET", 200, 5]]);
  assert.deepEqual(
    logged.map((line) => line[5]),
    [traceId, traceId],
  );

  // Room is asked for when it ends: meanwhile others may have taken it.
  const last = begin(["traceparent", `00-${traceId}-${parentId}-01`]);
  hasRoom = false;
  const answer: Record<string, string> = {};
  end(last, 200, answer);
  assert.equal(answer["traceparent"], undefined);
  assert.deepEqual(
    [ended.length, logged.at(-1)?.[5]],
    [2, traceId],
    "it is dropped, and counted by the tracer",
  );
});

test("one request too many of a user is a problem, and says what is left", () => {
  const { begin, end, limit } = told({ limit: 1 });
  assert.equal(limit(begin([]), 7), undefined);
  const exchange = begin([]);
  assert.equal(limit(exchange, 7)?.members.outcome, "rate_limited");
  const answer: Record<string, string> = {};
  end(exchange, 429, answer);
  assert.deepEqual(answer, { ratelimit: '"user";r=0;t=10', vary: "origin" });
});

test("a failure of ours is logged with the request's id, a refusal is not", () => {
  const { begin, failed, logged } = told();
  const exchange = begin(["x-request-id", "mine:1"]);
  const ours = new DatabaseError("defect", "42703", "no such column");
  assert.equal(failed(exchange, ours).status, 500);
  const argument = new DatabaseError("argument", "22023", "count must be more", "count");
  assert.equal(failed(exchange, argument).status, 400);
  assert.equal(failed(exchange, new Problem("no_such_route")).status, 404);
  assert.deepEqual(logged, [[ours, "mine:1"]]);
});

test("what is no request is answered with its problem, counted and logged, and closes its connection", () => {
  const { refuse, counted, logged } = told();
  const { status, headers, text } = refuse(new Problem("request_timeout"));
  const { "x-request-id": id, ...rest } = headers;
  assert.equal(status, 408);
  assert.deepEqual(rest, {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    connection: "close",
    "content-length": `${text.length}`,
  });
  assert.equal(JSON.parse(text).request_id, id);
  assert.deepEqual([counted, logged], [["- unmatched 408"], [["-", "-", 408, 0, id, undefined, undefined]]]);
});
