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

test("an outage is a few lines a second, each kind for itself", async () => {
  const { log, lines, clock } = linesAt("error");
  for (let i = 0; i < 500; i++)
    for (const sqlstate of ["53300", "57P03"])
      log.failure(new DatabaseError("unavailable", sqlstate, "away"));
  assert.equal(lines.length, 2 * SAMPLE);
  assert.equal(log.dropped(), 2 * (500 - SAMPLE));
  await clock.pass(1_000);
  const { time: _, ...last } = lines.at(-1) ?? {};
  assert.deepEqual(last, {
    level: "error",
    message: "not logged",
    kind: "unavailable",
    sqlstate: "57P03",
    count: 500 - SAMPLE,
  });
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
    log.failure(new DatabaseError("conflict", "23505", "duplicate key", "user_coupons_pkey"), "id");
    const [{ time: _, ...line } = {}] = lines;
    assert.deepEqual(line, {
      level: "error",
      message: "duplicate key",
      name: "DatabaseError",
      kind: "conflict",
      sqlstate: "23505",
      subject: "user_coupons_pkey",
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
