/**
 * The record of a coupon: how it went, how it went over time, who changed what, and who has it.
 *
 * To add a part: its element in the template #record of index.html, a function like those here that fills it, and the function's name in
 * PARTS.
 */
import { openAudit } from "./audit.js";
import {
  find,
  html,
  nameErrors,
  onOpen,
  onPress,
  onSubmit,
  put,
  saveAs,
  showRows,
  tell,
} from "./elements.js";
import { amount, lasting, percent, precisely } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"couponStats">} Stats */
/**
 * What a part gets.
 * @typedef {{ stats: Stats, panel: HTMLElement, signal: AbortSignal }} Record Where it is told what fails; until when it is shown.
 */

/** @type {((frame: Frame, element: HTMLElement, record: Record) => void)[]} */
const PARTS = [showStats, openTimeline, openChanges, openHolders];

/** Rows of a timeline that are shown at most, and that are good to look at. */
const MOST_ROWS = 1_000;
const GOOD_ROWS = 60;

/**
 * @param {Frame} frame
 * @param {HTMLElement} panel
 * @param {{ coupon_id: number, code: string }} coupon
 */
export function openRecord(frame, panel, { coupon_id }) {
  onOpen(find(".record", HTMLDetailsElement, panel), "#record", async (element, signal) => {
    try {
      const stats = await frame.client.couponStats({ coupon_id }, { signal });
      tell(panel, "");
      for (const part of PARTS) part(frame, element, { stats, panel, signal });
      frame.say(`${stats.code}: ${amount(stats.issued)} issued, ${amount(stats.used)} used.`);
    } catch (error) {
      if (!signal.aborted) tell(panel, frame.failed(error), "bad");
    }
  });
}

/** @param {Frame} _ @param {HTMLElement} element @param {Record} record */
function showStats(_, element, { stats }) {
  const { coupon_id, count, issued, used, remaining, first_issued_at, last_issued_at, time_to_sell_out } =
    stats;
  const facts = {
    id: `${coupon_id}`,
    issued: `${amount(issued)} of ${amount(count)}`,
    left: amount(remaining),
    used: issued === 0 ? amount(used) : `${amount(used)} (${percent(used / issued)})`,
    first: first_issued_at === null ? "–" : precisely(first_issued_at),
    last: last_issued_at === null ? "–" : precisely(last_issued_at),
    gone: time_to_sell_out === null ? "Not sold out" : `${lasting(time_to_sell_out)} after the start`,
  };
  for (const [name, text] of Object.entries(facts)) put(html(`.stats .${name}`, element), text);
}

/** @param {Frame} frame @param {HTMLElement} element @param {Record} record */
function openTimeline({ client, say, failed }, element, { stats, panel, signal }) {
  const { coupon_id, first_issued_at, last_issued_at } = stats;
  const part = html(".timeline", element);
  part.hidden = first_issued_at === null || last_issued_at === null;
  if (first_issued_at === null || last_issued_at === null) return;
  const form = find("form", HTMLFormElement, part);
  const table = find("table", HTMLTableElement, part);
  const choice = find("select", HTMLSelectElement, form);
  const seconds = (Date.parse(last_issued_at) - Date.parse(first_issued_at)) / 1000;
  for (const option of choice.options) option.disabled = seconds / Number(option.value) > MOST_ROWS;
  const good = [...choice.options].find(({ value }) => seconds / Number(value) <= GOOD_ROWS);
  choice.value = (good ?? choice.options[choice.options.length - 1])?.value ?? "";
  nameErrors(form, `timeline-${coupon_id}`);
  onSubmit(form, async (given) => {
    try {
      const bucket = Number(given("bucket"));
      const { buckets } = await client.couponTimeline({ coupon_id, bucket }, { signal });
      showRows(
        table,
        buckets.map(({ begins_at, grants, issued }) => [
          precisely(begins_at),
          amount(grants),
          amount(issued),
        ]),
      );
      say(`The timeline has ${buckets.length === 1 ? "one row" : `${buckets.length} rows`}.`);
    } catch (error) {
      if (!signal.aborted) tell(panel, failed(error), "bad");
    }
    return [];
  });
  form.requestSubmit();
}

/** @param {Frame} frame @param {HTMLElement} element @param {Record} record */
function openChanges(frame, element, { stats, panel, signal }) {
  const audit = openAudit(frame, html(".changes", element), panel);
  void audit.read({ coupon_id: stats.coupon_id }, signal);
}

/** @param {Frame} frame @param {HTMLElement} element @param {Record} record */
function openHolders({ client, say, failed }, element, { stats: { coupon_id, code }, panel, signal }) {
  onPress(html(".holders button", element), async () => {
    try {
      saveAs(await client.listGrants({ coupon_id }, { signal }), `${code}-grants.csv`);
      tell(panel, "The list is saved.");
      say(`${code}: The list is saved.`);
    } catch (error) {
      if (!signal.aborted) tell(panel, failed(error), "bad");
    }
  });
}
