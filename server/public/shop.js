/** The view for people who want a coupon: what is on, by the service's clock, and what they have. */
import { CouponError } from "./client.js";
import { html, put, tell } from "./elements.js";
import { createTicket, showTickets, tick } from "./tickets.js";
import { readWallet, showWallet } from "./wallet.js";

/**
 * @param {import("./elements.js").Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createShop(frame) {
  const { broke, userId } = frame;
  /** @type {import("./wallet.js").Wallet} */
  const wallet = { items: new Map(), references: new Map(), before: null };
  /** @type {import("./tickets.js").Shop} */
  const shop = {
    ...frame,
    tickets: new Map(),
    grants: new Map(),
    isKnown: false,
    readWallet: () => readWallet(shop, wallet),
  };

  html("#older").addEventListener("click", () =>
    readWallet(shop, wallet, wallet.before ?? undefined).catch(broke),
  );
  tick(shop);

  return {
    open(signal) {
      void watch(shop, signal).catch((error) => {
        if (signal.aborted) return;
        const needsToken = error instanceof CouponError && error.status === 401 && userId() === undefined;
        if (needsToken) put(html("#no-coupons"), "Sign in to see today's coupons.");
        else broke(error);
      });
      void shop.readWallet().catch((error) => signal.aborted || broke(error));
    },
    forget() {
      shop.grants.clear();
      wallet.references.clear();
      wallet.before = null;
      for (const ticket of shop.tickets.values()) tell(ticket.element, "");
      showWallet(shop, wallet);
      showTickets(shop);
    },
  };
}

/** @param {import("./tickets.js").Shop} shop @param {AbortSignal} signal */
async function watch(shop, signal) {
  const { client, tickets } = shop;
  for await (const { live, upcoming } of client.watchCoupons({ signal })) {
    const before = new Map(tickets);
    tickets.clear();
    // In the order of the day: of live coupons, the last one to start comes first.
    for (const offer of [...live.reverse(), ...upcoming]) {
      const ticket = before.get(offer.coupon_id) ?? createTicket(shop, offer);
      tickets.set(offer.coupon_id, Object.assign(ticket, { offer }));
    }
    shop.isKnown = true;
    showTickets(shop);
  }
}
