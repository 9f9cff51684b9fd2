/** The form that creates a coupon. */
import { attempt, find, html, onSubmit, orNothing, put, tell, toLocal } from "./elements.js";
import { metadataIn } from "./metadata.js";
import { CREATED, WARNED } from "./words.js";

/** @typedef {import("./elements.js").Frame} Frame */

/** @param {Frame} frame */
export function openCreate(frame) {
  const form = find("#create", HTMLFormElement);
  onSubmit(form, (given) => create(frame, form, given));
  form.addEventListener("input", showUtc);
  propose();
}

/** @param {Frame} frame @param {HTMLFormElement} form @param {(name: string) => string} given */
function create(frame, form, given) {
  const { client, say } = frame;
  const code = given("code");
  return attempt(frame, form, async () => {
    const result = await client.createCoupon({
      code,
      message: given("message"),
      description: given("description"),
      start_time: new Date(given("start_time")).toISOString(),
      expiry: new Date(given("expiry")).toISOString(),
      count: Number(given("count")),
      metadata: metadataIn(given("metadata")),
      ...orNothing({ reason: given("reason") }),
    });
    const [became, member] = CREATED[result.outcome];
    const text = result.warning ? `${became} ${WARNED[result.warning]}` : became;
    tell(form, member ? "" : `${code}: ${text}`);
    say(`${code}: ${text}`);
    if (member) return [{ member, detail: text }];
    form.reset();
    propose();
    return [];
  });
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
