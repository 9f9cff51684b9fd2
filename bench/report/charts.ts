/** Charts as SVG, 360 units wide, so that their text can be read on a phone; colours are the page's. */

import { OURS } from "../load/measures.ts";
import { escaped } from "./escape.ts";
import type { Measure, Timeline } from "./result.ts";
import { shownFigure } from "./show.ts";

const WIDTH = 360;
/** A row of a bar chart: a line of text over a bar. */
const ROW = 34;

/** One bar a measure from 0, with a thin line from its slowest round to its fastest. */
export function barChart(measures: readonly Measure[], figure: string): string {
  const shown = measures.filter(({ figures }) => figures[figure]);
  const most = Math.max(...shown.map(({ figures }) => figures[figure]?.max ?? 0));
  const x = scale(most);
  const rows = shown.map(({ name, figures }, i) => {
    const { median, min, max } = figures[figure] as { median: number; min: number; max: number };
    return row(i, name, shownFigure(median), [
      rect(0, i * ROW + 18, x(median), 10, colourOf(name)),
      max > min ? segment(x(min), x(max), i * ROW + 23) : "",
    ]);
  });
  return svg(shown.length * ROW, `${figure}: ${labels(shown, figure)}`, rows);
}

/** From the median latency to the 99th percentile. */
export function latencyChart(measures: readonly Measure[]): string {
  const ends = measures.map(
    ({ figures }) => [figures["p50 ms"]?.median ?? 0, figures["p99 ms"]?.median ?? 0] as const,
  );
  const x = scale(Math.max(...ends.flat()));
  const rows = measures.map(({ name }, i) => {
    const [p50, p99] = ends[i] as readonly [number, number];
    return row(i, name, `${shownFigure(p50)} – ${shownFigure(p99)}`, [
      rect(0, i * ROW + 18, x(p99), 10, "--range", 0.45),
      rect(0, i * ROW + 18, x(p50), 10, colourOf(name)),
    ]);
  });
  return svg(measures.length * ROW, `p50 ms: ${labels(measures, "p50 ms")}`, rows);
}

const PLOT = { left: 8, right: 8, top: 20, height: 170, bottom: 22 };
const COLOURS: Record<string, string> = {
  not_started: "--wait",
  issued: "--ours",
  already_issued: "--ours",
  sold_out: "--gone",
};

/** How many have been answered, by what; what is left to the top still waits. */
export function queueChart({ slice, startTime, soldOutAt, answers }: Timeline): string {
  const order = Object.keys(COLOURS).filter((outcome) => answers[outcome]);
  const others = Object.keys(answers).filter((outcome) => !order.includes(outcome));
  const outcomes = [...order, ...others];
  const slices = answers[outcomes[0] ?? ""]?.length ?? 0;
  const all = outcomes.reduce((sum, outcome) => sum + total(answers[outcome]), 0);
  const { x, y } = plot(slices * slice, all);

  let below = new Array<number>(slices + 1).fill(0);
  const areas = outcomes.map((outcome) => {
    const above = [0];
    let sum = 0;
    for (let i = 0; i < slices; i++) {
      sum += answers[outcome]?.[i] ?? 0;
      above.push((below[i + 1] as number) + sum);
    }
    const points = thinned(slices + 1);
    const edge = (heights: number[], places: number[]) =>
      places.map((i) => `${round(x(i * slice))},${round(y(heights[i] as number))}`);
    const shape = [...edge(above, points), ...edge(below, points.toReversed())].join(" ");
    below = above;
    return `<polygon points="${shape}" fill="var(${COLOURS[outcome] ?? "--miss"})"/>`;
  });
  const keys = outcomes
    .map(
      (outcome) =>
        `<span><i class="key" style="background:var(${COLOURS[outcome] ?? "--miss"})"></i>` +
        `${escaped(outcome)} ${total(answers[outcome]).toLocaleString("en")}</span> `,
    )
    .join("");
  const chart = svg(
    PLOT.top + PLOT.height + PLOT.bottom,
    `answers by outcome over ${(slices * slice).toFixed(0)} s`,
    [
      ...areas,
      ...axis(slices * slice, x, `${all.toLocaleString("en")} requests`),
      ...marks({ startTime, soldOutAt }, x),
    ],
  );
  return `${chart}<div class="small keys">${keys}</div>`;
}

