/** What a person has: the list of their coupons, and the button that uses one. */
import { arrange, copyOf, find, html, mark, onOpen, put, tell, wordsOf } from "./elements.js";
import { generate } from "./lean-qr.js";
import { showTickets } from "./tickets.js";
import { amount, moment, USED } from "./words.js";

/** @typedef {import("./tickets.js").Shop} Shop */
/** @typedef {import("./tickets.js").Grant} Grant */

/**
 * @typedef {object} Wallet
 * @property {Map<number, HTMLElement>} items What is shown of each grant, by coupon.
 * @property {Map<number, string>} references Of each use its reference, so that to press again after a lost answer is the same use.
 * @property {string | null} before The page after those that are shown begins before this day.
 */

/**
 * @param {Shop} shop
 * @param {Wallet} wallet
 * @param {string} [from] The page that begins before this day.
 */
export async function readWallet(shop, wallet, from) {
  const { client, userId, grants } = shop;
  const user_id = userId();
  if (user_id === undefined) return;
  const page = await client.wallet({ user_id, ...(from === undefined ? {} : { before: from }) });
  if (user_id !== userId()) return;
  if (from === undefined) grants.clear();
  for (const grant of page.coupons) grants.set(grant.coupon_id, grant);
  wallet.before = page.next_before;
  showWallet(shop, wallet);
  showTickets(shop);
}

/** @param {Shop} shop @param {Wallet} wallet */
export function showWallet(shop, wallet) {
  const { grants } = shop;
  const { items, before } = wallet;
  for (const id of items.keys()) if (!grants.has(id)) items.delete(id);
  for (const grant of grants.values()) {
    const item = items.get(grant.coupon_id) ?? createItem(shop, wallet, grant.coupon_id);
    showGrant(item, grant);
  }
  arrange(
    html("#grants"),
    [...grants.keys()].flatMap((id) => items.get(id) ?? []),
  );
  html("#no-grants").hidden = grants.size > 0;
  html("#older").hidden = before === null;
}

/** @param {Shop} shop @param {Wallet} wallet @param {number} couponId */
function createItem(shop, wallet, couponId) {
  const item = copyOf("#grant");
  wallet.items.set(couponId, item);
  html(".use", item).addEventListener("click", () => use(shop, wallet, couponId, item));
  onOpen(find(".at-till", HTMLDetailsElement, item), "#claim", (copy) => {
    const code = shop.grants.get(couponId)?.claim_code ?? "";
    put(html(".claim-code", copy), code);
    generate(code)?.toCanvas(find("canvas", HTMLCanvasElement, copy));
  });
  return item;
}

/** @param {HTMLElement} item @param {Grant} grant */
function showGrant(item, grant) {
  mark(item, { "data-state": grant.state });
  put(html("h3", item), grant.message);
  const until = {
    issued: `Use it before ${moment(grant.expiry)}`,
    used: `Used ${moment(grant.used_date ?? 0)}`,
    expired: `Ended ${moment(grant.expiry)}`,
  };
  put(html(".facts", item), `${grant.code} · number ${amount(grant.position)} · ${until[grant.state]}`);
  html(".at-till", item).hidden = grant.state !== "issued" || grant.claim_code === null;
  const button = html(".use", item);
  mark(button, { "aria-disabled": String(grant.state !== "issued"), "aria-busy": null });
  put(html(".label", button), { issued: "Use", used: "Used", expired: "Ended" }[grant.state]);
  put(html(".unseen", button), grant.message);
}

/** @param {Shop} shop @param {Wallet} wallet @param {number} couponId @param {HTMLElement} item */
async function use(shop, wallet, couponId, item) {
  const { client, say, failed, broke, readWallet } = shop;
  const { references } = wallet;
  const button = html(".use", item);
  if (button.ariaDisabled === "true") return;
  mark(button, { "aria-disabled": "true", "aria-busy": "true" });
  put(html(".label", button), "Asking …");
  const reference = references.get(couponId) ?? newReference("page");
  references.set(couponId, reference);
  try {
    const result = await client.useCoupon({ coupon_id: couponId, reference });
    const text = wordsOf(USED, result, result);
    tell(item, text, result.outcome === "used" ? "good" : "bad");
    say(`${html("h3", item).textContent}: ${text}`);
    // What became of the use stands, also where the list can't be had now.
    await readWallet().catch(broke);
  } catch (error) {
    tell(item, failed(error), "bad");
  }
  showWallet(shop, wallet);
}

/**
 * Not crypto.randomUUID(), which is there by https and on localhost only.
 * @param {string} who
 */
export function newReference(who) {
  return `${who}-${[...crypto.getRandomValues(new Uint32Array(3))].map((n) => n.toString(36)).join("")}`;
}
