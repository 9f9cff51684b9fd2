/** A part of the operators' view: what each day offered and gave. */
import { attempt, find, html, onSubmit, orNothing, showRows, tell } from "./elements.js";
import { amount, dayName, instant, percent } from "./words.js";

/**
 * @param {import("./elements.js").Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createDays(frame) {
  const { client, say } = frame;
  const part = html("#days");
  const form = find("form", HTMLFormElement, part);
  const table = find("table", HTMLTableElement, part);
  let opened = AbortSignal.abort();
  onSubmit(form, (given) => {
    const signal = opened;
    const read = async () => {
      const between = orNothing({ first_day: given("first_day"), last_day: given("last_day") });
      const { days } = await client.dailySummary(between, { signal });
      showRows(table, days.map(cellsOf));
      tell(part, "");
      say(`${days.length === 1 ? "One day is" : `${days.length} days are`} shown.`);
    };
    return attempt(frame, part, read, signal);
  });

  return {
    open(signal) {
      opened = signal;
      form.requestSubmit();
    },
    forget() {
      showRows(table, []);
      tell(part, "");
    },
  };
}

/** @param {import("../api/contract-types.ts").AnswerOf<"dailySummary">["days"][number]} day */
function cellsOf({ day, coupons, count, asked, issued, used, share_used, first_issued_at, last_issued_at }) {
  const time = (/** @type {string | null} */ at) => (at === null ? "–" : instant(at));
  return [
    dayName(day),
    ...[coupons, count, asked, issued, used].map(amount),
    share_used === null ? "–" : percent(share_used),
    time(first_issued_at),
    time(last_issued_at),
  ];
}
