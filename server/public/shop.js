/** The view for people who want a coupon: what is on, by the service's clock, and what they have. */
import { arrange, copyOf, find, html, mark, put, showMeter, tell } from "./elements.js";
import { amount, CLAIMED, countdown, moment, ofCount, USED } from "./words.js";

/** @typedef {import("../api/contract-types.ts").AnswerOf<"watchCoupons">["live"][number]} Offer */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"wallet">["coupons"][number]} Grant */
/** @typedef {import("./elements.js").Frame} Frame */

/**
 * What stands in the way of a claim, if anything. Only for what the button looks like: it is the service that decides.
 * @typedef {"held" | "ended" | "waiting" | "paused" | "sold_out" | "open"} Chance
 */

/**
 * @typedef {object} Ticket
 * @property {HTMLElement} element
 * @property {Offer} offer As told last.
 * @property {boolean} asking A claim is on its way.
 * @property {Chance} [chance] As shown last.
 * @property {{ chance: Chance, until: number }} [refused] What an answer said, which an event that was under way does not know.
 */

/** @type {Record<Chance, string>} */
const LABEL = {
  held: "Yours",
  ended: "Ended",
  waiting: "Claim",
  paused: "Paused",
  sold_out: "Sold out",
  open: "Claim",
};

/** After so long a person wants to know why there is no answer, ms. */
const PATIENCE = 2_000;
/** Events are a second apart: after so long they know what an answer said, ms. */
const EVENTS_KNOW = 2_500;

/**
 * @param {Frame} frame
 * @returns {import("./elements.js").View}
 */
