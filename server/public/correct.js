/** What an operator can correct of a coupon: its code and texts, its start, its end; or take all of it back. */
import { copyOf, errorsOf, find, nameErrors, onSubmit, orNothing, tell, toLocal } from "./elements.js";
import { EDITED, ENDING, MOVED, WARNED, WITHDRAWN } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {{ member: string, detail: string }[]} Wrong */
/** @typedef {readonly [text: string, member?: string]} Became */

/**
 * @param {Frame} frame
 * @param {HTMLElement} panel
 * @param {{ coupon_id: number, code: string }} coupon
 */
export function openCorrect(frame, panel, { coupon_id, code }) {
  const { say, failed } = frame;
  const details = find(".correct", HTMLDetailsElement, panel);

  /**
   * Tells what became of it, and which field is in the way.
   * @param {() => Promise<Became>} act
   * @returns {Promise<Wrong>}
   */
  async function told(act) {
    try {
      const [text, member] = await act();
      tell(panel, member ? "" : text);
      if (text) say(`${code}: ${text}`);
      return member ? [{ member, detail: text }] : [];
    } catch (error) {
      tell(panel, failed(error), "bad");
      return errorsOf(error);
    }
  }

  // There only while they are used, and as the coupon is then.
  details.addEventListener("toggle", () => {
    details.querySelector("div")?.remove();
    if (!details.open) return;
    const forms = copyOf("#correct");
    details.append(forms);
    openForms(frame, forms, coupon_id, told);
    void told(() => fill(frame, forms, coupon_id));
  });
}

/** @param {HTMLElement} forms @param {string} name */
const formOf = (forms, name) => find(`form.${name}`, HTMLFormElement, forms);

/**
 * @param {Frame} frame
 * @param {HTMLElement} forms
 * @param {number} coupon_id
 * @param {(act: () => Promise<Became>) => Promise<Wrong>} told
 */
function openForms({ client }, forms, coupon_id, told) {
  /** @param {string} name @param {(given: (name: string) => string) => Promise<Became>} act */
  const on = (name, act) => {
    nameErrors(formOf(forms, name), `${name}-${coupon_id}`);
    onSubmit(formOf(forms, name), (given) => told(() => act(given)));
  };
  on("edit", async (given) => {
    const texts = textsOf(forms).filter(({ value, defaultValue }) => value !== defaultValue);
    const members = Object.fromEntries(texts.map(({ name, value }) => [name, value]));
    const { outcome } = await client.editCoupon({ coupon_id, ...members, ...why(given) });
    if (outcome === "changed") for (const field of texts) field.defaultValue = members[field.name] ?? "";
    return EDITED[outcome];
  });
  on("move", async (given) => {
    const start_time = new Date(given("start_time")).toISOString();
    const result = await client.setCouponStart({ coupon_id, start_time, ...why(given) });
    return warned(MOVED[result.outcome], result.warning);
  });
  on("end", async (given) => {
    const expiry = new Date(given("expiry")).toISOString();
    const result = await client.setCouponExpiry({ coupon_id, expiry, ...why(given) });
    return warned(ENDING[result.outcome], result.warning);
  });
  on("withdraw", async (given) => {
    const result = await client.withdrawCoupon({ coupon_id, ...why(given) });
    return [WITHDRAWN[result.outcome](result)];
  });
}

/**
 * What the edit form can change. Each field's defaultValue is what the coupon was seen to have: only another value is
 * sent, so that nobody takes back what somebody else corrected meanwhile, or what a field can't show (a line break).
 * @param {HTMLElement} forms
 */
const textsOf = (forms) => [
  find("[name=code]", HTMLInputElement, formOf(forms, "edit")),
  find("[name=message]", HTMLInputElement, formOf(forms, "edit")),
  find("[name=description]", HTMLTextAreaElement, formOf(forms, "edit")),
];

/** @param {(name: string) => string} given */
const why = (given) => orNothing({ reason: given("reason") });

/**
 * @param {Became} became
 * @param {keyof typeof WARNED | null | undefined} warning
 * @returns {Became}
 */
function warned([text, member], warning) {
  return warning ? [`${text} ${WARNED[warning]}`] : member ? [text, member] : [text];
}

/**
 * The fields as the coupon is now.
 * @param {Frame} frame
 * @param {HTMLElement} forms
 * @param {number} coupon_id
 * @returns {Promise<[string]>}
 */
async function fill({ client }, forms, coupon_id) {
  const { code, message, description, start_time, expiry } = await client.findCoupon({ coupon_id });
  const texts = new Map(Object.entries({ code, message, description }));
  for (const field of textsOf(forms)) {
    field.value = texts.get(field.name) ?? "";
    field.defaultValue = field.value;
  }
  find("[name=start_time]", HTMLInputElement, formOf(forms, "move")).value = toLocal(Date.parse(start_time));
  find("[name=expiry]", HTMLInputElement, formOf(forms, "end")).value = toLocal(Date.parse(expiry));
  return [""];
}
