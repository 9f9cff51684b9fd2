/** A part of the operators' view: what each weekday offers, and the days that are filled by it. */
import { attempt, find, html, onPress, onSubmit, orNothing, showRows, tell } from "./elements.js";
import { FILLED, PLANNED, REMOVED, WEEKDAYS } from "./plan-words.js";
import { amount, dayName, instant, WARNED } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"listPlan">["entries"][number]} Entry */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"fillDays">["coupons"][number]} Planned */

/**
 * Tries it, tells what fails, and resolves with what is wrong of the fields. The signal: the part was closed, or somebody else looks.
 * @typedef {(act: (how: { signal: AbortSignal }) => Promise<Wrong | void>) => Promise<Wrong>} Trying
 * @typedef {import("./elements.js").Wrong} Wrong
 */

/**
 * @param {Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createPlan(frame) {
  const part = html("#plan");
  const table = find(".entries table", HTMLTableElement, part);
  const toCome = html(".to-come", part);
  const filled = find(".filled table", HTMLTableElement, toCome);
  const form = find("form.entry", HTMLFormElement, part);
  /** @type {Entry[]} */
  let entries = [];
  let opened = AbortSignal.abort();

  /** @param {{ signal: AbortSignal }} how */
  async function read(how) {
    ({ entries } = await frame.client.listPlan({}, how));
    showRows(table, entries.map(cellsOf));
  }
  /** @param {Planned[]} coupons @param {string} none Why there may be none. */
  const show = (coupons, none) => {
    showRows(filled, coupons.map(becameOf));
    html(".filled", toCome).hidden = coupons.length === 0;
    told(
      toCome,
      coupons.length === 0
        ? none
        : `${coupons.length === 1 ? "One coupon is" : `${coupons.length} coupons are`} shown.`,
    );
  };
  /** @param {HTMLElement} element @param {string} text */
  const told = (element, text) => {
    tell(element, text);
    if (text) frame.say(text);
  };
  /** @param {HTMLElement} element Where it is told what fails. @returns {Trying} */
  const trying = (element) => (act) => {
    const signal = opened;
    return attempt(frame, element, () => act({ signal }), signal);
  };

  const begin = openEntry(frame, form, {
    trying: trying(form),
    told: (text) => told(form, text),
    read,
    entryAt: (weekday, slot) => entries.find((each) => each.weekday === weekday && each.slot === slot),
  });
  openDays(frame, toCome, { trying: trying(toCome), show });

  return {
    open(signal) {
      opened = signal;
      told(form, "");
      void trying(form)(async (how) => {
        await read(how);
        begin();
      });
    },
    forget() {
      entries = [];
      form.reset();
      told(form, "");
      showRows(table, []);
      show([], "");
    },
  };
}

/**
 * The form of an entry. A choice of weekday and slot shows what is planned there; where nothing is, what was typed stays, to be planned
 * there too. Returns what shows what is planned at the first choice, unless somebody has typed.
 * @param {Frame} frame
 * @param {HTMLFormElement} form
 * @param {{ trying: Trying,
 *   told: (text: string) => void, read: (how: { signal: AbortSignal }) => Promise<void>, entryAt: (weekday: number, slot: number) => Entry | undefined }} plan
 */
function openEntry({ client }, form, { trying, told, read, entryAt }) {
  const typed = (/** @type {string} */ name) => String(new FormData(form).get(name) ?? "");
  const place = () => ({ weekday: Number(typed("weekday")), slot: Number(typed("slot")) });
  const why = () => orNothing({ reason: typed("reason") });
  const placed = (/** @type {string} */ text) => `${WEEKDAYS[place().weekday]} ${place().slot}: ${text}`;

  const fields = [...form.elements].filter(
    (field) => field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement,
  );
  /** Shows what is planned there. */
  function show() {
    const entry = new Map(Object.entries(entryAt(place().weekday, place().slot) ?? {}));
    for (const field of fields) if (entry.has(field.name)) field.value = String(entry.get(field.name));
  }
  for (const select of form.querySelectorAll("select")) select.addEventListener("change", show);
  onSubmit(form, (given) =>
    trying(async (how) => {
      const { weekday, slot } = place();
      const entry = {
        ...{ weekday, slot, code_pattern: given("code_pattern"), message: given("message") },
        ...{ description: given("description"), local_start: given("local_start") },
        ...{ local_expiry: given("local_expiry"), expiry_days: Number(given("expiry_days")) },
        ...{ count: Number(given("count")), ...why() },
      };
      const result = await client.setPlanEntry(entry, how);
      const [text, member] = PLANNED[result.outcome];
      if (!member) await read(how);
      const said = result.warning ? `${text} ${WARNED[result.warning]}` : text;
      told(member ? "" : placed(said));
      return member ? [{ member, detail: text }] : [];
    }),
  );
  onPress(html(".remove", form), () =>
    trying(async (how) => {
      const { outcome } = await client.removePlanEntry({ ...place(), ...why() }, how);
      await read(how);
      told(placed(REMOVED[outcome]));
    }),
  );
  return () => {
    if (fields.every(({ value, defaultValue }) => value === defaultValue)) show();
  };
}

/**
 * The days to come: a preview, and filling them; and the copy of a day.
 * @param {Frame} frame
 * @param {HTMLElement} toCome
 * @param {{ trying: Trying,
 *   show: (coupons: Planned[], none: string) => void }} plan
 */
function openDays({ client }, toCome, { trying, show }) {
  const days = find("form.days", HTMLFormElement, toCome);
  onSubmit(days, (given) =>
    trying(async (how) => {
      const { coupons } = await client.previewDays(orNothing({ last_day: given("last_day") }), how);
      show(coupons, "Nothing is planned for these days.");
    }),
  );
  onPress(html(".fill", days), () =>
    trying(async (how) => {
      const last_day = String(new FormData(days).get("last_day") ?? "");
      const { coupons } = await client.fillDays(orNothing({ last_day }), how);
      show(coupons, "Nothing is planned for these days.");
    }),
  );
  const copy = find("form.copy", HTMLFormElement, toCome);
  onSubmit(copy, (given) =>
    trying(async (how) => {
      const [from_day, to_day] = [given("from_day"), given("to_day")];
      const { coupons } = await client.copyDay({ from_day, to_day }, how);
      show(coupons, "There are no coupons on that day.");
    }),
  );
}

/** @param {Entry} entry */
function cellsOf({ weekday, slot, code_pattern, message, local_start, local_expiry, expiry_days, count }) {
  const short = (/** @type {string} */ time) => time.replace(/:00$/, "");
  const later = expiry_days === 0 ? "" : `, ${expiry_days === 1 ? "a day" : `${expiry_days} days`} later`;
  return [
    `${WEEKDAYS[weekday]} ${slot}`,
    code_pattern,
    message,
    `${short(local_start)} to ${short(local_expiry)}${later}`,
    amount(count),
  ];
}

/** @param {Planned} coupon */
function becameOf({ outcome, day, code, start_time, expiry, count, coupon_id, taken_by, warning }) {
  const coupon = coupon_id ?? taken_by;
  const about = coupon === null ? "" : ` (number ${coupon})`;
  const became = outcome === "made" && coupon_id === null ? "Can be made" : FILLED[outcome];
  return [
    dayName(day),
    code ?? "–",
    `${became}${about}${warning ? `. ${WARNED[warning]}` : ""}`,
    start_time === null ? "–" : instant(start_time),
    expiry === null ? "–" : instant(expiry),
    count === null ? "–" : amount(count),
  ];
}
