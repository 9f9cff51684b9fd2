/** The metrics of several processes, told as those of one service. */
import { type Metric, Registry } from "prom-client";
import type { Value } from "./series.ts";

/** One metric of a process, as prom-client's getMetricsAsJSON() has it. */
export interface Told {
  name: string;
  help: string;
  type: string;
  values: Value[];
}

/** What a process tells. */
export type Report = Told[];

/** How the values of the processes become one. */
type Rule = "sum" | "max" | "min" | "mean";

/** Counters and histograms are summed. A gauge is what its meaning asks: each one must be here. */
export const GAUGES: Readonly<Record<string, Rule>> = {
  // 1 for each answer of the database that holds in a process.
  coupon_commit_waits_for: "max",
  coupon_demand_pending: "sum",
  coupon_http_requests_in_flight: "sum",
  coupon_lane_queue_limit: "sum",
  coupon_lane_queued: "sum",
  coupon_leases_held: "sum",
  coupon_pool_running: "sum",
  coupon_pool_size: "sum",
  coupon_pool_waiting: "sum",
  // The same in each process, but for a restock that one has not heard of.
  coupon_sold_out_timestamp_seconds: "max",
  coupon_streams_open: "sum",
  // Of the one process that sends.
  coupon_webhook_behind_seconds: "max",
  coupon_webhook_dead: "max",
  coupon_webhook_disabled: "max",
  coupon_webhook_waiting: "max",
  // Each worker says 0, and the primary process how many are silent.
  coupon_workers_silent: "sum",
  nodejs_active_handles: "sum",
  nodejs_active_handles_total: "sum",
  nodejs_active_requests: "sum",
  nodejs_active_requests_total: "sum",
  nodejs_active_resources: "sum",
  nodejs_active_resources_total: "sum",
  // The worst process: a mean would hide one that stands still.
  nodejs_eventloop_lag_seconds: "max",
  nodejs_eventloop_lag_min_seconds: "min",
  nodejs_eventloop_lag_max_seconds: "max",
  nodejs_eventloop_lag_mean_seconds: "mean",
  nodejs_eventloop_lag_stddev_seconds: "max",
  nodejs_eventloop_lag_p50_seconds: "max",
  nodejs_eventloop_lag_p90_seconds: "max",
  nodejs_eventloop_lag_p99_seconds: "max",
  nodejs_external_memory_bytes: "sum",
  nodejs_heap_size_total_bytes: "sum",
  nodejs_heap_size_used_bytes: "sum",
  nodejs_heap_space_size_available_bytes: "sum",
  nodejs_heap_space_size_total_bytes: "sum",
  nodejs_heap_space_size_used_bytes: "sum",
  // 1 for each version that runs.
  nodejs_version_info: "max",
  process_heap_bytes: "sum",
  // Both are sums, so that their quotient is how much of all descriptors is in use.
  process_max_fds: "sum",
  process_open_fds: "sum",
  process_resident_memory_bytes: "sum",
  // The first start: counters go on from then, whichever process was replaced.
  process_start_time_seconds: "min",
  process_virtual_memory_bytes: "sum",
};

const combine: Record<Rule, (values: number[]) => number> = {
  sum: (values) => values.reduce((sum, value) => sum + value, 0),
  max: (values) => Math.max(...values),
  min: (values) => Math.min(...values),
  mean: (values) => combine.sum(values) / values.length,
};

function ruleOf({ name, type }: Told): Rule {
  const rule = type === "gauge" ? GAUGES[name] : "sum";
  if (rule === undefined) throw new Error(`no rule says how ${name} of several processes is told`);
  return rule;
}

/** What the processes say together. */
export function together(reports: readonly Report[]): Report {
  return grouped(reports.flat(), ({ name }) => name).map((told) => {
    const { name, help, type } = told[0];
    const rule = combine[ruleOf(told[0])];
    const bySeries = grouped(
      told.flatMap(({ values }) => values),
      ({ metricName, labels }) => JSON.stringify([metricName, Object.entries(labels).sort()]),
    );
    const values = bySeries.map((same) => ({ ...same[0], value: rule(same.map(({ value }) => value)) }));
    return { name, help, type, values };
  });
}

function grouped<Item>(items: Item[], keyOf: (item: Item) => string): [Item, ...Item[]][] {
  const groups = new Map<string, [Item, ...Item[]]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return [...groups.values()];
}

/** What stays true of a process that ended: it counted, and it was there. */
export function lasting(report: Report): Report {
  return report.filter(({ name, type }) => type !== "gauge" || name === "process_start_time_seconds");
}

/** How many workers do not answer: their last report counts. */
export function silentWorkers(count: number): Report {
  const help = "Workers that do not answer: of each, the figures are the last that it reported.";
  return [{ name: "coupon_workers_silent", help, type: "gauge", values: [{ labels: {}, value: count }] }];
}

/** In the text format of Prometheus. */
export function textOf(report: Report): Promise<string> {
  const registry = new Registry();
  for (const told of report) registry.registerMetric({ ...told, get: () => told } as unknown as Metric);
  return registry.metrics();
}
