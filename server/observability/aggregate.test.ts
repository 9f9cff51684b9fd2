import assert from "node:assert/strict";
import { test } from "node:test";
import { collectDefaultMetrics } from "prom-client";
import { GAUGES, lasting, type Report, textOf, together } from "./aggregate.ts";
import { createMetrics } from "./metrics.ts";

const pool = { size: 4, running: 1, waiting: 0, errors: { busy: 1 } };
const pools = { issue: pool, command: pool, read: pool };

/** All metrics of a process, as a worker reports them. */
async function reportOf(): Promise<Report> {
  const metrics = createMetrics();
  metrics.watch({
    pools: pools as never,
    commitWaitsFor: () => "synchronous (n2)",
    issuing: {
      lanes: { queued: () => 3, maxQueue: 20_000, overloaded: () => 2 },
      leases: {
        ...{ hits: () => 5, held: () => 1 },
        soldOut: () => [{ couponId: 7, soldOutAt: "2026-11-22T10:00:00.000001Z" }],
      },
      tally: { counted: () => 4, pending: () => 3 },
      outcomes: { issued: 7 },
    },
    log: { dropped: () => 1 },
    webhooks: {
      sent: { taken: 5, refused: 1, unanswered: 2 },
      state: { waiting: 2, dead: 1, disabled: 0, behind: 3 },
    },
    inFlight: () => 2,
    streams: () => 6,
  });
  metrics.batch(10, 4);
  metrics.requests.of("GET", "/readyz")(200, 3);
  collectDefaultMetrics({ register: metrics.registry });
  return JSON.parse(JSON.stringify(await metrics.registry.getMetricsAsJSON()));
}

test("every metric of a process has a rule, and every rule a metric", async () => {
  const report = await reportOf();
  const gauges = report.filter(({ type }) => type === "gauge").map(({ name }) => name);
  // With the process's own handles only if Node.js still has them.
  const known = Object.keys(GAUGES).filter((name) => gauges.includes(name) || !name.includes("_active_"));
  assert.deepEqual(gauges.sort(), known.sort());
});

test("a gauge without a rule is an error, and not a sum", () => {
  const report = [{ name: "invented", help: "h", type: "gauge", values: [{ labels: {}, value: 1 }] }];
  assert.throws(() => together([report]), /no rule says how invented of several processes is told/);
});

/** One value of each of two processes, in the text. */
async function told(name: string, type: string, first: number, second: number): Promise<string | undefined> {
  const report = (value: number) => [{ name, help: "h", type, values: [{ labels: { a: "b" }, value }] }];
  const text = await textOf(together([report(first), report(second)]));
  return text.match(/^\w+\{a="b"\} (.*)$/m)?.[1];
}

for (const [name, type, expected] of [
  ["coupon_lease_hits_total", "counter", "40"],
  ["process_cpu_seconds_total", "counter", "40"],
  ["coupon_pool_size", "gauge", "40"],
  ["coupon_lane_queue_limit", "gauge", "40"],
  ["process_open_fds", "gauge", "40"],
  ["process_max_fds", "gauge", "40"],
  ["process_resident_memory_bytes", "gauge", "40"],
  ["process_start_time_seconds", "gauge", "10"],
  ["nodejs_version_info", "gauge", "30"],
  ["nodejs_eventloop_lag_min_seconds", "gauge", "10"],
  ["nodejs_eventloop_lag_max_seconds", "gauge", "30"],
  ["nodejs_eventloop_lag_p99_seconds", "gauge", "30"],
  ["nodejs_eventloop_lag_mean_seconds", "gauge", "20"],
] as const)
  test(`${name} of 10 and 30 is ${expected}`, async () =>
    assert.equal(await told(name, type, 10, 30), expected));

test("histograms are summed, series by series, and labels in another order are the same", async () => {
  const [first, second] = [await reportOf(), await reportOf()];
  const text = await textOf(together([first, second]));
  assert.match(text, /^coupon_batch_size_bucket\{le="5"\} 0$/m);
  assert.match(text, /^coupon_batch_size_bucket\{le="10"\} 2$/m);
  assert.match(text, /^coupon_batch_size_sum 20$/m);
  assert.match(text, /^coupon_batch_size_count 2$/m);
  assert.match(text, /^coupon_batch_duration_seconds_sum 0\.008$/m);
  assert.match(
    text,
    /^http_server_request_duration_seconds_count\{http_request_method="GET",http_response_status_code="200",http_route="\/readyz",url_scheme="http"\} 2$/m,
  );
  assert.match(text, /^nodejs_version_info\{.*\} 1$/m);
});

test("of a process that ended its counts and its start stay, and no gauge", async () => {
  const kept = lasting(await reportOf());
  const names = kept.map(({ name }) => name);
  assert.ok(names.includes("coupon_lease_hits_total") && names.includes("coupon_batch_size"));
  assert.deepEqual(
    kept.filter(({ type }) => type === "gauge").map(({ name }) => name),
    ["process_start_time_seconds"],
  );
  assert.deepEqual(together([[], kept]), together([kept]));
});
