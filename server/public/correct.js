/** What an operator can correct of a coupon: its code, texts and metadata, its start, who has it early, its end; or take all of it back. */
import { attempt, find, html, onOpen, onPress, onSubmit, orNothing, tell, toLocal } from "./elements.js";
import { GROUPED } from "./group-words.js";
import { metadataIn, metadataText } from "./metadata.js";
import { EDITED, ENDING, MOVED, WARNED, WITHDRAWN } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */
/** @typedef {import("./elements.js").Wrong} Wrong */
/** @typedef {readonly [text: string, member?: string]} Became */
/** @typedef {(form: HTMLFormElement, act: () => Promise<Became>) => Promise<Wrong>} Told Tells what became of it, and which field is in the way. */

/**
 * @param {Frame} frame
 * @param {HTMLElement} panel
 * @param {{ coupon_id: number }} coupon
 * @param {(start_time: string) => Promise<void>} [showAgain] Shows the coupon, which starts then, as it is now.
 */
export function openCorrect(frame, panel, { coupon_id }, showAgain = async () => {}) {
  onOpen(find(".correct", HTMLDetailsElement, panel), "#correct", (forms) => {
    /** @type {Told} */
    const told = (form, act) =>
      attempt(frame, form, async () => {
        const [text, member] = await act();
        tell(form, member ? "" : text);
        // By the code that is shown: it may have been corrected.
        if (text) frame.say(`${html("h2, h3", panel).textContent}: ${text}`);
        const start_time = timesOf(forms).start_time.dataset["exact"];
        if (!member && start_time) await showAgain(start_time).catch(frame.broke);
        return member ? [{ member, detail: text }] : [];
      });
    openForms(frame, forms, coupon_id, told);
    tell(panel, "");
    void attempt(frame, panel, () => fill(frame, forms, coupon_id));
  });
}

/**
 * The coupon that starts then, as operators see it: whose it is early, only this list tells; and it is never a second old.
 * @param {Frame} frame
 * @param {{ coupon_id: number, start_time: string }} coupon
 */
export async function listedNow({ client }, { coupon_id, start_time }) {
  const before = new Date(Date.parse(start_time) + 1).toISOString();
  const { coupons } = await client.listCoupons({ since: start_time, before });
  return coupons.find((coupon) => coupon.coupon_id === coupon_id);
}

/** @param {HTMLElement} forms @param {string} name */
const formOf = (forms, name) => find(`form.${name}`, HTMLFormElement, forms);

/**
 * @param {Frame} frame
 * @param {HTMLElement} forms
 * @param {number} coupon_id
 * @param {Told} told
 */
function openForms({ client }, forms, coupon_id, told) {
  /** @param {string} name @param {(given: (name: string) => string) => Promise<Became>} act */
  const on = (name, act) => {
    const form = formOf(forms, name);
    onSubmit(form, (given) => told(form, () => act(given)));
  };
  on("edit", async (given) => {
    const texts = textsOf(forms).filter(({ value, defaultValue }) => value !== defaultValue);
    const typed = new Map(texts.map((field) => [field, field.value]));
    const members = Object.fromEntries(
      texts.map(({ name, value }) => [name, name === "metadata" ? metadataIn(value) : value]),
    );
    const { outcome } = await client.editCoupon({ coupon_id, ...members, ...why(given) });
    if (outcome === "changed") for (const [field, value] of typed) field.defaultValue = value;
    return EDITED[outcome];
  });
  on("move", async (given) => {
    const start_time = timeOf(timesOf(forms).start_time);
    const result = await client.setCouponStart({ coupon_id, start_time, ...why(given) });
    if (result.outcome === "changed") know(timesOf(forms).start_time, start_time);
    return warned(MOVED[result.outcome], result.warning);
  });
  on("group", async (given) => {
    const early = { group_name: given("group_name"), eligible_from: timeOf(timesOf(forms).eligible_from) };
    const result = await client.setCouponGroup({ coupon_id, ...early, ...why(given) });
    if (result.outcome === "changed") knowGroup(forms, early.group_name, early.eligible_from);
    return warned(GROUPED[result.outcome], result.warning);
  });
  const group = formOf(forms, "group");
  onPress(html(".nobody", group), () =>
    told(group, async () => {
      const reason = find("[name=reason]", HTMLInputElement, group).value;
      const nobody = { group_name: null, eligible_from: null };
      const { outcome } = await client.setCouponGroup({ coupon_id, ...nobody, ...orNothing({ reason }) });
      if (outcome === "changed") {
        knowGroup(forms, null, null);
        group.reset();
      }
      return [GROUPED[outcome][0]];
    }),
  );
  on("end", async (given) => {
    const expiry = timeOf(timesOf(forms).expiry);
    const result = await client.setCouponExpiry({ coupon_id, expiry, ...why(given) });
    if (result.outcome === "changed") know(timesOf(forms).expiry, expiry);
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
  find("[name=metadata]", HTMLTextAreaElement, formOf(forms, "edit")),
];

/** @param {HTMLElement} forms */
const timesOf = (forms) => ({
  start_time: find("[name=start_time]", HTMLInputElement, formOf(forms, "move")),
  eligible_from: find("[name=eligible_from]", HTMLInputElement, formOf(forms, "group")),
  expiry: find("[name=expiry]", HTMLInputElement, formOf(forms, "end")),
});

/**
 * What time a field means: as it was told where it was left alone, since the field shows whole seconds, and not which of two hours it is when
 * clocks are put back. Compared as times: browsers write no seconds that are 0.
 * @param {HTMLInputElement} field
 */
const timeOf = (field) =>
  (Date.parse(field.value) === Date.parse(field.defaultValue) && field.dataset["exact"]) ||
  new Date(field.value).toISOString();

/** @param {HTMLInputElement} field @param {string} time */
function know(field, time) {
  field.dataset["exact"] = time;
  field.defaultValue = toLocal(Date.parse(time));
}

/** @param {HTMLElement} forms @param {string | null} group_name @param {string | null} eligible_from */
function knowGroup(forms, group_name, eligible_from) {
  find("[name=group_name]", HTMLInputElement, formOf(forms, "group")).defaultValue = group_name ?? "";
  if (eligible_from !== null) return know(timesOf(forms).eligible_from, eligible_from);
  delete timesOf(forms).eligible_from.dataset["exact"];
  timesOf(forms).eligible_from.defaultValue = "";
}

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
 * The fields as the coupon is now; what somebody has typed already stays.
 * @param {Frame} frame
 * @param {HTMLElement} forms
 * @param {number} coupon_id
 */
async function fill(frame, forms, coupon_id) {
  const found = await frame.client.findCoupon({ coupon_id });
  const listed = await listedNow(frame, found);
  const { code, message, description, metadata, start_time, expiry } = listed ?? found;
  const texts = new Map(Object.entries({ code, message, description, metadata: metadataText(metadata) }));
  for (const field of textsOf(forms)) {
    const typed = field.value === field.defaultValue ? undefined : field.value;
    field.value = texts.get(field.name) ?? "";
    field.defaultValue = field.value; // without what a field can't show
    field.value = typed ?? field.value;
  }
  know(timesOf(forms).start_time, start_time);
  know(timesOf(forms).expiry, expiry);
  if (listed) knowGroup(forms, listed.eligible_group, listed.eligible_from);
}
