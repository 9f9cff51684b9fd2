/** What is on offer: a ticket for each coupon, by the service's clock, and the button that claims it. */
import { arrange, copyOf, find, html, mark, put, showMeter, tell, wordsOf } from "./elements.js";
import { amount, CLAIMED, countdown, moment, ofCount, tooLate } from "./words.js";

/** @typedef {import("../api/contract-types.ts").AnswerOf<"watchCoupons">["live"][number]} Offer */
/** @typedef {import("../api/contract-types.ts").AnswerOf<"wallet">["coupons"][number]} Grant */

/**
 * What the shop's parts share.
 * @typedef {object} Shared
 * @property {Map<number, Ticket>} tickets By coupon.
 * @property {Map<number, Grant>} grants What this person has, by coupon.
 * @property {boolean} isKnown Whether it is known what is on offer.
 * @property {() => Promise<void>} readWallet Reads what this person has.
 * @typedef {import("./elements.js").Frame & Shared} Shop
 */

/**
 * What stands in the way of a claim, if anything. Only for what the button looks like: it is the service that decides.
 * Early, a member of its group can have it: the page doesn't know who is one.
 * @typedef {"held" | "ended" | "waiting" | "early" | "paused" | "sold_out" | "open"} Chance
 */

/**
 * @typedef {object} Ticket
 * @property {HTMLElement} element
 * @property {Offer} offer As told last.
 * @property {boolean} asking A claim is on its way.
 * @property {Chance} [chance] As shown last.
 * @property {{ chance: Chance, until: number }} [refused] What an answer said, which an event that was under way does not know.
 */

/** Until the servers have told how many asked, ms; so many are refused together that they should not ask for it together. */
const inAMoment = () => 2_000 + Math.random() * 6_000;

/** @type {Record<Chance, string>} */
const LABEL = {
  held: "Yours",
  ended: "Ended",
  waiting: "Claim",
  early: "Claim as a member",
  paused: "Paused",
  sold_out: "Sold out",
  open: "Claim",
};

/** After so long a person wants to know why there is no answer, ms. */
const PATIENCE = 2_000;
/** Events are a second apart: after so long they know what an answer said, ms. */
const EVENTS_KNOW = 2_500;

/** @param {Shop} shop @param {Offer} offer @returns {Ticket} */
export function createTicket(shop, offer) {
  const element = copyOf("#ticket");
  /** @type {Ticket} */
  const ticket = { element, offer, asking: false };
  html(".claim", element).addEventListener("click", () => press(shop, ticket));
  return ticket;
}

/**
 * Where each belongs, and how it stands.
 * @param {Shop} shop
 */
