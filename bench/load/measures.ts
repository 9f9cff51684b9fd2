/** Tables and ratios of runs, and of volleys at several contenders over several numbers of connections. */

import { type Spread, spread } from "../harness/stats.ts";
import type { Headline, Measure } from "../report/result.ts";
import type { Volley } from "./closed-loop.ts";

const RATE = "answers a second";

/** Each figure over all runs. A figure that this machine cannot measure (NaN) is left out. */
export function figuresOf<Run>(
  runs: readonly Run[],
  figures: Record<string, (run: Run) => number>,
): Record<string, Spread> {
  return Object.fromEntries(
    Object.entries(figures)
      .map(([name, figure]) => [name, runs.map(figure)] as const)
      .filter(([, values]) => values.every(Number.isFinite))
      .map(([name, values]) => [name, spread(values)]),
  );
}

export interface Contender {
  name: string;
  connections: number;
}

export const OURS = "this service";
/** node:http that answers a constant: what the generator itself can do. No ratio is taken to it. */
export const CEILING = "the generator's ceiling";

/** `what` is measured: "grant / hello, 64 connections" is then the ratio of medians of ours to hello's. */
export function throughputOf(
  measured: Map<Contender, Volley[]>,
  what: string,
): { measures: Measure[]; headlines: Headline[] } {
  const measures = [...measured].map(([{ name, connections }, volleys]) => ({
    group: groupOf(connections),
    name,
    figures: figuresOf(volleys, {
      [RATE]: (volley) => volley.perSecond,
      "p50 ms": (volley) => volley.latency.p50,
      "p99 ms": (volley) => volley.latency.p99,
    }),
  }));
  const rate = ({ figures }: Measure) => figures[RATE]?.[0] ?? 0;
  const headlines = measures
    .filter(({ name }) => name !== OURS && name !== CEILING)
    .map((peer) => {
      const ours = measures.find(({ group, name }) => group === peer.group && name === OURS);
      return {
        name: `${what} / ${peer.name}, ${peer.group}`,
        value: ours ? rate(ours) / rate(peer) : Number.NaN,
      };
    });
  return { measures, headlines };
}

export function groupOf(connections: number): string {
  return `${connections} connections`;
}
