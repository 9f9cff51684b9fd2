/** What was measured of both sides, and as a table. */
import { median, spread } from "../harness/stats.ts";
import { table } from "../report/report.ts";
import { shownSpread } from "../report/show.ts";
import type { Figures, Kind } from "./volleys.ts";

/** What was measured of one kind at one number of connections: of each side its rounds, and its last rate. */
export interface Series {
  kind: Kind;
  connections: number;
  rounds: Map<string, Figures[]>;
  rates: Map<string, number>;
}

/** A row a figure: medians of both sides and their ratio, each with its range; a round's ratio is of its two volleys. */
export function render({ kind, connections, rounds: measured }: Omit<Series, "rates">): string {
  const sides = [...measured].map(([name, rounds]) => ({ name, rounds }));
  const names = Object.keys(sides[0]?.rounds[0] ?? {});
  const rows = names.map((figure) => {
    const values = sides.map(({ rounds }) => rounds.map((round) => round[figure] as number));
    const [ours, theirs] = values as [number[], number[]];
    const ratios = ours.map((value, round) => value / (theirs[round] as number));
    // A process that does nothing has no ratio.
    const ratio = ratios.every(Number.isFinite)
      ? shownSpread([median(ours) / median(theirs), Math.min(...ratios), Math.max(...ratios)])
      : "";
    return [figure, shownSpread(spread(ours)), shownSpread(spread(theirs)), ratio];
  });
  return table([`${kind.name}, ${connections} connections`, ...sides.map(({ name }) => name), "ratio"], rows);
}
