/** A part of the operators' view: finds coupons, past ones too, and opens what can be corrected of them and their record. */
import { listedNow, openCorrect } from "./correct.js";
import { copyOf, find, html, mark, onSubmit, orNothing, put } from "./elements.js";
import { createList } from "./list.js";
import { openRecord } from "./record.js";
import { amount, instant, STATE } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"listCoupons">["coupons"][number]} Coupon */
/** @typedef {import("../api/contract-types.ts").RequestOf<"listCoupons">} Asked */

/** Coupons of a page. */
const ROWS = 20;

/**
 * @param {Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createFind(frame) {
  const { client, say } = frame;
  const part = html("#find");
  const form = find("form", HTMLFormElement, part);
  const items = html("ul", part);
  let opened = AbortSignal.abort();
  /** @type {ReturnType<typeof createList<Coupon>>} */
  const list = createList(frame, part, part, (coupons, added) => {
    if (coupons.length === added.length) items.replaceChildren();
    items.append(...added.map((coupon) => createItem(frame, coupon)));
  });
  onSubmit(form, (given) => {
    const asked = askedOf(given);
    return list.read(async (before, signal) => {
      const page = await client.listCoupons({ ...asked, ...(before && { before }) }, { signal });
      const shown = (before ? items.childElementCount : 0) + page.coupons.length;
      say(shown === 1 ? "One coupon is shown." : `${shown || "No"} coupons are shown.`);
      html(".empty", part).hidden = shown > 0;
      return { rows: page.coupons, next_before: page.next_before };
    }, opened);
  });

  return {
    open(signal) {
      opened = signal;
      form.requestSubmit();
    },
    forget: list.forget,
  };
}

/**
 * What a form asks for: days of the reader, each whole.
 * @param {(name: string) => string} given
 * @returns {Asked}
 */
function askedOf(given) {
  const midnight = (/** @type {string} */ day, days = 0) => {
    if (day === "") return "";
    const time = new Date(`${day}T00:00:00`);
    time.setDate(time.getDate() + days);
    return time.toISOString();
  };
  return {
    page_size: ROWS,
    ...orNothing({ state: /** @type {Coupon["state"]} */ (given("state")) }),
    ...orNothing({ code_prefix: given("code_prefix") }),
    ...orNothing({ since: midnight(given("since")), before: midnight(given("before"), 1) }),
  };
}

/** @param {Frame} frame @param {Coupon} coupon */
function createItem(frame, coupon) {
  const item = copyOf("#found");
  showItem(item, coupon);
  openCorrect(frame, item, coupon, async (start_time) => {
    const now = await listedNow(frame, { ...coupon, start_time });
    if (now) showItem(item, now);
  });
  openRecord(frame, item, coupon);
  return item;
}

/** @param {HTMLElement} item @param {Coupon} coupon */
function showItem(item, coupon) {
  const { state, coupon_id, code, message, start_time, expiry, count, issued, remaining } = coupon;
  const { eligible_group, eligible_from } = coupon;
  mark(item, { "data-state": state });
  put(html("h3", item), code);
  put(html(".state", item), STATE[state]);
  put(html(".message", item), message);
  const early = eligible_from === null ? "" : ` · ${eligible_group} from ${instant(eligible_from)}`;
  put(html(".when", item), `${instant(start_time)} to ${instant(expiry)} (your time)${early}`);
  put(
    html(".remaining", item),
    `${amount(issued)} of ${amount(count)} issued · ${amount(remaining)} left · number ${coupon_id}`,
  );
  for (const unseen of item.querySelectorAll(".unseen")) put(unseen, code);
}
