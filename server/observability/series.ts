/**
 * Histograms and counters for Prometheus. They count in plain arrays, because a counter of prom-client (15.1.3) hashes its labels at
 * each call. prom-client reads them when /metrics is requested, and formats them.
 */
import type { Metric, Registry } from "prom-client";

/** Upper bounds of the buckets of durations, s. */
export const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

type Labels = Record<string, string | number>;

export interface Value {
  metricName?: string;
  labels: Labels;
  value: number;
}

export type Series = ReturnType<typeof createSeries>;

/** One histogram: how many values fell into each bucket, the last one without a bound. */
export function createSeries(bounds: readonly number[], labels: Labels = {}) {
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

/** As Prometheus expects, each bucket includes the ones below it. */
export function histogram(name: string, { labels, bounds, buckets, sum }: Series): Value[] {
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

/** A registry of prom-client (15.1.3) needs only these members; its types ask for more. */
export function expose(
  registry: Registry,
  type: "counter" | "gauge" | "histogram",
  name: string,
  help: string,
  read: () => Value[],
): void {
  const metric = { name, get: () => ({ name, help, type, values: read() }) };
  registry.registerMetric(metric as unknown as Metric);
}