export function showTickets(shop) {
  const midnight = new Date(shop.client.serverNow()).setHours(24, 0, 0, 0);
  const morning = new Date(shop.client.serverNow()).setHours(0, 0, 0, 0);
  /** @type {Record<"today" | "earlier" | "later", Element[]>} */
  const places = { today: [], earlier: [], later: [] };
  for (const { element, offer, asking } of shop.tickets.values()) {
    const start = Date.parse(offer.start_time);
    const isOver = offer.sold_out && !asking && !shop.grants.has(offer.coupon_id);
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
  if (shop.isKnown) put(none, "No coupons today. New ones appear here.");
  for (const ticket of shop.tickets.values()) showTicket(shop, ticket);
}

/** @param {Shop} shop @param {Ticket} ticket */
function showTicket(shop, ticket) {
  const { element, offer, asking, chance: was } = ticket;
  const grant = shop.grants.get(offer.coupon_id);
  const chance = chanceOf(shop, ticket);
  ticket.chance = chance;
  const isNew = was !== undefined && was !== chance;
  if (isNew && chance === "open") {
    tell(element, "");
    shop.say(`${offer.message}: you can claim it now.`);
  }

  mark(element, { "data-chance": chance });
  put(html(".code", element), offer.code);
  put(html("h3", element), offer.message);
  put(html(".description", element), offer.description);
  showTime(find("time.start", HTMLTimeElement, element), offer.start_time);
  showTime(find("time.expiry", HTMLTimeElement, element), offer.expiry);
  html(".early", element).hidden = offer.eligible_from === null;
  if (offer.eligible_from !== null)
    showTime(find("time.eligible", HTMLTimeElement, element), offer.eligible_from);

  const isWaiting = chance === "waiting" || chance === "early";
  html(".countdown", element).hidden = !isWaiting;
  if (isWaiting)
    put(html("[role=timer]", element), countdown(Date.parse(offer.start_time) - shop.client.serverNow()));
  const stock = { ...offer, remaining: chance === "sold_out" ? 0 : offer.remaining };
  put(html(".remaining", element), stockOf(stock, isWaiting));
  html("meter", element).hidden = isWaiting;
  showMeter(find("meter", HTMLMeterElement, element), stock);

  const button = html(".claim", element);
  mark(button, {
    "aria-disabled": String(!mayAsk(chance) || asking),
    "aria-busy": asking ? "true" : null,
  });
  const label = grant ? `Yours: number ${ofCount(grant.position, offer.count)}` : LABEL[chance];
  put(html(".label", button), asking ? "Asking …" : label);
  put(html(".unseen", button), offer.message);
  html("a", element).hidden = chance !== "held";
}

/** @param {Shop} shop @param {Ticket} ticket @returns {Chance} */
function chanceOf({ client, grants }, { offer, refused }) {
  const now = client.serverNow();
  if (grants.has(offer.coupon_id)) return "held";
  if (now < Date.parse(offer.start_time))
    return now < Date.parse(offer.eligible_from ?? offer.start_time) || offer.paused || offer.sold_out
      ? "waiting"
      : "early";
  if (now >= Date.parse(offer.expiry)) return "ended";
  if (refused && now < refused.until) return refused.chance;
  if (offer.paused) return "paused";
  return offer.sold_out ? "sold_out" : "open";
}

/** @param {Chance} chance */
const mayAsk = (chance) => chance === "open" || chance === "early";

/** @param {Shop} shop @param {Ticket} ticket */
async function press(shop, ticket) {
  const { client, userId, say, failed, broke } = shop;
  const { element, offer } = ticket;
  if (ticket.asking) return;
  if (ticket.chance === undefined || !mayAsk(ticket.chance)) {
    if (ticket.chance === "waiting") {
      showTicket(shop, ticket);
      const seconds = (Date.parse(offer.start_time) - client.serverNow()) / 1000;
      const text = `${CLAIMED.not_started({ starts_in: seconds })} The button wakes up by itself.`;
      tell(element, text, "wait");
      say(text);
    }
    return;
  }
  const asked = userId();
  if (asked === undefined) {
    const text = "Sign in to claim it.";
    tell(element, text, "wait");
    say(text);
    html("#user-token input").focus();
    return;
  }
  ticket.asking = true;
  tell(element, "");
  showTicket(shop, ticket);
  const patience = setTimeout(() => {
    const text = "This takes longer than usual. This page keeps trying; nothing is lost.";
    tell(element, text, "wait");
    say(text);
  }, PATIENCE);
  try {
    const result = await client.issueCoupon({ coupon_id: offer.coupon_id });
    if (asked !== userId()) return;
    const { count, eligible_from } = ticket.offer;
    const text = wordsOf(CLAIMED, result, { ...result, count, eligible_from });
    const isHad = result.outcome === "issued" || result.outcome === "already_issued";
    if (isHad) await shop.readWallet().catch(broke);
    if (result.outcome === "sold_out" || result.outcome === "paused")
      ticket.refused = { chance: result.outcome, until: client.serverNow() + EVENTS_KNOW };
    tell(element, text, isHad ? "good" : "bad");
    say(`${offer.message}: ${text}`);
    if (result.outcome === "sold_out") setTimeout(() => tellHowMany(shop, ticket, text), inAMoment());
  } catch (error) {
    tell(element, failed(error), "bad");
  } finally {
    clearTimeout(patience);
    ticket.asking = false;
    ticket.chance = chanceOf(shop, ticket);
    showTicket(shop, ticket);
  }
}

/**
 * Once it is known how many asked. It is no more than news: if it can't be had, what was said stands.
 * @param {Shop} shop
 * @param {Ticket} ticket
 * @param {string} said
 */
async function tellHowMany({ client }, { element, offer: { coupon_id } }, said) {
  const isStillSaid = () => html(".told", element).textContent === said;
  if (!isStillSaid()) return;
  const offer = await client.findCoupon({ coupon_id }).catch(() => undefined);
  if (offer?.sold_out && offer.asked > offer.issued && isStillSaid()) tell(element, tooLate(offer), "bad");
}

/**
 * Each second of the service's clock: countdowns, and what wakes up or ends by the time alone.
 * @param {Shop} shop
 */
export function tick(shop) {
  const now = shop.client.serverNow();
  const clock = find("#clock", HTMLTimeElement);
  put(clock, new Date(now).toLocaleTimeString("en-GB"));
  for (const ticket of shop.tickets.values()) showTicket(shop, ticket);
  setTimeout(() => tick(shop), 1000 - (now % 1000));
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
