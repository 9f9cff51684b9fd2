/** What a scenario finds, and the files that a run leaves: the README's tables and the picture are made of nothing else. */
import type { Sql } from "../../db/connect.ts";
import type { Machine } from "../harness/machine.ts";
import type { Spread } from "../harness/stats.ts";

/** One thing measured: by what it is called, in which group of comparable things. */
export interface Measure {
  group: string;
  name: string;
  /** By name and unit, "p50 ms" say; the first is the one that is compared. */
  figures: Record<string, Spread>;
}

/** A ratio of two medians of one run (or a size), which a bar may be set for: see bars.ts. */
export interface Headline {
  name: string;
  value: number;
  unit?: string;
  /** The manual shows it without a bar too. */
  isShown?: boolean;
}

/** How many were answered what, in slices of time; lists of the same length. */
export interface Slices {
  /** When the first slice begins, s from the coupon's start. */
  from: number;
  /** How long each is, s. */
  slice: number;
  answers: Record<string, number[]>;
}

/** A burst over time. */
export interface Timeline {
  /** From start_time to the last grant by the database clock, ms. */
  sellOut: number;
  whole: Slices;
  /** The moments around the start. */
  start: Slices;
}

/** What the picture of a drop is drawn from: results/drop.json. */
export interface Drop extends Timeline {
  date: string;
  machine: Machine;
  requests: number;
  connections: number;
  count: number;
}

export interface Findings {
  measures: Measure[];
  headlines: Headline[];
  /** Sentences that were found true, with their numbers. */
  checks: string[];
  /** Sentences on each number that is wrong: any of them fails the run. */
  failures: string[];
  /** What a reader of the figures must know: pool sizes that were chosen, what was skipped. */
  notes: string[];
  /** "status outcome" → answers. */
  answers?: Record<string, number>;
  timeline?: Timeline;
}

export interface Result extends Findings {
  scenario: string;
  quick: boolean;
  /** When it began, RFC 3339. */
  date: string;
  /** How long it took, s. */
  seconds: number;
  options: Record<string, number | readonly number[]>;
  machine: Machine;
}

/** What is kept of a full run of which nothing was wrong. */
export type Kept = Omit<Result, "quick" | "failures" | "timeline">;

export type Say = (line: string) => void;

/** A scenario can't run here: the reason, and what to do. */
export class Skipped extends Error {
  override readonly name = "Skipped";
}

/** Collects what holds and what doesn't. */
export function createVerdict() {
  const failures: string[] = [];
  const checks: string[] = [];
  return {
    failures,
    checks,
    /** A number that must be exactly this. */
    equal(what: string, actual: unknown, wanted: unknown): void {
      if (actual !== wanted) failures.push(`${what}: ${actual}, not ${wanted}`);
    },
    expect(holds: boolean, otherwise: string): void {
      if (!holds) failures.push(otherwise);
    },
    /** No rule is broken in this database. */
    async reconciles(sql: Sql): Promise<void> {
      const broken = await sql`select * from reconcile()`;
      if (broken.length > 0) failures.push(`reconcile() returned ${JSON.stringify(broken)}`);
    },
  };
}

export type Verdict = ReturnType<typeof createVerdict>;