/** The slowest answer of each slice. */
export function slowestChart({ slice, startTime, soldOutAt, slowest }: Timeline): string {
  const most = Math.max(1, ...slowest);
  const { x, y } = plot(slowest.length * slice, most);
  const points = slowest.map((ms, i) => `${round(x((i + 0.5) * slice))},${round(y(ms))}`).join(" ");
  return svg(PLOT.top + PLOT.height + PLOT.bottom, `slowest answer, at most ${shownFigure(most)} ms`, [
    `<polyline points="${points}" fill="none" stroke="var(--ours)" stroke-width="1"/>`,
    ...axis(slowest.length * slice, x, `${shownFigure(most)} ms`),
    ...marks({ startTime, soldOutAt }, x),
  ]);
}

function plot(seconds: number, most: number) {
  const wide = WIDTH - PLOT.left - PLOT.right;
  return {
    x: (second: number) => PLOT.left + (seconds > 0 ? (second / seconds) * wide : 0),
    y: (value: number) => PLOT.top + PLOT.height - (most > 0 ? (value / most) * PLOT.height : 0),
  };
}

/** Seconds below, and what the full height means. */
function axis(seconds: number, x: (second: number) => number, top: string): string[] {
  const floor = PLOT.top + PLOT.height;
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200].find((size) => seconds / size <= 6) ?? 500;
  const ticks = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) =>
    Number((i * step).toFixed(1)),
  );
  return [
    `<line x1="${PLOT.left}" x2="${WIDTH - PLOT.right}" y1="${floor}" y2="${floor}" stroke="var(--rule)"/>`,
    `<text class="soft" x="${PLOT.left}" y="12">${escaped(top)}</text>`,
    ...ticks.map(
      (tick) =>
        `<text class="soft" x="${round(x(tick))}" y="${floor + 16}" text-anchor="${tick === 0 ? "start" : "middle"}">${tick}${tick === 0 ? " s" : ""}</text>`,
    ),
  ];
}

/** Where the coupon starts and where it is gone; the two are close, so one word stands on each side. */
function marks(
  { startTime, soldOutAt }: Pick<Timeline, "startTime" | "soldOutAt">,
  x: (second: number) => number,
): string[] {
  const mark = (at: number, word: string, anchor: "start" | "end") =>
    `<line x1="${round(x(at))}" x2="${round(x(at))}" y1="${PLOT.top - 4}" y2="${PLOT.top + PLOT.height}" stroke="var(--ink)" stroke-dasharray="3 3"/>` +
    `<text x="${round(x(at) + (anchor === "end" ? -4 : 4))}" y="${PLOT.top + 10}" text-anchor="${anchor}">${word}</text>`;
  return [mark(startTime, "start", "end"), mark(soldOutAt, "sold out", "start")];
}

/** At most about 180 of so many places, the first and the last among them. */
function thinned(places: number): number[] {
  const step = Math.max(1, Math.ceil(places / 180));
  const kept = Array.from({ length: Math.ceil(places / step) }, (_, i) => i * step);
  return kept.at(-1) === places - 1 ? kept : [...kept, places - 1];
}

function row(i: number, name: string, value: string, shapes: string[]): string {
  return (
    `<text x="0" y="${i * ROW + 13}"${name === OURS ? ' font-weight="600"' : ""}>${escaped(name)}</text>` +
    `<text x="${WIDTH}" y="${i * ROW + 13}" text-anchor="end">${value}</text>${shapes.join("")}`
  );
}

function rect(x: number, y: number, width: number, height: number, colour: string, opacity = 1): string {
  const faint = opacity === 1 ? "" : ` opacity="${opacity}"`;
  return `<rect x="${x}" y="${y}" width="${round(Math.max(1, width))}" height="${height}" rx="2" fill="var(${colour})"${faint}/>`;
}

function segment(from: number, to: number, y: number): string {
  return `<line x1="${round(from)}" x2="${round(to)}" y1="${y}" y2="${y}" stroke="var(--ink)" stroke-width="1.5"/>`;
}

function svg(height: number, label: string, shapes: readonly string[]): string {
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(label)}">${shapes.join("")}</svg>`;
}

const labels = (measures: readonly Measure[], figure: string) =>
  measures.map(({ name, figures }) => `${name} ${shownFigure(figures[figure]?.median ?? 0)}`).join(", ");
/** Ours stands out where there are others. */
const colourOf = (name: string) => ([OURS, "issue_coupons"].includes(name) ? "--ours" : "--other");
const scale = (most: number) => (value: number) => (most > 0 ? (value / most) * WIDTH : 0);
const round = (value: number) => Number(value.toFixed(1));
const total = (values: readonly number[] = []) => values.reduce((sum, value) => sum + value, 0);
