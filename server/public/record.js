/**
 * The record of a coupon: how it went, how it went over time, who changed what, and who has it; and the form that takes a use back.
 *
 * To add a part: its element in the template #record of index.html, a function like those here that fills it, and the function's name in
 * PARTS.
 */
import { openAudit } from "./audit.js";
import { drawDrop } from "./drop.js";
import { attempt, find, html, onOpen, onPress, onSubmit, put, saveAs, showRows, tell } from "./elements.js";
import { UNDONE } from "./till-words.js";
import { afterStart, amount, percent, precisely } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"couponStats">} Stats */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"findCoupon">} Coupon */
/**
 * What a part gets.
 * @typedef {{ coupon: Coupon, stats: Stats, panel: HTMLElement, signal: AbortSignal }} Record
 *   panel: where it is told what fails; signal: until when it is shown.
 */

/** @type {((frame: Frame, element: HTMLElement, record: Record) => void | Promise<void>)[]} */
const PARTS = [showStats, openTimeline, openChanges, openHolders];

/** Rows of a timeline that are shown at most, and that are good to look at; and of these, before the first start and after the last grant. */
const MOST_ROWS = 1_000;
const GOOD_ROWS = 60;
const ROWS_BEFORE = 10;
const ROWS_AFTER = 60;

/**
 * @param {Frame} frame
 * @param {HTMLElement} panel
 * @param {{ coupon_id: number, code: string }} coupon
 */
export function openRecord(frame, panel, { coupon_id }) {
  onOpen(find(".record", HTMLDetailsElement, panel), "#record", (element, signal) => {
    const read = async () => {
      const [stats, coupon] = await Promise.all([
        frame.client.couponStats({ coupon_id }, { signal }),
        frame.client.findCoupon({ coupon_id }, { signal }),
      ]);
      tell(panel, "");
      for (const part of PARTS) await part(frame, element, { coupon, stats, panel, signal });
      frame.say(`${stats.code}: ${amount(stats.issued)} issued, ${amount(stats.used)} used.`);
    };
    void attempt(frame, panel, read, signal);
  });
}

/** @param {Frame} _ @param {HTMLElement} element @param {Record} record */
function showStats(_, element, { coupon, stats }) {
  const { coupon_id, count, asked, issued, used, remaining } = stats;
  const { first_issued_at, last_issued_at, time_to_sell_out } = stats;
  const facts = {
    id: `${coupon_id}`,
    asked: amount(asked),
    issued: `${amount(issued)} of ${amount(count)}`,
    left: amount(remaining),
    used: issued === 0 ? amount(used) : `${amount(used)} (${percent(used / issued)})`,
    first: first_issued_at === null ? "–" : precisely(first_issued_at),
    last: last_issued_at === null ? "–" : precisely(last_issued_at),
    gone: time_to_sell_out === null ? "Not sold out" : afterStart(time_to_sell_out, coupon.eligible_from),
  };
  for (const [name, text] of Object.entries(facts)) put(html(`.stats .${name}`, element), text);
}

/**
 * From shortly before its group's start, or else everybody's, to some time after the last grant: requests may go on for days.
 * @param {Frame} frame @param {HTMLElement} element @param {Record} record
 */
