/** The view for operators: each coupon as it goes, what people are told, and what can be done about it. */
import { CouponError } from "./client.js";
import { arrange, copyOf, find, html, mark, onSubmit, put, showMeter, tell } from "./elements.js";
import { amount, CREATED, inWords, PAUSED, RESTOCKED, RESUMED, STATE, TOLD } from "./words.js";

/** @typedef {import("../api/contract-types.ts").AnswerOf<"watchStatus">} Status */
/** @typedef {Status["coupons"][number]} Coupon */

/**
 * @typedef {object} Panel
 * @property {HTMLElement} element
 * @property {Coupon} coupon As told last.
 * @property {{ at: number, issued: number }[]} samples Of the last two minutes, a second apart; at: ms, by the service's clock.
 */

/** What the chart shows, s. */
const SPAN = 120;

/**
 * @param {import("./elements.js").Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createOperate({ client, say, failed, broke }) {
  /** @type {Map<number, Panel>} */
  const panels = new Map();
  /** @type {{ at: number, outcomes: Record<string, number> } | undefined} */
  let last;

  const form = find("#create", HTMLFormElement);
  onSubmit(form, create);
  form.addEventListener("input", showUtc);
  propose();

  return {
    open(signal) {
      last = undefined;
      void watch(signal).catch((error) => signal.aborted || broke(error));
    },
    forget() {
      panels.clear();
      showPanels();
    },
  };

  /** @param {AbortSignal} signal */
  async function watch(signal) {
    for await (const { coupons, outcomes, server_time } of client.watchStatus({ signal })) {
      const at = Date.parse(server_time);
      const before = new Map(panels);
      panels.clear();
      for (const coupon of coupons) {
        const panel = before.get(coupon.coupon_id) ?? createPanel(coupon);
        panels.set(coupon.coupon_id, panel);
        if (panel.coupon.state !== coupon.state) say(`${coupon.code}: ${STATE[coupon.state].toLowerCase()}.`);
        panel.coupon = coupon;
        panel.samples.push({ at, issued: coupon.issued });
        while (at - (panel.samples[0]?.at ?? at) > SPAN * 1000) panel.samples.shift();
      }
      showPanels();
      showAnswers(at, outcomes);
    }
  }

  // ---- Coupons ------------------------------------------------------------------------------------------------------

  /** @param {Coupon} coupon @returns {Panel} */
  function createPanel(coupon) {
    const { coupon_id } = coupon;
    const element = copyOf("#panel");
    /** @type {Panel} */
    const panel = { element, coupon, samples: [] };
    html(".pause", element).addEventListener("click", () => pauseOrResume(panel));
    const restock = find("form", HTMLFormElement, element);
    for (const error of restock.querySelectorAll(".error")) {
      const name = error.getAttribute("data-of");
      error.id = `${name}-error-${coupon_id}`;
      html(`[name=${name}]`, restock).setAttribute("aria-describedby", error.id);
    }
    find("[name=count]", HTMLInputElement, restock).value = `${coupon.count}`;
    onSubmit(restock, (given) => setCount(panel, Number(given("count")), given("reason")));
    return panel;
  }

  function showPanels() {
    // By their start, and by nothing that a click changes; what is over comes last.
    const isOver = (/** @type {Panel} */ { coupon }) => Number(coupon.state === "ended");
    const sorted = [...panels.values()].sort((a, b) => isOver(a) - isOver(b));
    for (const panel of sorted) showPanel(panel);
    arrange(
      html("#status"),
      sorted.map(({ element }) => element),
    );
    html("#no-status").hidden = sorted.length > 0;
  }

  /** @param {Panel} panel */
  function showPanel({ element, coupon, samples }) {
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
    const isIdle = state === "upcoming" || state === "ended";
    for (const part of [".rates", "figure"]) html(part, element).hidden = isIdle;
    showChart(element, samples);
    put(html(".pause .label", element), paused ? "Resume" : "Pause");
    for (const unseen of element.querySelectorAll(".unseen")) put(unseen, code);
  }

  /** @param {Panel} panel */
  async function pauseOrResume({ element, coupon: { coupon_id, code, paused } }) {
    const button = html(".pause", element);
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    try {
      const text = paused
        ? RESUMED[(await client.resumeCoupon({ coupon_id })).outcome]
        : PAUSED[(await client.pauseCoupon({ coupon_id })).outcome];
      tell(element, text);
      say(`${code}: ${text}`);
    } catch (error) {
      tell(element, failed(error), "bad");
    } finally {
      button.ariaDisabled = "false";
    }
  }

  /** @param {Panel} panel @param {number} count @param {string} reason */
  async function setCount({ element, coupon: { coupon_id, code } }, count, reason) {
    try {
      const result = await client.setCouponCount({ coupon_id, count, ...orNothing({ reason }) });
      const [text, member] = RESTOCKED[result.outcome](result);
      tell(element, member ? "" : text);
      say(`${code}: ${text}`);
      return member ? [{ member, detail: text }] : [];
    } catch (error) {
      tell(element, failed(error), "bad");
      return errorsOf(error);
    }
  }

  // ---- Answers ------------------------------------------------------------------------------------------------------

  /** @param {number} at @param {Record<string, number>} outcomes */
  function showAnswers(at, outcomes) {
    const rows = Object.entries(TOLD).map(([outcome, label]) => {
      const inAll = outcomes[outcome] ?? 0;
      // Another process counts from elsewhere.
      const gone = last === undefined ? 0 : Math.max(0, inAll - (last.outcomes[outcome] ?? 0));
      const seconds = last === undefined ? 1 : Math.max(1, Math.round((at - last.at) / 1000));
      return [label, amount(Math.round(gone / seconds)), amount(inAll)];
    });
    last = { at, outcomes };
    const body = find("#answers tbody", HTMLTableSectionElement);
    rows.forEach((cells, i) => {
      const row = body.rows[i] ?? body.insertRow();
      cells.forEach((text, j) => {
        let cell = row.cells[j];
        if (cell === undefined) {
          cell = document.createElement(j === 0 ? "th" : "td");
          mark(cell, j === 0 ? { scope: "row" } : { class: "number" });
          row.append(cell);
        }
        put(cell, text);
      });
      mark(row, { "data-none": cells[2] === "0" ? "" : null });
    });
  }

  // ---- New coupon ---------------------------------------------------------------------------------------------------

  /** @param {(name: string) => string} given */
  async function create(given) {
    const code = given("code");
    try {
      const result = await client.createCoupon({
        code,
        message: given("message"),
        description: given("description"),
        start_time: new Date(given("start_time")).toISOString(),
        expiry: new Date(given("expiry")).toISOString(),
        count: Number(given("count")),
        ...orNothing({ reason: given("reason") }),
      });
      const [text, member] = CREATED[result.outcome];
      tell(form, member ? "" : `${code}: ${text}`);
      say(`${code}: ${text}`);
      if (member) return [{ member, detail: text }];
      form.reset();
      propose();
      return [];
    } catch (error) {
      tell(form, failed(error), "bad");
      return errorsOf(error);
    }
  }

  /** In five minutes, for a day: something that can be watched. */
  function propose() {
    const start = Math.ceil(Date.now() / 60_000 + 5) * 60_000;
    find("#start_time", HTMLInputElement).value = toLocal(start);
    find("#expiry", HTMLInputElement).value = toLocal(start + 86_400_000);
    showUtc();
  }

  function showUtc() {
    for (const id of ["start_time", "expiry"]) {
      const time = new Date(find(`#${id}`, HTMLInputElement).value);
      const text = Number.isNaN(time.getTime()) ? "" : time.toISOString().slice(0, 19).replace("T", " ");
      put(html(`#${id}-hint`), text && `${text} UTC`);
    }
  }
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

/**
 * For a datetime-local field.
 * @param {number} time
 */
function toLocal(time) {
  return new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/**
 * Without the members that are empty.
 * @template {Record<string, string>} T
 * @param {T} members
 * @returns {Partial<T>}
 */
function orNothing(members) {
  return /** @type {Partial<T>} */ (
    Object.fromEntries(Object.entries(members).filter(([, value]) => value !== ""))
  );
}

/**
 * Which fields the service found wrong.
 * @param {unknown} error
 */
function errorsOf(error) {
  return error instanceof CouponError ? error.errors : [];
}
