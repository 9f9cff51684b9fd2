import assert from "node:assert/strict";
import { test } from "node:test";
import { createClock } from "../../bench/harness/clock.ts";
import { DatabaseError } from "../database/errors.ts";
import type { Env } from "../env.ts";
import { createLog, SAMPLE } from "./log.ts";

/** What a log at this level writes of each kind of line. */
function linesAt(level: Env["LOG_LEVEL"]) {
  const lines: Record<string, unknown>[] = [];
  const clock = createClock();
  const write = (line: string) => {
    assert.match(line, /^{.*}\n$/);
    lines.push(JSON.parse(line));
  };
  return { log: createLog(level, write, clock), lines, clock };
}

const requests: [method: string, status: number, level: string][] = [
  ["POST", 201, "info"],
  ["POST", 200, "info"],
  ["POST", 409, "info"],
  ["POST", 404, "info"],
  ["POST", 401, "info"],
  ["GET", 200, "debug"],
  ["HEAD", 200, "debug"],
  ["OPTIONS", 204, "debug"],
  ["GET", 404, "info"],
  ["GET", 500, "warn"],
  ["POST", 503, "warn"],
];
const LEVELS = ["debug", "info", "warn", "error"] as const;

for (const threshold of LEVELS)
  test(`${threshold}: which requests`, () => {
    const { log, lines } = linesAt(threshold);
    for (const [method, status] of requests) log.request(method, "/x", status, 1, "id");
    assert.deepEqual(
      lines.map((line) => [line["method"], line["status"], line["level"]]),
      requests.filter(([, , level]) => LEVELS.indexOf(level as "debug") >= LEVELS.indexOf(threshold)),
    );
  });

test("refusals and failures: some a second of each status, then how many more; grants each", async () => {
  const { log, lines, clock } = linesAt("info");
  const burst = () => {
    lines.length = 0;
    for (let i = 0; i < 1_000; i++)
      for (const status of [201, 409, 503]) log.request("POST", "/coupons/1/issue", status, 1, "id");
    return [201, 409, 503].map((status) => lines.filter((line) => line["status"] === status).length);
  };
  for (let second = 0; second < 2; second++) {
    assert.deepEqual(burst(), [1_000, SAMPLE, SAMPLE]);
    lines.length = 0;
    await clock.pass(1_000);
    assert.deepEqual(
      lines.map(({ time: _, ...line }) => line),
      [
        { level: "info", message: "not logged", status: 409, count: 1_000 - SAMPLE },
        { level: "warn", message: "not logged", status: 503, count: 1_000 - SAMPLE },
      ],
    );
  }
});

/** Lines without their time. */
const told = (lines: Record<string, unknown>[]) => lines.map(({ time: _, ...line }) => line);

test("an outage is a line for each reason, and then a line a minute for as long as it lasts", async () => {
  const { log, lines, clock } = linesAt("info");
  const fail = () => {
    for (let i = 0; i < 500; i++)
      for (const sqlstate of ["53300", "57P03"])
        log.failure(new DatabaseError("unavailable", sqlstate, `away, says ${i}`), `${i}`);
  };
  const what = (sqlstate: string) => ({
    level: "error",
    name: "DatabaseError",
    kind: "unavailable",
    sqlstate,
  });
  fail();
  assert.deepEqual(
    told(lines),
    ["53300", "57P03"].map((state) => ({ ...what(state), message: "away, says 0", request_id: "0" })),
  );
  assert.equal(log.dropped(), 2 * 499);
  lines.length = 0;
  for (const count of [499, 500]) {
    await clock.pass(60_000);
    assert.deepEqual(
      told(lines),
      ["53300", "57P03"].map((state) => ({
        ...what(state),
        message: "failed again",
        error: "away, says 0",
        count,
      })),
    );
    lines.length = 0;
    fail();
    assert.deepEqual(lines, []);
  }
  await clock.pass(120_000);
  lines.length = 0;
  log.failure(new DatabaseError("unavailable", "53300", "away, says 1"));
  assert.equal(lines.length, 1, "told anew");
});

test("reasons are told apart by what an operator would mend, and are bounded", () => {
  const { log, lines } = linesAt("info");
  const refused = (constraint: string) =>
    new DatabaseError("defect", "23514", "refused", undefined, undefined, {
      schema: "coupon",
      table: "users",
      constraint,
    });
  for (let i = 0; i < 2; i++) for (const each of ["a", "b"]) log.failure(refused(each));
  assert.deepEqual(
    lines.map(({ schema, table, constraint }) => [schema, table, constraint]),
    [
      ["coupon", "users", "a"],
      ["coupon", "users", "b"],
    ],
  );
  lines.length = 0;
  for (let i = 0; i < 1_000; i++) log.failure(refused(`c${"x".repeat(i)}`));
  assert.equal(lines.length, 99, "98 more, and all the rest as one");
});

test("at debug every request is a line", () => {
  const { log, lines } = linesAt("debug");
  for (let i = 0; i < 100; i++) log.request("POST", "/coupons/1/issue", 409, 1, "id");
  assert.equal(lines.length, 100);
});

test("a request", () => {
  const { log, lines } = linesAt("info");
  log.request("POST", "/coupons/1/issue", 201, 1.23456, "id");
  const [{ time, ...line } = {}] = lines;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(line, {
    level: "info",
    message: "request",
    method: "POST",
    path: "/coupons/1/issue",
    status: 201,
    ms: 1.235,
    request_id: "id",
  });
});

test("a request whose answer acknowledges a grant has the grant", () => {
  const { log, lines } = linesAt("info");
  const grant = { coupon_id: 1, user_id: 7, position: 3, issued_at: "2026-11-29T12:00:00.000001Z" };
  log.request("POST", "/coupons/1/issue", 201, 1, "id", undefined, grant);
  const [{ coupon_id, user_id, position, issued_at } = {}] = lines;
  assert.deepEqual({ coupon_id, user_id, position, issued_at }, grant);
});

test("an event, down to info", () => {
  for (const threshold of LEVELS) {
    const { log, lines } = linesAt(threshold);
    log.event("listening", { port: 1 });
    assert.deepEqual(
      lines.map(({ time: _, ...line }) => line),
      ["debug", "info"].includes(threshold) ? [{ level: "info", message: "listening", port: 1 }] : [],
    );
  }
});

test("a failure of the database: SQLSTATE and constraint, at every level, without a stack", () => {
  for (const threshold of LEVELS) {
    const { log, lines } = linesAt(threshold);
    const place = { schema: "coupon", table: "user_coupons", constraint: "user_coupons_pkey" };
    log.failure(new DatabaseError("conflict", "23505", "duplicate key", undefined, undefined, place), "id");
    const [{ time: _, ...line } = {}] = lines;
    assert.deepEqual(line, {
      level: "error",
      message: "duplicate key",
      name: "DatabaseError",
      kind: "conflict",
      sqlstate: "23505",
      ...place,
      request_id: "id",
    });
  }
});

test("a mistake of ours: with its stack", () => {
  const { log, lines } = linesAt("error");
  for (const error of [new TypeError("x"), new DatabaseError("defect", "42883", "y")]) log.failure(error);
  assert.equal(lines.length, 2);
  for (const line of lines) assert.match(String(line["stack"]), /log\.test\.ts/);
});
