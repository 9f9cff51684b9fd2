/**
 * What /metrics tells. Counted in plain numbers, since a counter of prom-client's hashes its labels each time; it reads them
 * when it is asked, writes the text, and adds up the workers. Every label has few values, whatever is sent.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type Metric, Registry } from "prom-client";
import { type Command, outcomes } from "../api/outcomes.ts";
import { isLocal } from "../auth/local.ts";
import type { Pools } from "../database/functions.ts";
import type { Sent } from "../http/answer.ts";
import { headerOf } from "../http/headers.ts";
import { Problem } from "../http/problem.ts";
import type { Issuing } from "../issuing/issuing.ts";
import type { Log } from "./log.ts";

/** Upper bounds of the buckets: seconds of a request and of a batch, and requests in a batch. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/** Where the gauges are read when they are asked for. */
export interface Sources {
  pools: Pools;
  issuing: Pick<Issuing, "lanes" | "leases" | "outcomes">;
  log: Pick<Log, "dropped">;
  /** Requests that have no answer yet. */
  inFlight: () => number;
  /** Event streams that are open. */
  streams: () => number;
}

interface Options {
  /** With it /metrics answers whoever sends it, without it this machine only. */
  token?: string | undefined;
  /** The text for all workers, where there are several. */
  read?: (() => Promise<string>) | undefined;
}

export type Metrics = ReturnType<typeof createMetrics>;
type Labels = Record<string, string | number>;
interface Value {
  metricName?: string;
  labels: Labels;
  value: number;
}

export function createMetrics({ token, read }: Options = {}) {
  const registry = new Registry();
  const requests = createRequests();
  const counts = emptyCounts();
  const batchSizes = createSeries(SIZES);
  const batchSeconds = createSeries(SECONDS);

  expose(
    registry,
    "histogram",
    "coupon_http_request_duration_seconds",
    "Requests by route, method and status, and their duration.",
    () => requests.all().flatMap((series) => histogram("coupon_http_request_duration_seconds", series)),
  );
  expose(registry, "histogram", "coupon_batch_size", "Requests in one call of issue_coupons().", () =>
    histogram("coupon_batch_size", batchSizes),
  );
  expose(
    registry,
    "histogram",
    "coupon_batch_duration_seconds",
    "Duration of one call of issue_coupons().",
    () => histogram("coupon_batch_duration_seconds", batchSeconds),
  );

  /** Begins to tell what is read from these. */
  function watch({ pools, issuing, log, inFlight, streams }: Sources): void {
    counts.issue_coupon = issuing.outcomes;
    const one = (name: string, type: "counter" | "gauge", help: string, value: () => number) =>
      expose(registry, type, name, help, () => [{ labels: {}, value: value() }]);
    const each = (name: string, help: string, value: (pool: Pools[keyof Pools]) => number) =>
      expose(registry, "gauge", name, help, () =>
        Object.entries(pools).map(([pool, figures]) => ({ labels: { pool }, value: value(figures) })),
      );

    expose(
      registry,
      "counter",
      "coupon_outcomes_total",
      "Outcomes of commands, including refusals served from a lease.",
      () =>
        Object.entries(counts).flatMap(([command, byOutcome]) =>
          Object.entries(byOutcome).map(([outcome, value]) => ({ labels: { command, outcome }, value })),
        ),
    );
    one("coupon_http_requests_in_flight", "gauge", "Requests in flight.", inFlight);
    one("coupon_streams_open", "gauge", "Open event streams.", streams);
    one("coupon_lane_queued", "gauge", "Requests that wait for a batch, in all lanes.", issuing.lanes.queued);
    one(
      "coupon_lane_queue_limit",
      "gauge",
      "Requests that may wait; further ones get 503.",
      () => issuing.lanes.maxQueue,
    );
    one(
      "coupon_lane_overloaded_total",
      "counter",
      "Requests refused as overloaded: the queue was full, the wait too long, or too many unknown coupons were asked for.",
      issuing.lanes.overloaded,
    );
    one("coupon_leases_held", "gauge", "Coupons with a valid lease.", issuing.leases.held);
    one("coupon_lease_hits_total", "counter", "Refusals served from a lease.", issuing.leases.hits);
    each("coupon_pool_size", "Connections that the pool may open.", ({ size }) => size);
    each("coupon_pool_running", "Calls that use a connection of the pool.", ({ running }) => running);
    each("coupon_pool_waiting", "Calls that wait for a connection of the pool.", ({ waiting }) => waiting);
    expose(registry, "counter", "coupon_database_errors_total", "Failed database calls by kind.", () =>
      Object.entries(pools).flatMap(([pool, { errors }]) =>
        Object.entries(errors).map(([kind, value]) => ({ labels: { pool, kind }, value })),
      ),
    );
    one("coupon_log_lines_dropped_total", "counter", "Log lines sampled out.", log.dropped);
  }

  /** Counts an outcome of a command, but for issue_coupon: issuing counts its own. */
  function count(command: Command, outcome: string): void {
    const byOutcome = counts[command];
    byOutcome[outcome] = (byOutcome[outcome] as number) + 1;
  }

  /** A call of issue_coupons(), whatever came of it. */
  function batch(size: number, ms: number): void {
    batchSizes.add(size);
    batchSeconds.add(ms / 1000);
  }

  /** The answer to GET /metrics; never asks the database. */
  async function scrape(
    incoming: Pick<IncomingMessage, "rawHeaders" | "socket"> | undefined,
    requestId: string,
  ): Promise<Sent> {
    if (token === undefined && !isLocal(incoming)) throw new Problem("no_such_route");
    if (token !== undefined && !isToken(headerOf(incoming?.rawHeaders ?? [], "authorization"), token))
      throw new Problem("unauthenticated", { detail: "This takes the METRICS_TOKEN." });
    const text = await (read ?? (() => registry.metrics()))().catch((cause: Error) => {
      throw new Problem("metrics_unavailable", { retryAfter: 1 }, cause);
    });
    const headers = {
      "content-type": registry.contentType,
      "cache-control": "no-store",
      "x-request-id": requestId,
    };
    return { status: 200, headers, text };
  }

  return { registry, watch, count, batch, scrape, requests };
}

