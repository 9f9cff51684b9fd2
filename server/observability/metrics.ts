/** All metrics of a process. Their values are read when /metrics is requested. */
import { Registry } from "prom-client";
import { TOKEN_ERRORS, type TokenError } from "../api/caller.ts";
import { type Command, outcomes } from "../api/outcomes.ts";
import type { Pools } from "../database/functions.ts";
import { noReads } from "../database/standby.ts";
import { silentWorkers } from "./aggregate.ts";
import type { Log } from "./log.ts";
import { createRequests } from "./requests.ts";
import { createScrape } from "./scrape.ts";
import { createSeries, expose, histogram, SECONDS, type Value } from "./series.ts";

/** Upper bounds of the buckets of batch sizes. */
const SIZES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/** The parts that count by themselves. */
export interface Sources {
  pools: Pools;
  /** What a commit waits for, in words, if known. */
  commitWaitsFor: () => string | undefined;
  /** Of a server that reads from a standby. */
  standby?: { reads: Readonly<Record<string, number>>; left: Readonly<Record<string, number>> } | undefined;
  issuing: {
    lanes: { queued(): number; maxQueue: number; overloaded(): number };
    leases: { hits(): number; held(): number; soldOut(): { couponId: number; soldOutAt: string }[] };
    tally: { counted(): number; pending(): number };
    outcomes: Readonly<Record<string, number>>;
  };
  log: Pick<Log, "dropped">;
  /** What was sent to webhooks; their state where this process sends. */
  webhooks: {
    sent: Readonly<Record<string, number>>;
    state: Readonly<Record<"waiting" | "dead" | "disabled" | "behind", number>> | undefined;
  };
  /** Requests in flight. */
  inFlight: () => number;
  /** Open event streams. */
  streams: () => number;
  /** What exports spans, if something does. */
  spans?: { exported(): number; dropped(): number } | undefined;
}

interface Options {
  /** The token that /metrics requires. Without it there is no /metrics. */
  token?: string | undefined;
  /** Reads the metrics of all workers, if there are several. */
  read?: (() => Promise<string>) | undefined;
}

type Counts = Record<string, Readonly<Record<string, number>>>;

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics({ token, read }: Options = {}) {
  const registry = new Registry();
  const requests = createRequests();
  const counts = emptyCounts();
  const batchSizes = createSeries(SIZES);
  /** Of requests, by reason. */
  const refusedTokens = Object.fromEntries(TOKEN_ERRORS.map((reason) => [reason, 0])) as Record<
    TokenError,
    number
  >;
  const batchSeconds = createSeries(SECONDS);

  const durations = (name: string, help: string, all: () => Value[]) =>
    expose(registry, "histogram", name, help, all);
  durations("http_server_request_duration_seconds", "Duration of HTTP server requests.", () =>
    requests.all().flatMap((series) => histogram("http_server_request_duration_seconds", series)),
  );
  durations("coupon_batch_size", "Requests in one call of issue_coupons().", () =>
    histogram("coupon_batch_size", batchSizes),
  );
  durations("coupon_batch_duration_seconds", "Duration of one call of issue_coupons().", () =>
    histogram("coupon_batch_duration_seconds", batchSeconds),
  );

  expose(
    registry,
    "counter",
    "coupon_tokens_refused_total",
    "Requests whose bearer token is not valid, by reason.",
    () => TOKEN_ERRORS.map((reason) => ({ labels: { reason }, value: refusedTokens[reason] })),
  );

  return {
    registry,
    requests,
    refusedTokens,
    scrape: createScrape(token, registry.contentType, read ?? (() => registry.metrics())),
    /** Adds the metrics of these sources. */
    watch(sources: Sources): void {
      exposeOutcomes(registry, { ...counts, issue_coupon: sources.issuing.outcomes });
      exposeIssuing(registry, sources.issuing);
      exposePools(registry, sources.pools);
      exposeStandby(registry, sources.standby);
      exposeCommit(registry, sources.commitWaitsFor);
      exposeWebhooks(registry, sources.webhooks);
      exposeProcess(registry, sources);
    },
    /** Counts an outcome of a command other than issue_coupon, which issuing counts itself. */
    count(command: Command, outcome: string): void {
      const byOutcome = counts[command];
      byOutcome[outcome] = (byOutcome[outcome] as number) + 1;
    },
    /** Counts a call of issue_coupons(), successful or not. */
    batch(size: number, ms: number): void {
      batchSizes.add(size);
      batchSeconds.add(ms / 1000);
    },
  };
}

function exposeOutcomes(registry: Registry, counts: Counts): void {
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
}

