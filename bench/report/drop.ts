/**
 * The picture of a drop, for a README: all answers of the burst, and its first moments. An SVG on a card of its own, so that it
 * can be read on a light page and on a dark one; drawn by hand, since it is some areas, bars and words.
 */
import { nameOf } from "../harness/machine.ts";
import type { Drop, Slices } from "./result.ts";
import { shownFigure } from "./show.ts";

const WIDTH = 720;
const HEIGHT = 556;
const LEFT = 64;
const RIGHT = WIDTH - 24;

/** What is drawn, from below; each outcome belongs to one. */
const BANDS = [
  { key: "early", name: "not started", outcomes: ["not_started"] },
  { key: "granted", name: "granted", outcomes: ["issued", "already_issued"] },
  { key: "gone", name: "sold out", outcomes: ["sold_out"] },
] as const;

interface Panel {
  x(value: number): number;
  y(value: number): number;
  top: number;
  bottom: number;
  from: number;
  to: number;
}

export function renderDrop(drop: Drop): string {
  const { requests, count, connections, sellOut, date, machine } = drop;
  const title = `${whole(requests)} requests for ${whole(count)} coupons`;
  const said =
    `One run of ${date.slice(0, 10)} through ${whole(connections)} connections. Answers are shown as clients got them; how long ` +
    `granting took is by the database's clock. Clients, service and database shared ${nameOf(machine)}.`;
  const lines = said.match(/.{1,106}(?: |$)/g) ?? [];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="title description">
<title id="title">${title}</title>
<desc id="description">Answers over time. ${whole(count)} were granted within ${shownFigure(sellOut)} ms of the start; everybody else was told not started or sold out.</desc>
<style>${STYLE}</style>
<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${HEIGHT - 1}" rx="10"/>
<text class="title" x="24" y="36">${title}</text>
${wholeBurst(drop)}
${start(drop)}
${lines.map((line, i) => text(24, HEIGHT - 50 + i * 15, line.trim(), "soft small")).join("\n")}
</svg>
`;
}

/** How many have been answered so far, by what; above it those that still wait. */
function wholeBurst({ whole: slices, requests }: Drop): string {
  const steps = lengthOf(slices);
  const to = slices.from + steps * slices.slice;
  const panel = panelOf(74, 254, slices.from, to, requests);
  let below = new Array<number>(steps + 1).fill(0);
  const shapes = BANDS.map(({ key, outcomes }) => {
    const above = [...below];
    let sum = 0;
    for (const [i, n] of answersOf(slices, outcomes).entries()) {
      sum += n;
      above[i + 1] = (below[i + 1] as number) + sum;
    }
    const edge = (heights: number[]) =>
      heights.map(
        (height, i) => `${round(panel.x(slices.from + i * slices.slice))},${round(panel.y(height))}`,
      );
    const shape = `<polygon class="${key}" points="${[...edge(above), ...edge(below).reverse()].join(" ")}"/>`;
    below = above;
    return shape;
  });
  const early = total(answersOf(slices, BANDS[0].outcomes));
  const gone = total(answersOf(slices, BANDS[2].outcomes));
  return [
    `<rect class="waiting" x="${LEFT}" y="${panel.top}" width="${RIGHT - LEFT}" height="${panel.bottom - panel.top}"/>`,
    ...shapes,
    axes(panel, requests, "s from the start"),
    text(LEFT + 10, panel.top + 20, "not answered yet"),
    // Where each area is at its highest, and lies wholly under the words.
    text(RIGHT - 10, panel.y(early / 2) + 4, `${whole(early)} told “not started”`, "", "end"),
    text(RIGHT - 10, panel.y(early + gone / 3) + 4, `${whole(gone)} told “sold out”`, "", "end"),
    text(24, panel.top - 12, "requests", "soft small"),
    mark(panel),
    text(panel.x(0), panel.top - 12, "start", "strong small", "middle"),
  ].join("\n");
}

/** The first moments: a bar a slice. */
function start({ start: slices, count, sellOut }: Drop): string {
  const steps = lengthOf(slices);
  const stacks = BANDS.map(({ outcomes }) => answersOf(slices, outcomes));
  const most = Math.max(
    1,
    ...Array.from({ length: steps }, (_, i) => total(stacks.map((stack) => stack[i] ?? 0))),
  );
  const ms = slices.slice * 1000;
  const panel = panelOf(340, 460, slices.from * 1000, (slices.from + steps * slices.slice) * 1000, most);
  const width = round(panel.x(ms) - panel.x(0) - 1);
  const bars = BANDS.flatMap(({ key }, band) =>
    Array.from({ length: steps }, (_, i) => {
      const n = stacks[band]?.[i] ?? 0;
      if (n === 0) return "";
      const below = total(stacks.slice(0, band).map((stack) => stack[i] ?? 0));
      const [y, x] = [panel.y(below + n), panel.x(slices.from * 1000 + i * ms) + 0.5];
      return `<rect class="${key}" x="${round(x)}" y="${round(y)}" width="${width}" height="${round(panel.y(below) - y)}"/>`;
    }),
  ).filter(Boolean);
  return [
    text(24, panel.top - 34, `The start: ${count} granted within ${shownFigure(sellOut)} ms`, "strong"),
    ...bars,
    axes(panel, most, "ms from the start"),
    text(24, panel.top - 12, `answers in ${Number(ms.toPrecision(3))} ms`, "soft small"),
    mark(panel),
    ...BANDS.map(({ key, name }, i) => {
      const x = RIGHT - 80 - (BANDS.length - 1 - i) * 90;
      const square = `<rect class="${key}" x="${x}" y="${panel.top - 43}" width="10" height="10" rx="2"/>`;
      return square + text(x + 15, panel.top - 34, name, "small");
    }),
  ].join("\n");
}

function panelOf(top: number, bottom: number, from: number, to: number, most: number): Panel {
  return {
    top,
    bottom,
    from,
    to,
    x: (value) => LEFT + ((value - from) / (to - from)) * (RIGHT - LEFT),
    y: (value) => bottom - (value / most) * (bottom - top),
  };
}

/** Round numbers below and to the left; the last one below tells the unit. */
function axes(panel: Panel, most: number, unit: string): string {
  const { from, to, bottom } = panel;
  const across = stepOf(to - from, 8);
  const up = stepOf(most, 4);
  const below = range(Math.ceil(from / across), Math.floor(to / across)).map((n) => n * across);
  const left = range(0, Math.floor(most / up)).map((n) => n * up);
  return [
    ...left.map(
      (value) =>
        `<line class="rule" x1="${LEFT}" x2="${RIGHT}" y1="${round(panel.y(value))}" y2="${round(panel.y(value))}"/>` +
        text(LEFT - 8, panel.y(value) + 4, whole(value), "soft small", "end"),
    ),
    ...below
      .filter((value) => panel.x(value) < RIGHT - 120 || value === 0)
      .map((value) =>
        text(
          panel.x(value),
          bottom + 17,
          whole(Number(value.toPrecision(6))).replace("-", "−"),
          "soft small",
          "middle",
        ),
      ),
    text(RIGHT, bottom + 17, unit, "soft small", "end"),
  ].join("\n");
}

/** The instant of the start. */
function mark({ x, top, bottom }: Panel): string {
  return `<line class="mark" x1="${round(x(0))}" x2="${round(x(0))}" y1="${top - 6}" y2="${bottom}"/>`;
}

function text(x: number, y: number, words: string, classes = "", anchor = "start"): string {
  const kind = classes === "" ? "" : ` class="${classes}"`;
  const place = anchor === "start" ? "" : ` text-anchor="${anchor}"`;
  return `<text${kind} x="${round(x)}" y="${round(y)}"${place}>${escaped(words)}</text>`;
}

/** The smallest of 1, 2 and 5 times a power of ten of which at most `most` go into `length`. */
function stepOf(length: number, most: number): number {
  const power = 10 ** Math.floor(Math.log10(length / most));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => length / step <= most) ?? 10 * power;
}

/** The sum of several outcomes in each slice. */
function answersOf(slices: Slices, outcomes: readonly string[]): number[] {
  return Array.from({ length: lengthOf(slices) }, (_, i) =>
    total(outcomes.map((outcome) => slices.answers[outcome]?.[i] ?? 0)),
  );
}

const lengthOf = ({ answers }: Slices) => Math.max(...Object.values(answers).map((list) => list.length));
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
const round = (value: number) => Number(value.toFixed(1));
const whole = (value: number) => value.toLocaleString("en");
const escaped = (words: string) => words.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);

const STYLE = `
text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1d1c1a; }
.title { font-size: 20px; font-weight: 600; } .strong { font-weight: 600; } .small { font-size: 12px; } .soft { fill: #6b6862; }
.card { fill: #ffffff; stroke: #dcd8d0; } .rule { stroke: #1d1c1a; stroke-opacity: 0.1; } .mark { stroke: #1d1c1a; stroke-dasharray: 3 3; }
.waiting { fill: #f1efea; } .early { fill: #b6c2d2; } .granted { fill: #0f766e; } .gone { fill: #e9b872; }
@media (prefers-color-scheme: dark) {
text { fill: #ece9e3; } .soft { fill: #a39f96; }
.card { fill: #1b1a18; stroke: #3a3833; } .rule { stroke: #ece9e3; } .mark { stroke: #ece9e3; }
.waiting { fill: #26241f; } .early { fill: #475569; } .granted { fill: #2dd4bf; } .gone { fill: #9a6423; }
}`;
