/** A panel for each coupon: how it goes, and what an operator can do about it. */
import { openCorrect } from "./correct.js";
import {
  arrange,
  attempt,
  copyOf,
  find,
  html,
  mark,
  onPress,
  onSubmit,
  orNothing,
  put,
  showMeter,
  tell,
} from "./elements.js";
import { openRecord } from "./record.js";
import { amount, inWords, PAUSED, RESTOCKED, RESUMED, STATE } from "./words.js";

/** @typedef {import("../api/contract-types.ts").AnswerOf<"watchStatus">["coupons"][number]} Coupon */
/** @typedef {import("./elements.js").Frame} Frame */

/**
 * @typedef {object} Panel
 * @property {HTMLElement} element
 * @property {Coupon} coupon As told last.
 * @property {{ at: number, issued: number }[]} samples Of the last SPAN seconds, a second apart; at: ms, by the service's clock.
 */

/** Of those to come, so many are shown at once: a plan makes three a day for two weeks. */
const NEXT = 6;

/** What the chart shows, s. */
export const SPAN = 120;

/** @param {Frame} frame @param {Coupon} coupon @returns {Panel} */
export function createPanel(frame, coupon) {
  const element = copyOf("#panel");
  /** @type {Panel} */
  const panel = { element, coupon, samples: [] };
  onPress(html(".pause", element), () => pauseOrResume(frame, panel));
  openCorrect(frame, element, coupon);
  openRecord(frame, element, coupon);
  const restock = find("form", HTMLFormElement, element);
  onSubmit(restock, (given) => setCount(frame, panel, restock, given));
  return panel;
}

/** @param {Frame} frame @param {ReadonlyMap<number, Panel>} panels */
export function showPanels(frame, panels) {
  // By their start, and by nothing that a click changes; what is over comes last.
  const isOver = (/** @type {Panel} */ { coupon }) => Number(coupon.state === "ended");
  const sorted = [...panels.values()].sort((a, b) => isOver(a) - isOver(b));
  for (const panel of sorted) showPanel(frame, panel);
  const further = sorted.filter(({ coupon }) => coupon.state === "upcoming").slice(NEXT);
  const elementsOf = (/** @type {Panel[]} */ shown) => shown.map(({ element }) => element);
  arrange(html("#status"), elementsOf(sorted.filter((panel) => !further.includes(panel))));
  arrange(html("#further .panels"), elementsOf(further));
  html("#further").hidden = further.length === 0;
  put(html("#further summary"), `Later: ${amount(further.length)} more`);
  html("#no-status").hidden = sorted.length > 0;
}

/** @param {Frame} frame @param {Panel} panel */
function showPanel({ client }, { element, coupon, samples }) {
  const { code, state, paused, count, issued, remaining, starts_in, since_start } = coupon;
  mark(element, { "data-state": state });
  put(html("h2", element), code);
  put(html(".state", element), STATE[state]);
  const when =
    starts_in === null ? `Started ${inWords(since_start ?? 0)} ago` : `Starts in ${inWords(starts_in)}`;
  const newest = Date.parse(coupon.last_issued_at ?? "");
  const since = Number.isNaN(newest)
    ? ""
    : ` · last one ${inWords((client.serverNow() - newest) / 1000)} ago`;
  put(html(".when", element), `${when}${since}`);
  put(
    html(".remaining", element),
    `${amount(issued)} of ${amount(count)} issued · ${amount(remaining)} left`,
  );
  showMeter(find("meter", HTMLMeterElement, element), coupon);
  put(html(".per-10", element), amount(coupon.per_second_10s));
  put(html(".per-60", element), amount(coupon.per_second_60s));
  // Before its start its group may have it.
  const isIdle = (state === "upcoming" && issued === 0) || state === "ended";
  for (const part of [".rates", "figure"]) html(part, element).hidden = isIdle;
  showChart(element, samples);
  put(html(".pause .label", element), paused ? "Resume" : "Pause");
  // What somebody has typed stays.
  const units = find("[name=count]", HTMLInputElement, element);
  if (units.value === units.defaultValue) units.value = `${count}`;
  units.defaultValue = `${count}`;
  for (const unseen of element.querySelectorAll(".unseen")) put(unseen, code);
}

/** @param {Frame} frame @param {Panel} panel */
function pauseOrResume(frame, { element, coupon: { coupon_id, code, paused } }) {
  const { client, say } = frame;
  return attempt(frame, element, async () => {
    const text = paused
      ? RESUMED[(await client.resumeCoupon({ coupon_id })).outcome]
      : PAUSED[(await client.pauseCoupon({ coupon_id })).outcome];
    tell(element, text);
    say(`${code}: ${text}`);
  });
}

/** @param {Frame} frame @param {Panel} panel @param {HTMLFormElement} form @param {(name: string) => string} given */
function setCount(frame, { coupon: { coupon_id, code } }, form, given) {
  const { client, say } = frame;
  return attempt(frame, form, async () => {
    const why = orNothing({ reason: given("reason") });
    const result = await client.setCouponCount({ coupon_id, count: Number(given("count")), ...why });
    const [text, member] = RESTOCKED[result.outcome](result);
    tell(form, member ? "" : text);
    say(`${code}: ${text}`);
    return member ? [{ member, detail: text }] : [];
  });
}

/**
 * A bar for each second, as high as what was issued in it.
 * @param {HTMLElement} panel
 * @param {Panel["samples"]} samples
 */
function showChart(panel, samples) {
  const end = samples.at(-1)?.at ?? 0;
  const bars = samples.slice(1).flatMap(({ at, issued }, i) => {
    const before = samples[i];
    const seconds = (at - (before?.at ?? 0)) / 1000;
    // Nobody looked for a while.
    if (before === undefined || seconds > 3) return [];
    return [{ x: SPAN - (end - at) / 1000, rate: Math.max(0, issued - before.issued) / seconds }];
  });
  const most = Math.max(...bars.map(({ rate }) => rate), 0);
  const path = bars
    .filter(({ rate }) => rate > 0)
    .map(({ x, rate }) => `M${(x - 1).toFixed(1)} 32v${((-31 * rate) / most).toFixed(1)}h.8V32z`)
    .join("");
  mark(find("path", SVGPathElement, panel), { d: path });
  const now = amount(Math.round(bars.at(-1)?.rate ?? 0));
  const text = `Last two minutes: peak ${amount(Math.round(most))} per second`;
  mark(find("svg", SVGElement, panel), { "aria-label": `${text}, ${now} now` });
  put(html("figcaption", panel), text);
}