function openTimeline(frame, element, { coupon, stats, panel, signal }) {
  const { client, say } = frame;
  const { coupon_id, asked, issued, last_issued_at } = stats;
  const { start_time, eligible_from } = coupon;
  const part = html(".timeline", element);
  part.hidden = asked === 0;
  if (asked === 0) return;
  const form = find("form", HTMLFormElement, part);
  const table = find("table", HTMLTableElement, part);
  const choice = find("select", HTMLSelectElement, form);
  const first = eligible_from ?? start_time;
  const starts = [...new Set([first, start_time])];
  const seconds = Math.max(0, Date.parse(last_issued_at ?? first) - Date.parse(first)) / 1000;
  for (const option of choice.options) option.disabled = seconds / Number(option.value) > MOST_ROWS;
  // Of refusals no more than the second is known.
  const least = asked > issued ? 1 : 0;
  const good = [...choice.options].find(
    ({ value }) => Number(value) >= least && seconds / Number(value) <= GOOD_ROWS,
  );
  choice.value = (good ?? choice.options[choice.options.length - 1])?.value ?? "";
  onSubmit(form, (given) => {
    const read = async () => {
      const bucket = Number(given("bucket"));
      const rows = Math.floor(seconds / bucket) + 1 + ROWS_AFTER;
      const instant = (/** @type {number} */ row) =>
        new Date(Date.parse(first) + row * bucket * 1000).toISOString();
      const span = { bucket, since: instant(-ROWS_BEFORE), before: instant(rows) };
      const { buckets } = await client.couponTimeline({ coupon_id, ...span }, { signal });
      const before = starts.map((start) => {
        const begun = Date.parse(start) - bucket * 1000;
        return buckets.filter(({ begins_at }) => Date.parse(begins_at) <= begun).length;
      });
      drawDrop(html(".drop", part), buckets, choice.selectedOptions[0]?.label ?? "", before);
      showRows(
        table,
        buckets.map(({ begins_at, ...counts }) => [
          precisely(begins_at),
          ...[counts.asked, counts.refused, counts.grants, counts.issued].map(amount),
        ]),
      );
      say(`The timeline has ${buckets.length === 1 ? "one row" : `${buckets.length} rows`}.`);
    };
    return attempt(frame, panel, read, signal);
  });
  form.requestSubmit();
}

/** @param {Frame} frame @param {HTMLElement} element @param {Record} record */
function openChanges(frame, element, record) {
  const { coupon, panel, signal } = record;
  const { coupon_id } = coupon;
  const audit = openAudit(frame, html(".changes", element), panel);
  const read = () => audit.read({ coupon_id }, signal);
  openTakeBack(frame, element, record, async () => {
    await read();
    const stats = await frame.client.couponStats({ coupon_id }, { signal });
    showStats(frame, element, { ...record, stats });
  });
  void read();
}

/**
 * The form that takes a use back, whoever made it: a till and a service can only do so with their own.
 * @param {Frame} frame
 * @param {HTMLElement} element
 * @param {Record} record
 * @param {() => Promise<void>} showAgain
 */
function openTakeBack(frame, element, { coupon, signal }, showAgain) {
  const { client, say, broke } = frame;
  const { coupon_id, code } = coupon;
  const form = find("form.take-back", HTMLFormElement, element);
  /** @type {{ user_id?: number, used_date?: string | undefined }} The use that is meant, until there is an answer: a later one is left alone. */
  let meant = {};
  onSubmit(form, (given) => {
    const takeBack = async () => {
      const user_id = Number(given("user_id"));
      if (user_id !== meant.user_id) {
        const { entries } = await client.auditTrail({ coupon_id, user_id, page_size: 1 }, { signal });
        meant = { user_id, used_date: entries[0]?.used_date ?? undefined };
      }
      const { used_date } = meant;
      const { outcome } = await client.undoUse({ coupon_id, user_id, used_date, reason: given("reason") });
      meant = {};
      const [text, member] = UNDONE[outcome];
      if (outcome === "restored") {
        form.reset();
        await showAgain().catch((error) => signal.aborted || broke(error));
      }
      tell(form, member ? "" : text);
      say(`${code}: ${text}`);
      return member ? [{ member, detail: text }] : [];
    };
    return attempt(frame, form, takeBack);
  });
}

/** @param {Frame} frame @param {HTMLElement} element @param {Record} record */
function openHolders(frame, element, { stats: { coupon_id, code }, signal }) {
  const { client, say } = frame;
  const part = html(".holders", element);
  onPress(html("button", part), () => {
    const save = async () => {
      saveAs(await client.listGrants({ coupon_id }, { signal }), `${code}-grants.csv`);
      tell(part, "The list is saved.");
      say(`${code}: The list is saved.`);
    };
    return attempt(frame, part, save, signal);
  });
}
