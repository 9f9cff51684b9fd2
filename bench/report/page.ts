/** The results as one page that needs nothing else: no script, no library, no font; light and dark, narrow and wide. */

import { nameOf } from "../harness/machine.ts";
import { judge } from "../load/bars.ts";
import { barChart, latencyChart, queueChart, slowestChart } from "./charts.ts";
import { escaped } from "./escape.ts";
import type { Headline, Measure, Result } from "./result.ts";
import { shownFigure, shownSpread } from "./show.ts";

export function renderPage(results: readonly Result[]): string {
  const body = results.length > 0 ? results.map(section).join("\n") : "<p>No full run is kept yet.</p>";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>coupon-drop: what was measured</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>What was measured</h1>
<p>Made by <code>./sd bench report</code> from the latest full run of each scenario. Bars are medians, the thin line goes from
the slowest round to the fastest; load generator, service and database share one machine.</p>
${body}
</main>
</body>
</html>
`;
}

function section(result: Result): string {
  const { scenario, date, seconds, machine, measures, headlines, notes, checks, timeline: drop } = result;
  const groups = [...new Set(measures.map(({ group }) => group))];
  const cards = [
    ...(drop
      ? [card("Answered so far", queueChart(drop)), card("Slowest answer, ms", slowestChart(drop))]
      : []),
    ...(measures.length === 1 ? [] : groups.flatMap((group) => charts(group, measures))),
  ];
  return `<section>
<h2>${escaped(scenario)}</h2>
<p class="small">${escaped(`${date.slice(0, 10)}, ${seconds.toFixed(0)} s, ${nameOf(machine)}`)}</p>
${tiles(scenario, headlines)}
${measures.length === 1 ? figures(measures[0] as Measure) : ""}
<div class="cards">${cards.join("\n")}</div>
<ul class="small">${[...notes, `Verified: ${checks.join("; ")}.`].map((note) => `<li>${escaped(note)}</li>`).join("")}</ul>
</section>`;
}

/** Throughput, and latency where there is one, of those that are comparable. */
function charts(group: string, measures: readonly Measure[]): string[] {
  const mine = measures.filter((measure) => measure.group === group);
  const [main = ""] = Object.keys(mine[0]?.figures ?? {});
  const title = (what: string) => (group ? `${what}, ${group}` : what);
  const timed = mine.filter(({ figures }) => figures["p50 ms"] && figures["p99 ms"]);
  return [
    card(title(main), barChart(mine, main)),
    ...(timed.length > 0 ? [card(title("latency, p50 to p99, ms"), latencyChart(timed))] : []),
  ];
}

function card(title: string, chart: string): string {
  return `<figure><figcaption>${escaped(title)}</figcaption>${chart}</figure>`;
}

function tiles(scenario: string, headlines: readonly Headline[]): string {
  const tile = (headline: Headline) => {
    const judged = judge(scenario, headline);
    const unit = headline.unit ? ` ${headline.unit}` : "";
    const verdict = judged
      ? `<span class="${judged.verdict === "MISS" ? "miss" : "pass"}">${judged.verdict}</span> bar ` +
        `${judged.bar.isAtMost ? "≤" : "≥"} ${judged.bar.bar}${unit}`
      : "";
    return `<div><dt>${escaped(headline.name)}</dt><dd><b>${shownFigure(headline.value)}${unit}</b> ${verdict}</dd></div>`;
  };
  return headlines.length > 0 ? `<dl>${headlines.map(tile).join("")}</dl>` : "";
}

function figures({ figures }: Measure): string {
  const tile = ([name, spread]: [string, Parameters<typeof shownSpread>[0]]) =>
    `<div><dt>${escaped(name)}</dt><dd><b>${shownSpread(spread)}</b></dd></div>`;
  return `<dl>${Object.entries(figures).map(tile).join("")}</dl>`;
}

const STYLE = `
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #1d1c1a; --soft: #6b6862; --rule: #dcd8d0;
  --ours: #0f766e; --other: #a8a29a; --range: #94a3b8; --wait: #cbd5e1; --gone: #e0a458; --pass: #166534; --miss: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #161513; --card: #201f1c; --ink: #ece9e3; --soft: #a39f96; --rule: #3a3833;
    --ours: #2dd4bf; --other: #6f6b64; --range: #64748b; --wait: #475569; --gone: #b9772f; --pass: #4ade80; --miss: #f87171; }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1rem; }
section { border-top: 1px solid var(--rule); margin-top: 2rem; }
h2 { margin: 1rem 0 0; }
.small { color: var(--soft); font-size: .85rem; margin: .2rem 0 1rem; }
ul.small { padding-left: 1.2rem; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); }
figure { margin: 0; padding: .8rem; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; }
figcaption { font-weight: 600; margin-bottom: .4rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg text.soft { fill: var(--soft); }
dl { display: grid; gap: .5rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); margin: 0 0 1rem; }
dl div { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .5rem .8rem; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: .9rem; }
dd b { font-size: 1.2rem; }
.pass { color: var(--pass); font-weight: 600; }
.miss { color: var(--miss); font-weight: 600; }
.keys span { white-space: nowrap; margin-right: .8em; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .3em; }
`;
