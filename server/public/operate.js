/**
 * The view for operators: each coupon as it goes, what people are told, the form for a new coupon, and parts to look at by the way.
 *
 * To add a part: a <details id="NAME" class="part"> in #operate of index.html, a module that makes its View of a Frame, a line for it in
 * PARTS, and one for its file in routes/pages.ts. It opens when somebody opens it, and each time begins anew. days.js is a short one.
 */
import { createChanges } from "./audit.js";
import { openCreate } from "./create.js";
import { createDays } from "./days.js";
import { find, mark, put, showRows } from "./elements.js";
import { createFind } from "./find.js";
import { createGroups } from "./groups.js";
import { createPanel, SPAN, showPanels } from "./panels.js";
import { createPlan } from "./plan.js";
import { createUsers } from "./users.js";
import { amount, STATE, TOLD, zone } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("./elements.js").View} View */

/** @type {Record<string, (frame: Frame) => View>} By the id of its element. */
const PARTS = {
  find: createFind,
  plan: createPlan,
  days: createDays,
  changes: createChanges,
  groups: createGroups,
  users: createUsers,
};

/**
 * What people were told until now, by outcome.
 * @typedef {{ at: number, outcomes: Record<string, number> }} Told
 */

/**
 * @param {Frame} frame
 * @returns {View}
 */
export function createOperate(frame) {
  const { broke } = frame;
  /** @type {Map<number, import("./panels.js").Panel>} */
  const panels = new Map();
  const parts = Object.entries(PARTS).map(([id, create]) =>
    createPart(find(`#${id}`, HTMLDetailsElement), create(frame)),
  );
  openCreate(frame);
  put(find("#operate .zone", HTMLElement), zone);

  return {
    open(signal) {
      void watch(frame, panels, signal).catch((error) => signal.aborted || broke(error));
      for (const part of parts) part.open(signal);
    },
    forget() {
      panels.clear();
      showPanels(frame, panels);
      for (const part of parts) part.forget();
    },
  };
}

/**
 * A part, which is open while its element is and an operator is known. What it shows stays when another tab is looked at.
 * @param {HTMLDetailsElement} details
 * @param {View} view
 * @returns {View}
 */
function createPart(details, view) {
  let isKnown = false;
  /** @type {AbortController | undefined} */
  let opened;
  const follow = () => {
    if (!details.open || !isKnown) {
      opened?.abort();
      opened = undefined;
    } else if (opened === undefined) {
      opened = new AbortController();
      view.open(opened.signal);
    }
  };
  details.addEventListener("toggle", follow);
  return {
    open() {
      isKnown = true;
      follow();
    },
    forget() {
      isKnown = false;
      follow();
      view.forget();
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
  const table = find("#answers", HTMLTableElement);
  const rows = Object.entries(TOLD).map(([outcome, label]) => {
    const inAll = outcomes[outcome] ?? 0;
    // Another process counts from elsewhere.
    const gone = last === undefined ? 0 : Math.max(0, inAll - (last.outcomes[outcome] ?? 0));
    const seconds = last === undefined ? 1 : Math.max(1, Math.round((at - last.at) / 1000));
    return [label, amount(Math.round(gone / seconds)), amount(inAll)];
  });
  showRows(table, rows);
  rows.forEach(([, , inAll], i) => {
    const row = table.tBodies[0]?.rows[i];
    if (row) mark(row, { "data-none": inAll === "0" ? "" : null });
  });
}