/** Requests by route template, method and status: `requests.of("POST", "/coupons/{coupon_id}/issue")(201, 12.5)`. */
export function createRequests() {
  type Told = (status: number, ms: number) => void;
  const told = new Map<string, Told>();
  const all: Series[] = [];

  function of(method: string, route: string): Told {
    const known = told.get(`${method} ${route}`);
    if (known) return known;
    const byStatus = new Map<number, Series>();
    const tell: Told = (status, ms) => {
      let series = byStatus.get(status);
      if (!series) {
        series = createSeries(SECONDS, { route, method, status });
        byStatus.set(status, series);
        all.push(series);
      }
      series.add(ms / 1000);
    };
    told.set(`${method} ${route}`, tell);
    return tell;
  }

  return { of, all: (): readonly Series[] => all };
}

/** The method as a label: there are any number of them. */
export const methodOf = (method: string) => (["GET", "HEAD", "POST"].includes(method) ? method : "other");

type Series = ReturnType<typeof createSeries>;

/** One histogram: how many values fell into each bucket, the last one without a bound. */
function createSeries(bounds: readonly number[], labels: Labels = {}) {
  const buckets = new Float64Array(bounds.length + 1);
  let sum = 0;
  return {
    labels,
    bounds,
    buckets,
    sum: () => sum,
    add(value: number) {
      let i = 0;
      while (i < bounds.length && value > (bounds[i] as number)) i += 1;
      buckets[i] = (buckets[i] as number) + 1;
      sum += value;
    },
  };
}

/** As Prometheus wants it: each bucket holds those below it too. */
function histogram(name: string, { labels, bounds, buckets, sum }: Series): Value[] {
  let count = 0;
  const upTo = [...buckets].map((n, i) => {
    count += n;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[i] ?? "+Inf" }, value: count };
  });
  return [
    ...upTo,
    { metricName: `${name}_sum`, labels, value: sum() },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

/** A registry wants no more of a metric than this, its types do. */
function expose(
  registry: Registry,
  type: "counter" | "gauge" | "histogram",
  name: string,
  help: string,
  read: () => Value[],
): void {
  const metric = { name, get: () => ({ name, help, type, aggregator: "sum", values: read() }) };
  registry.registerMetric(metric as unknown as Metric);
}

function emptyCounts(): Record<Command, Record<string, number>> {
  const counts = Object.entries(outcomes).map(([command, answers]) => [
    command,
    Object.fromEntries(Object.keys(answers).map((outcome) => [outcome, 0])),
  ]);
  return Object.fromEntries(counts);
}

/** In constant time, whatever was sent. */
function isToken(authorization: string | undefined, token: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(authorization?.replace(/^bearer /i, "") ?? ""), digest(token));
}