function exposeIssuing(registry: Registry, { lanes, leases, tally }: Sources["issuing"]): void {
  exposeOne(
    registry,
    "gauge",
    "coupon_lane_queued",
    "Requests that wait for a batch, in all lanes.",
    lanes.queued,
  );
  exposeOne(
    registry,
    "gauge",
    "coupon_lane_queue_limit",
    "Requests that may wait; further ones get 503.",
    () => lanes.maxQueue,
  );
  exposeOne(
    registry,
    "counter",
    "coupon_lane_overloaded_total",
    "Requests refused as overloaded: the queue was full, the wait too long, or too many unknown coupons were asked for.",
    lanes.overloaded,
  );
  exposeOne(
    registry,
    "gauge",
    "coupon_leases_held",
    "Valid leases, one for each coupon and process.",
    leases.held,
  );
  exposeOne(registry, "counter", "coupon_lease_hits_total", "Refusals served from a lease.", leases.hits);
  expose(
    registry,
    "gauge",
    "coupon_sold_out_timestamp_seconds",
    "Since when a coupon is sold out, in Unix time, while somebody asks for it: of those that are leased.",
    () =>
      leases.soldOut().map(({ couponId, soldOutAt }) => ({
        labels: { coupon_id: couponId },
        value: Date.parse(soldOutAt) / 1_000,
      })),
  );
  exposeOne(
    registry,
    "counter",
    "coupon_demand_counted_total",
    "Refusals and replays that the database has counted: with the grants they are what asked says.",
    tally.counted,
  );
  exposeOne(
    registry,
    "gauge",
    "coupon_demand_pending",
    "Refusals and replays that it has not counted yet: a process that is killed takes them along.",
    tally.pending,
  );
}

function exposePools(registry: Registry, pools: Pools): void {
  const each = (name: string, help: string, value: (pool: Pools[keyof Pools]) => number) =>
    expose(registry, "gauge", name, help, () =>
      Object.entries(pools).map(([pool, figures]) => ({ labels: { pool }, value: value(figures) })),
    );
  each("coupon_pool_size", "Connections that the pool may open.", ({ size }) => size);
  each("coupon_pool_running", "Calls that use a connection of the pool.", ({ running }) => running);
  each("coupon_pool_waiting", "Calls that wait for a connection of the pool.", ({ waiting }) => waiting);
  expose(registry, "counter", "coupon_database_errors_total", "Failed database calls by kind.", () =>
    Object.entries(pools).flatMap(([pool, { errors }]) =>
      Object.entries(errors).map(([kind, value]) => ({ labels: { pool, kind }, value })),
    ),
  );
}

function exposeStandby(
  registry: Registry,
  { reads, left }: NonNullable<Sources["standby"]> = noReads(),
): void {
  const each = (name: string, help: string, label: string, counts: Readonly<Record<string, number>>) =>
    expose(registry, "counter", name, help, () =>
      Object.entries(counts).map(([key, value]) => ({ labels: { [label]: key }, value })),
    );
  each(
    "coupon_reads_total",
    "With READ_DATABASE_URL: reads by the server that answered them.",
    "server",
    reads,
  );
  each(
    "coupon_standby_left_total",
    "How often the standby was left for the primary, by reason.",
    "reason",
    left,
  );
}

function exposeCommit(registry: Registry, waitsFor: Sources["commitWaitsFor"]): void {
  expose(
    registry,
    "gauge",
    "coupon_commit_waits_for",
    "What a commit waits for: this server only, or synchronous standbys and which; 1 for each.",
    () => {
      const what = waitsFor();
      return what === undefined ? [] : [{ labels: { what }, value: 1 }];
    },
  );
}

function exposeWebhooks(registry: Registry, webhooks: Sources["webhooks"]): void {
  expose(
    registry,
    "counter",
    "coupon_webhook_sent_total",
    "Events sent to webhooks, by what came back.",
    () => Object.entries(webhooks.sent).map(([result, value]) => ({ labels: { result }, value })),
  );
  const state = (name: string, help: string, of: keyof NonNullable<typeof webhooks.state>) =>
    expose(registry, "gauge", name, `${help} Only of the process that sends, every 15 s.`, () =>
      webhooks.state === undefined ? [] : [{ labels: {}, value: webhooks.state[of] }],
    );
  state(
    "coupon_webhook_waiting",
    "Coupons of which an event waits to be sent to a webhook again.",
    "waiting",
  );
  state("coupon_webhook_dead", "Events that were given up.", "dead");
  state("coupon_webhook_disabled", "Webhooks that are disabled.", "disabled");
  state(
    "coupon_webhook_behind_seconds",
    "Age of the oldest event that an enabled webhook has not got.",
    "behind",
  );
}

function exposeProcess(registry: Registry, { inFlight, streams, log, spans }: Sources): void {
  exposeOne(registry, "gauge", "coupon_http_requests_in_flight", "Requests in flight.", inFlight);
  exposeOne(registry, "gauge", "coupon_streams_open", "Open event streams.", streams);
  for (const { name, help, values } of silentWorkers(0)) expose(registry, "gauge", name, help, () => values);
  exposeOne(
    registry,
    "counter",
    "coupon_log_lines_dropped_total",
    "Log lines left out: sampled out, or more than the reader of stdout took.",
    log.dropped,
  );
  expose(
    registry,
    "counter",
    "coupon_spans_total",
    "Spans of requests that the collector of traces took, and those dropped: refused by it, or more than may wait.",
    () => [
      { labels: { result: "exported" }, value: spans?.exported() ?? 0 },
      { labels: { result: "dropped" }, value: spans?.dropped() ?? 0 },
    ],
  );
}

/** A metric without labels. */
function exposeOne(
  registry: Registry,
  type: "counter" | "gauge",
  name: string,
  help: string,
  value: () => number,
): void {
  expose(registry, type, name, help, () => [{ labels: {}, value: value() }]);
}

function emptyCounts(): Record<Command, Record<string, number>> {
  const counts = Object.entries(outcomes).map(([command, answers]) => [
    command,
    Object.fromEntries(Object.keys(answers).map((outcome) => [outcome, 0])),
  ]);
  return Object.fromEntries(counts);
}
