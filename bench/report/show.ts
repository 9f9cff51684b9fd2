/** Figures as a person reads them. */
import type { Spread } from "../harness/stats.ts";

/** As many digits as mean something: 5,123 · 312 · 31.2 · 3.12 · 0.85. */
export function shownFigure(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", {
    minimumFractionDigits: value === 0 ? 0 : digits,
    maximumFractionDigits: digits,
  });
}

/** The median, and from where to where the rounds went. */
export function shownSpread([median, least, most]: Spread): string {
  const middle = shownFigure(median);
  return least === most ? middle : `${middle} (${shownFigure(least)}–${shownFigure(most)})`;
}