export function createShop({ client, userId, say, failed, broke }) {
  /** @type {Map<number, Ticket>} */
  const tickets = new Map();
  /** @type {Map<number, Grant>} */
  const grants = new Map();
  /** @type {Map<number, HTMLElement>} */
  const items = new Map();
  /** Of each use its reference, so that to press again after a lost answer is the same use. @type {Map<number, string>} */
  const references = new Map();
  /** The wallet's page after those that are shown. @type {string | null} */
  let before = null;
  let isKnown = false;

  html("#older").addEventListener("click", () => readWallet(before ?? undefined).catch(broke));
  tick();

  return {
    open(signal) {
      void watch(signal).catch((error) => signal.aborted || broke(error));
      void readWallet().catch((error) => signal.aborted || broke(error));
    },
    forget() {
      grants.clear();
      references.clear();
      before = null;
      for (const ticket of tickets.values()) tell(ticket.element, "");
      showWallet();
      showAll();
    },
  };

  /** @param {AbortSignal} signal */
  async function watch(signal) {
    for await (const { live, upcoming } of client.watchCoupons({ signal })) {
      const before = new Map(tickets);
      tickets.clear();
      for (const offer of [...live, ...upcoming]) {
        const ticket = before.get(offer.coupon_id) ?? createTicket(offer);
        tickets.set(offer.coupon_id, Object.assign(ticket, { offer }));
      }
      isKnown = true;
      showAll();
    }
  }

  // ---- Tickets ------------------------------------------------------------------------------------------------------

  /** @param {Offer} offer @returns {Ticket} */
  function createTicket(offer) {
    const element = copyOf("#ticket");
    /** @type {Ticket} */
    const ticket = { element, offer, asking: false };
    html(".claim", element).addEventListener("click", () => press(ticket));
    return ticket;
  }

  /** Where each belongs, and how it stands. */
  function showAll() {
    const midnight = new Date(client.serverNow()).setHours(24, 0, 0, 0);
    const morning = new Date(client.serverNow()).setHours(0, 0, 0, 0);
    /** @type {Record<"today" | "earlier" | "later", Element[]>} */
    const places = { today: [], earlier: [], later: [] };
    for (const { element, offer, asking } of tickets.values()) {
      const start = Date.parse(offer.start_time);
      const isOver = offer.sold_out && !asking && !grants.has(offer.coupon_id);
      if (start >= midnight) places.later.push(element);
      else if (start >= morning) places.today.push(element);
      // What sold out on another day is no news.
      else if (!isOver) places.earlier.push(element);
    }
    arrange(html("#today"), places.today);
    for (const name of /** @type {const} */ (["earlier", "later"])) {
      const section = html(`#${name}`);
      arrange(html(".tickets", section), places[name]);
      section.hidden = places[name].length === 0;
    }
    const none = html("#no-coupons");
    none.hidden = places.today.length > 0;
    if (isKnown) put(none, "No coupons today. New ones appear here.");
    for (const ticket of tickets.values()) show(ticket);
  }

  /** @param {Ticket} ticket */
  function show(ticket) {
    const { element, offer, asking, chance: was } = ticket;
    const grant = grants.get(offer.coupon_id);
    const chance = chanceOf(ticket);
    ticket.chance = chance;
    const isNew = was !== undefined && was !== chance;
    if (isNew && chance === "open") {
      tell(element, "");
      say(`${offer.message}: you can claim it now.`);
    }

    mark(element, { "data-chance": chance });
    put(html(".code", element), offer.code);
    put(html("h3", element), offer.message);
    put(html(".description", element), offer.description);
    showTime(find("time.start", HTMLTimeElement, element), offer.start_time);
    showTime(find("time.expiry", HTMLTimeElement, element), offer.expiry);

    const isWaiting = chance === "waiting";
    html(".countdown", element).hidden = !isWaiting;
    if (isWaiting)
      put(html("[role=timer]", element), countdown(Date.parse(offer.start_time) - client.serverNow()));
    const stock = { ...offer, remaining: chance === "sold_out" ? 0 : offer.remaining };
    put(html(".remaining", element), stockOf(stock, isWaiting));
    html("meter", element).hidden = isWaiting;
    showMeter(find("meter", HTMLMeterElement, element), stock);

    const button = html(".claim", element);
    mark(button, {
      "aria-disabled": String(chance !== "open" || asking),
      "aria-busy": asking ? "true" : null,
    });
    const label = grant ? `Yours: number ${ofCount(grant.position, offer.count)}` : LABEL[chance];
    put(html(".label", button), asking ? "Asking …" : label);
    put(html(".unseen", button), offer.message);
    html("a", element).hidden = chance !== "held";
  }

  /** @param {Ticket} ticket @returns {Chance} */
  function chanceOf({ offer, refused }) {
    const now = client.serverNow();
    if (grants.has(offer.coupon_id)) return "held";
    if (now < Date.parse(offer.start_time)) return "waiting";
    if (now >= Date.parse(offer.expiry)) return "ended";
    if (refused && now < refused.until) return refused.chance;
    if (offer.paused) return "paused";
    return offer.sold_out ? "sold_out" : "open";
  }

  /** @param {Ticket} ticket */
  async function press(ticket) {
    const { element, offer } = ticket;
    if (ticket.asking) return;
    if (ticket.chance !== "open") {
      if (ticket.chance === "waiting") {
        show(ticket);
        const seconds = (Date.parse(offer.start_time) - client.serverNow()) / 1000;
        const text = `${CLAIMED.not_started({ starts_in: seconds })} The button wakes up by itself.`;
        tell(element, text, "wait");
        say(text);
      }
      return;
    }
    ticket.asking = true;
    tell(element, "");
    show(ticket);
    const patience = setTimeout(() => {
      const text = "This takes longer than usual. This page keeps trying; nothing is lost.";
      tell(element, text, "wait");
      say(text);
    }, PATIENCE);
    const asked = userId();
    try {
      const result = await client.issueCoupon({ coupon_id: offer.coupon_id });
      if (asked !== userId()) return;
      const text = CLAIMED[result.outcome]({ ...result, count: ticket.offer.count });
      const isHad = result.outcome === "issued" || result.outcome === "already_issued";
      if (isHad) await readWallet().catch(broke);
      if (result.outcome === "sold_out" || result.outcome === "paused")
        ticket.refused = { chance: result.outcome, until: client.serverNow() + EVENTS_KNOW };
      tell(element, text, isHad ? "good" : "bad");
      say(`${offer.message}: ${text}`);
    } catch (error) {
      tell(element, failed(error), "bad");
    } finally {
      clearTimeout(patience);
      ticket.asking = false;
      ticket.chance = chanceOf(ticket);
      show(ticket);
    }
  }

  /** Each second of the service's clock: countdowns, and what wakes up or ends by the time alone. */
  function tick() {
    const now = client.serverNow();
    const clock = find("#clock", HTMLTimeElement);
    put(clock, new Date(now).toLocaleTimeString("en-GB"));
    for (const ticket of tickets.values()) show(ticket);
    setTimeout(tick, 1000 - (now % 1000));
  }

  // ---- My coupons ---------------------------------------------------------------------------------------------------

  /** @param {string} [from] The page that begins before this day. */
  async function readWallet(from) {
    const user_id = userId();
    if (user_id === undefined) return;
    const page = await client.wallet({ user_id, ...(from === undefined ? {} : { before: from }) });
    if (user_id !== userId()) return;
    if (from === undefined) grants.clear();
    for (const grant of page.coupons) grants.set(grant.coupon_id, grant);
    before = page.next_before;
    showWallet();
    showAll();
  }

  function showWallet() {
    for (const id of items.keys()) if (!grants.has(id)) items.delete(id);
    for (const grant of grants.values()) {
      const item = items.get(grant.coupon_id) ?? createItem(grant.coupon_id);
      showGrant(item, grant);
    }
    arrange(
      html("#grants"),
      [...grants.keys()].flatMap((id) => items.get(id) ?? []),
    );
    html("#no-grants").hidden = grants.size > 0;
    html("#older").hidden = before === null;
  }

  /** @param {number} couponId */
  function createItem(couponId) {
    const item = copyOf("#grant");
    items.set(couponId, item);
    html(".use", item).addEventListener("click", () => use(couponId, item));
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
    const button = html(".use", item);
    mark(button, { "aria-disabled": String(grant.state !== "issued"), "aria-busy": null });
    put(html(".label", button), { issued: "Use", used: "Used", expired: "Ended" }[grant.state]);
    put(html(".unseen", button), grant.message);
  }

  /** @param {number} couponId @param {HTMLElement} item */
  async function use(couponId, item) {
    const button = html(".use", item);
    if (button.ariaDisabled === "true") return;
    mark(button, { "aria-disabled": "true", "aria-busy": "true" });
    put(html(".label", button), "Asking …");
    const reference = references.get(couponId) ?? newReference();
    references.set(couponId, reference);
    try {
      const result = await client.useCoupon({ coupon_id: couponId, reference });
      const text = USED[result.outcome](result);
      tell(item, text, result.outcome === "used" ? "good" : "bad");
      say(`${html("h3", item).textContent}: ${text}`);
      await readWallet();
    } catch (error) {
      tell(item, failed(error), "bad");
      showWallet();
    }
  }
}

/** Not crypto.randomUUID(), which is there by https and on localhost only. */
function newReference() {
  return `page-${[...crypto.getRandomValues(new Uint32Array(3))].map((n) => n.toString(36)).join("")}`;
}

/** @param {Offer} offer @param {boolean} isWaiting */
function stockOf({ count, remaining }, isWaiting) {
  if (isWaiting) return `${amount(count)} to get`;
  return remaining === 0 ? `All ${amount(count)} are gone` : `${amount(remaining)} of ${amount(count)} left`;
}

/** @param {HTMLTimeElement} element @param {string} time */
function showTime(element, time) {
  mark(element, { datetime: time });
  put(element, moment(time));
}
