/** The view for operators: each coupon as it goes, what people are told, and the form for a new coupon. */
import { openCreate } from "./create.js";
import { find, mark, put } from "./elements.js";
import { createPanel, SPAN, showPanels } from "./panels.js";
import { amount, STATE, TOLD } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */

/**
 * What people were told until now, by outcome.
 * @typedef {{ at: number, outcomes: Record<string, number> }} Told
 */

/**
 * @param {Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createOperate(frame) {
  const { broke } = frame;
  /** @type {Map<number, import("./panels.js").Panel>} */
  const panels = new Map();
  openCreate(frame);

  return {
    open(signal) {
      void watch(frame, panels, signal).catch((error) => signal.aborted || broke(error));
    },
    forget() {
      panels.clear();
      showPanels(frame, panels);
    },
  };
}

/** @param {Frame} frame @param {Map<number, import("./panels.js").Panel>} panels @param {AbortSignal} signal */
async function watch(frame, panels, signal) {
  /** @type {Told | undefined} */
  let last;
  for await (const { coupons, outcomes, server_time } of frame.client.watchStatus({ signal })) {
    const at = Date.parse(server_time);
    const before = new Map(panels);
    panels.clear();
    for (const coupon of coupons) {
      const panel = before.get(coupon.coupon_id) ?? createPanel(frame, coupon);
      panels.set(coupon.coupon_id, panel);
      if (panel.coupon.state !== coupon.state)
        frame.say(`${coupon.code}: ${STATE[coupon.state].toLowerCase()}.`);
      panel.coupon = coupon;
      panel.samples.push({ at, issued: coupon.issued });
      while (at - (panel.samples[0]?.at ?? at) > SPAN * 1000) panel.samples.shift();
    }
    showPanels(frame, panels);
    const told = { at, outcomes };
    showAnswers(last, told);
    last = told;
  }
}

/**
 * What people are told, with how often a second since the last time.
 * @param {Told | undefined} last
 * @param {Told} told
 */
function showAnswers(last, { at, outcomes }) {
  const rows = Object.entries(TOLD).map(([outcome, label]) => {
    const inAll = outcomes[outcome] ?? 0;
    // Another process counts from elsewhere.
    const gone = last === undefined ? 0 : Math.max(0, inAll - (last.outcomes[outcome] ?? 0));
    const seconds = last === undefined ? 1 : Math.max(1, Math.round((at - last.at) / 1000));
    return [label, amount(Math.round(gone / seconds)), amount(inAll)];
  });
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
