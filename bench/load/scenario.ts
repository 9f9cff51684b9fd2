/** The form that all scenarios have in common. */
import type { Findings, Say } from "../report/result.ts";

/** Whole numbers from 1 on, or lists of them: each is a flag of the command line too. */
export type Options = Record<string, number | readonly number[]>;

export interface Scenario<O extends Options> {
  name: string;
  /** What it measures, in one line. */
  about: string;
  defaults: O;
  /** What --quick makes smaller. */
  quick: Partial<O>;
  /** Throws one sentence when these options don't go together. */
  check?(options: O): void;
  run(options: O, say: Say): Promise<Findings>;
}
