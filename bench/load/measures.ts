/** Tables and ratios of runs, and of volleys at several contenders over several numbers of connections. */

import { type Spread, spread } from "../harness/stats.ts";
import type { Headline, Measure } from "../report/result.ts";
import type { Generator } from "./generator.ts";
import type { Round } from "./volley.ts";

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

/** The median of a figure in the row of this name and group; NaN where there is none. */
export function medianOf(
  measures: readonly Measure[],
  row: Pick<Measure, "group" | "name">,
  figure: string,
): number {
  const found = measures.find(({ group, name }) => group === row.group && name === row.name);
  return found?.figures[figure]?.[0] ?? Number.NaN;
}

export interface Contender {
  name: string;
  connections: number;
  generator: Pick<Generator, "name">;
}

export const OURS = "this service";
/** This service, asked with tokens that it has seen before. */
export const SEEN = "this service, tokens seen before";
/** node:http that answers a constant and reads nothing: what the generator itself can do. */
export const CONSTANT = "node:http constant";

/** `what` is measured: "grant / hello, 64 connections" is then the ratio of medians of ours to hello's. */
export function throughputOf(
  measured: Map<Contender, Round[]>,
  what: string,
): { measures: Measure[]; headlines: Headline[] } {
  const measures = [...measured].map(([{ name, connections, generator }, rounds]) => ({
    // The bars are set for wrk, which leaves the contenders most of the machine.
    group: `${groupOf(connections)}${generator.name === "autocannon" ? ", autocannon" : ""}`,
    name,
    figures: figuresOf(rounds, {
      [RATE]: ({ perSecond }) => perSecond,
      "CPU of its process, µs each": ({ cpu }) => cpu.process,
      "CPU of its database, µs each": ({ cpu }) => cpu.database,
      "CPU of the generator, µs each": ({ cpu }) => cpu.generator,
      "p50 ms": ({ p50 }) => p50,
      "p99 ms": ({ p99 }) => p99,
    }),
  }));
  const rate = ({ figures }: Measure) => figures[RATE]?.[0] ?? 0;
  const headlines = measures
    .filter(({ name }) => name !== OURS)
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
